"""Change everything that was not yet known, and see which features notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from werk.core.errors import InputError, unknown

Frames = Mapping[str, pl.DataFrame]
Build = Callable[[Frames, datetime], pl.DataFrame]
ROWS = "(rows)"
_MOMENT = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class Known:
    """Since when a table's rows and values are known; a time that is null means never.

    `rows` is None for rows known all along. Columns not in `values` are known with their row. A later row that is added
    gets a new name in its `named` columns, for tables without a time of their own.
    """

    rows: pl.Expr | None = None
    values: Mapping[str, pl.Expr] = field(default_factory=dict)
    named: tuple[str, ...] = ()


def leak_check(build: Build, tables: Frames, cutoffs: Iterable[datetime], known: Mapping[str, Known]) -> list[str]:
    """The columns of `build(tables, cutoff)` that change with what was known only after the cutoff, at any of the cutoffs.

    Every later value becomes noise (numbers, texts, times and booleans alike), half of the later rows go and others come.
    `(rows)` stands for rows that come or go themselves. Values are compared bit by bit.
    """
    for name in known:
        if name not in tables:
            raise unknown("table", name, tables, code="table-unknown")
    leaked: set[str] = set()
    for cutoff in cutoffs:
        later = {name: change_later(frame, known.get(name, Known()), cutoff) for name, frame in tables.items()}
        before = build(tables, cutoff)
        _refuse_proving_nothing(before, tables, later, cutoff)
        leaked |= _changed(before, build(later, cutoff))
    return sorted(leaked)


def change_later(frame: pl.DataFrame, known: Known, cutoff: datetime) -> pl.DataFrame:
    """The table as it might have become, given the same past up to the cutoff."""
    if known.rows is None:
        return _noised(frame, known, cutoff)
    is_later = frame.select(_later(known.rows, cutoff).alias(ROWS)).get_column(ROWS)
    later = frame.filter(is_later)
    half = later.gather_every(2)
    return _noised(pl.concat([_added(later, known), half, frame.filter(~is_later)]), known, cutoff)


def _later(time: pl.Expr, cutoff: datetime) -> pl.Expr:
    return (time > pl.lit(cutoff)).fill_null(True)


def _added(later: pl.DataFrame, known: Known) -> pl.DataFrame:
    """Copies of later rows, a moment later and under a new name, so that none is a row already there."""
    moved = [pl.col(name) + _MOMENT for name, dtype in later.schema.items() if isinstance(dtype, pl.Datetime)]
    return later.with_columns(*moved, *(pl.col(name) + "~" for name in known.named))


def _noised(frame: pl.DataFrame, known: Known, cutoff: datetime) -> pl.DataFrame:
    """Rows that noise would move into the past, such as a later departure made early, keep their values."""
    later = {column: _later(time, cutoff) for column, time in known.values.items()}
    changes = (pl.when(when).then(_noise(name, frame.schema[name])).otherwise(name).alias(name) for name, when in later.items())
    noisy = frame.with_columns(changes)
    times = {**later, **({} if known.rows is None else {ROWS: _later(known.rows, cutoff)})}
    if not times:
        return frame
    same = (frame.select(**times) == noisy.select(**times)).select(pl.all_horizontal(pl.all()).alias(ROWS)).get_column(ROWS)
    return pl.concat([noisy.filter(same), frame.filter(~same)])


def _noise(name: str, dtype: pl.DataType) -> pl.Expr:
    """A number goes up a little, far up, or away, by the row it stands in; the rest changes as its type allows."""
    column, row = pl.col(name), pl.int_range(pl.len()) % 3
    if dtype.is_numeric():
        up = pl.when(row == 0).then(1_000).when(row == 1).then(1_000_000)
        return (column.fill_null(0).cast(pl.Float64) + up).cast(dtype, strict=False)
    if dtype.is_temporal():
        return column.dt.offset_by("1000d") if dtype != pl.Duration and dtype != pl.Time else pl.lit(None, dtype)
    if dtype == pl.Boolean:
        return ~column.fill_null(False)
    return pl.format("noise {}", row) if dtype == pl.String else pl.lit(None, dtype)


def _changed(before: pl.DataFrame, after: pl.DataFrame) -> set[str]:
    if before.columns != after.columns or before.height != after.height:
        return {ROWS}
    return {name for name in before.columns if not _same_bits(before.get_column(name), after.get_column(name))}


def _same_bits(one: pl.Series, other: pl.Series) -> bool:
    if one.dtype != other.dtype or not one.is_null().equals(other.is_null()):
        return False
    if not one.dtype.is_float():
        return one.equals(other)
    return one.fill_null(0).to_numpy().tobytes() == other.fill_null(0).to_numpy().tobytes()


def _refuse_proving_nothing(built: pl.DataFrame, tables: Frames, later: Frames, cutoff: datetime) -> None:
    if built.is_empty() or all(frame.equals(later[name]) for name, frame in tables.items()):
        raise InputError(
            f"At {cutoff.isoformat()} there is {'no row to build' if built.is_empty() else 'nothing later to change'}.",
            code="leak-check-empty",
            hint="Choose a cutoff inside the tables' time.",
        )
