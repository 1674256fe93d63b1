"""SQL over any of the tables, with the machine's files and network out of its reach."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import duckdb
import polars as pl

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.data.tables import latest, scan


def sql(p: Platform, query: str, pins: Mapping[str, int] | None = None) -> pl.DataFrame:
    """The answer as a frame; only the tables the query names are opened, at their pinned versions where given."""
    # Closed before the query is looked at: binding alone would already open the files it names.
    con = duckdb.connect(":memory:", config={"enable_external_access": "false"})
    try:
        for table in _named(con, query):
            _offer(p, con, table, pins)
        con.execute("SET lock_configuration = true")
        return pl.DataFrame(con.sql(query).to_arrow_table())
    except (duckdb.Error, pl.exceptions.PolarsError) as wrong:
        raise _wrong(str(wrong)) from None
    finally:
        con.close()


def _named(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    """The `zone.table` names in a query that is parsed and not bound: no table is there yet."""
    ((text,),) = con.execute("SELECT json_serialize_sql(?)", [query]).fetchall()
    tree = json.loads(text)
    if tree["error"]:
        # The only error that is not of the syntax is a statement that would do more than read.
        raise _wrong(tree["error_message"] if tree["error_type"] == "parser" else "it is no SELECT")
    if len(tree["statements"]) != 1:
        raise _wrong("it is not one statement")
    return sorted(set(_tables(tree)))


def _tables(tree: JSON) -> Iterator[str]:
    if isinstance(tree, dict):
        if tree.get("type") == "BASE_TABLE" and tree["schema_name"] and tree["schema_name"] != "information_schema":
            yield f"{tree['schema_name']}.{tree['table_name']}".lower()
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _tables(part)


def _wrong(reason: str) -> InputError:
    first = reason.partition("\n")[0].rstrip(".!")
    return InputError(f"The query cannot be run: {first}.", code="sql-wrong", hint="`werk tables` lists what there is.")


def _offer(p: Platform, con: duckdb.DuckDBPyConnection, table: str, pins: Mapping[str, int] | None) -> None:
    zone, _, name = table.partition(".")
    version = pins[table] if pins and table in pins else latest(p, table)
    con.register(f"{zone}__{name}", scan(p, table, version))
    con.execute(f'CREATE SCHEMA IF NOT EXISTS "{zone}"')
    con.execute(f'CREATE VIEW "{zone}"."{name}" AS SELECT * FROM "{zone}__{name}"')
