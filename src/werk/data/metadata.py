"""The journal's projections and facts as frames, to be asked in SQL beside the tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import polars as pl

from werk.core.canonical import canonical_json
from werk.core.journal import ColumnType, Projection, Reader, Row

_TYPES: Mapping[ColumnType, type[pl.DataType]] = {
    "text": pl.String,
    "int": pl.Int64,
    "real": pl.Float64,
    "bool": pl.Boolean,
    "json": pl.String,
}
_FACTS: Mapping[str, ColumnType] = {
    **{"seq": "int", "at": "int", "actor": "text", "kind": "text", "subject": "text", "run": "text"},
    **{"body": "json", "body_sha256": "text", "prev_hash": "text", "hash": "text"},
}


def metadata(journal: Reader, projections: Sequence[Projection]) -> dict[str, Callable[[], pl.DataFrame]]:
    """By table name, each read when it is asked for: `facts` and every projection. JSON columns are canonical text."""
    found = {projection.name: _loader(journal, projection) for projection in projections}
    return {"facts": lambda: _frame(_facts(journal), _FACTS), **found}


def _loader(journal: Reader, projection: Projection) -> Callable[[], pl.DataFrame]:
    types: dict[str, ColumnType] = {column.name: column.type for column in projection.columns} | {"seq": "int"}
    return lambda: _frame(journal.rows(projection.name), types)


def _facts(journal: Reader) -> list[Row]:
    return [{name: getattr(fact, name) for name in _FACTS} for fact in journal.facts()]


def _frame(rows: Sequence[Row], types: Mapping[str, ColumnType]) -> pl.DataFrame:
    trees = [name for name, kind in types.items() if kind == "json"]
    told = [{**row, **{name: None if row[name] is None else canonical_json(row[name]) for name in trees}} for row in rows]
    return pl.DataFrame(told, schema={name: _TYPES[kind] for name, kind in types.items()}, orient="row")
