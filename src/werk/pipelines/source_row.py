"""The very row of a source table that a prediction speaks of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from werk import data
from werk.core.nouns import ModelVersion, Snapshot
from werk.core.platform import Platform
from werk.pipelines.lineage import Lineage, Origin
from werk.pipelines.steps import PREDICTIONS, load

NEAR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SourceRow:
    """`key` is the prediction's natural key, `values` the row as it landed, column by column."""

    origin: Origin
    key: Mapping[str, str]
    values: Mapping[str, str]


def source_row(p: Platform, found: Lineage) -> SourceRow | None:
    """The one row, in the tables the prediction was scored from, that has its natural key; None when no row or several have it.

    A time in the key that the table does not have itself (made from a date and a minute, say) finds the row of its hour.
    """
    key = load(p, ModelVersion.parse(found.model)).key
    scored = data.scan(p, PREDICTIONS).filter(pl.col("prediction_id") == found.prediction["prediction_id"])
    wanted = scored.select(key).collect().row(0, named=True)
    for origin in found.inputs:
        rows = _rows(p, Snapshot.parse(origin.snapshot), wanted)
        if rows is not None and len(rows) == 1:
            return SourceRow(origin, _told(wanted), _told(rows.row(0, named=True)))
    return None


def _rows(p: Platform, snapshot: Snapshot, wanted: Mapping[str, object]) -> pl.DataFrame | None:
    """The table's rows with the key; None for a table that lacks a part of it."""
    table = data.scan(p, snapshot.table, snapshot.version)
    schema = table.collect_schema()
    absent = {name: value for name, value in wanted.items() if name not in schema}
    if len(absent) == len(wanted) or not all(isinstance(value, datetime) for value in absent.values()):
        return None
    equal = [pl.col(name) == value for name, value in wanted.items() if name not in absent]
    near = list(_near(schema, absent.values()))
    return table.filter(*equal, *near).collect() if near or not absent else None


def _near(schema: pl.Schema, times: Iterable[object]) -> Iterable[pl.Expr]:
    moments = [name for name, dtype in schema.items() if isinstance(dtype, pl.Datetime) and dtype.time_zone]
    for at in times:
        yield from ((pl.lit(at) - pl.col(name)).is_between(timedelta(0), NEAR, closed="left") for name in moments[:1])


def _told(values: Mapping[str, object]) -> dict[str, str]:
    return {name: _text(value) for name, value in values.items()}


def _text(value: object) -> str:
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M} {value.tzname() or ''}".rstrip()
    if isinstance(value, float):
        return f"{value:g}"
    return "missing" if value is None else str(value)


def spoken(key: Mapping[str, str]) -> str:
    """
    >>> spoken({"carrier": "UA", "flight": "1545"})
    'carrier UA, flight 1545'
    """
    return ", ".join(f"{name} {value}" for name, value in key.items())


def first_prediction(p: Platform) -> str | None:
    """The first by id, so that the same page follows the same one; None when nothing was predicted.

    An id that several rows have (an older werk wrote such) is left out: it is nobody's.
    """
    if data.known(p, PREDICTIONS) is None:
        return None
    own = data.scan(p, PREDICTIONS).group_by("prediction_id").len().filter(pl.col("len") == 1)
    ids: Sequence[str | None] = own.select(pl.col("prediction_id").min()).collect().to_series().to_list()
    return ids[0]
