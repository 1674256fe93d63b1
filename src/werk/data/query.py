"""SQL over any of the tables, with the machine's files and network out of its reach."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping

import duckdb
import polars as pl

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.data.tables import latest, scan

_WORD = re.compile(r"(?<![\w.\"])\w+(?![\w\"])")
Frames = Mapping[str, Callable[[], pl.DataFrame]]


def sql(p: Platform, query: str, pins: Mapping[str, int] | None = None, *, beside: Frames | None = None) -> pl.DataFrame:
    """The answer as a frame; only the tables the query names are opened, at their pinned versions where given.

    `beside` are further tables by `schema.name`, read when they are named.
    """
    # Closed before the query is looked at: binding alone would already open the files it names.
    con = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    try:
        for table in _named(con, query, lambda: _columns(p, query, beside or {})):
            _offer(con, table, _found(p, table, pins, beside or {}))
        con.execute("SET lock_configuration = true")
        return pl.DataFrame(con.sql(query).to_arrow_table())
    except (duckdb.Error, pl.exceptions.PolarsError) as wrong:
        raise _wrong(str(wrong)) from None
    finally:
        con.close()


def _named(con: duckdb.DuckDBPyConnection, query: str, columns: Callable[[], set[str]]) -> list[str]:
    """The `zone.table` names in a query that is parsed and not bound: no table is there yet."""
    ((text,),) = con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(text)
    if tree["error"] and tree["error_type"] == "parser":
        raise _unparsed(query, tree, _reserved(con, query) & columns())
    if tree["error"]:
        # The only error that is not of the syntax is a statement that would do more than read.
        raise _wrong("it is no SELECT")
    if len(tree["statements"]) != 1:
        raise _wrong("it is not one statement")
    return sorted(set(_tables(tree)))


def _unparsed(query: str, error: Mapping[str, str], columns: set[str]) -> InputError:
    """Where the parser stopped, which is often after its cause: a column whose name is a word of SQL."""
    before = query.encode()[: int(error.get("position") or 0)].decode("utf-8", "ignore")
    line, character = before.count("\n") + 1, len(before.rpartition("\n")[2]) + 1
    quoted = " and ".join(f'"{name}"' for name in sorted(columns))
    words = "is a word" if len(columns) == 1 else "are words"
    hint = f"{quoted} {words} of SQL: keep the quotes where you mean the column." if columns else ""
    return _wrong(f"{error['error_message']} (line {line}, character {character})", hint)


def _reserved(con: duckdb.DuckDBPyConnection, query: str) -> set[str]:
    """Words of a query, neither quoted nor after a dot, that can be no column's name as they stand."""
    words = {word.lower() for word in _WORD.findall(query)}
    known = con.execute("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category = 'reserved'").fetchall()
    return words & {str(name) for (name,) in known}


def _columns(p: Platform, query: str, beside: Frames) -> set[str]:
    """The columns of every table, and of those beside that the query's text names."""
    schemas = [row["schema"] for row in p.journal.rows("tables")]
    own = {name.lower() for schema in schemas if isinstance(schema, dict) for name in schema}
    return own | {name.lower() for table, load in beside.items() if table in query.lower() for name in load().columns}


def _tables(tree: JSON) -> Iterator[str]:
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE" and tree["schema_name"] and tree["schema_name"] != "information_schema":
            yield f"{tree['schema_name']}.{tree['table_name']}".lower()
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _tables(part)


def _wrong(reason: str, hint: str = "") -> InputError:
    first = reason.partition("\n")[0].rstrip(".!")
    return InputError(f"The query cannot be run: {first}.", code="sql-wrong", hint=hint or "`werk tables` lists what there is.")


def _found(p: Platform, table: str, pins: Mapping[str, int] | None, beside: Frames) -> pl.DataFrame | pl.LazyFrame:
    if table in beside:
        return beside[table]()
    if any(name.startswith(f"{table.partition('.')[0]}.") for name in beside):
        raise unknown("table", table, beside, code="table-unknown")
    return scan(p, table, pins[table] if pins and table in pins else latest(p, table))


def _offer(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame | pl.LazyFrame) -> None:
    zone, _, name = table.partition(".")
    con.register(f"{zone}__{name}", frame)
    con.execute(f'CREATE SCHEMA IF NOT EXISTS "{zone}"')
    con.execute(f'CREATE VIEW "{zone}"."{name}" AS SELECT * FROM "{zone}__{name}"')
