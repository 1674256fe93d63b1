"""SQL over any of the tables, with the machine's files and network out of its reach."""

from __future__ import annotations

from collections.abc import Mapping

import duckdb
import polars as pl

from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.data.tables import latest, scan


def sql(p: Platform, query: str, pins: Mapping[str, int] | None = None) -> pl.DataFrame:
    """The answer as a frame; only the tables the query names are opened, at their pinned versions where given."""
    con = duckdb.connect(":memory:")
    try:
        for table in _named(con, query):
            _offer(p, con, table, pins)
        con.execute("SET enable_external_access = false")
        con.execute("SET lock_configuration = true")
        return pl.DataFrame(con.sql(query).to_arrow_table())
    except duckdb.Error as wrong:
        first = str(wrong).splitlines()[0]
        raise InputError(
            f"The query cannot be run: {first}", code="sql-wrong", hint="`werk tables` lists what there is."
        ) from None
    finally:
        con.close()


def _named(con: duckdb.DuckDBPyConnection, query: str) -> list[str]:
    return sorted(name for name in con.get_table_names(query, qualified=True) if name.count(".") == 1)


def _offer(p: Platform, con: duckdb.DuckDBPyConnection, table: str, pins: Mapping[str, int] | None) -> None:
    zone, _, name = table.partition(".")
    if p.table_store.version(table) is None:
        raise unknown("table", table, p.table_store.tables(), code="table-unknown")
    version = pins[table] if pins and table in pins else latest(p, table)
    con.register(f"{zone}__{name}", scan(p, table, version))
    con.execute(f'CREATE SCHEMA IF NOT EXISTS "{zone}"')
    con.execute(f'CREATE VIEW "{zone}"."{name}" AS SELECT * FROM "{zone}__{name}"')
