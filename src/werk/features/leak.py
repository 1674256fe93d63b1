"""Change everything that was not yet known, in four ways, and see which features notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np
import polars as pl

from werk.core.errors import InputError, unknown

Frames = Mapping[str, pl.DataFrame]
Build = Callable[[Frames, datetime], pl.DataFrame]
Draw = np.random.Generator
ROWS = "(rows)"
_COPIES = 50_000  # of a longer table so many rows are drawn to come again: the check's time is mostly the builds'
_MONTH = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Known:
    """Since when a table's rows and values are known; a time that is null means never.

    `rows` is None for rows known all along. Columns not in `values` are known with their row. A later row that is added
    gets a new name in its `named` columns, for tables without a time of their own. Write both from the columns that the
    features are built from: a row is moved by its columns of dates and times.
    """

    rows: pl.Expr | None = None
    values: Mapping[str, pl.Expr] = field(default_factory=dict)
    named: tuple[str, ...] = ()


def leak_check(
    build: Build, tables: Frames, cutoffs: Iterable[datetime], known: Mapping[str, Known], *, seed: int = 0
) -> dict[str, list[str]]:
    """The columns of `build(tables, cutoff)` that change with what was known only after a cutoff, and in which way.

    Everything known by the cutoff, the moment itself included, stays as it is, in the same order. What comes later is
    changed in four ways, drawn by `seed`: removed (rows go, values are null); noise (values, and fractions and booleans of
    later rows); added (up to 50,000 rows of a table, known and later ones, come again); moved in time (each row to a moment
    between milliseconds and a month after the cutoff). Values are compared bit by bit; `(rows)` stands for rows that come
    or go.

    It cannot see what `known` does not say: a table not in it, a value declared too early. Nor a leak that lies in known
    values already (a column overwritten later, the order of known rows), one that needs an entity without any row or a
    later value like none drawn, nor what `build` reads from elsewhere than `tables`.
    """
    for name in known:
        if name not in tables:
            raise unknown("table", name, tables, code="table-unknown")
    found: dict[str, set[str]] = {}
    for cutoff in cutoffs:
        for way, columns in _noticed(build, tables, cutoff, known, seed).items():
            for column in columns:
                found.setdefault(column, set()).add(way)
    return {column: [way for way in WAYS if way in found[column]] for column in sorted(found)}


def _noticed(build: Build, tables: Frames, cutoff: datetime, known: Mapping[str, Known], seed: int) -> dict[str, set[str]]:
    worlds = {name: split(frame, known.get(name, Known()), cutoff) for name, frame in tables.items()}
    before = build({name: world.table for name, world in worlds.items()}, cutoff)
    _refuse_proving_nothing(before, worlds, cutoff)
    noticed = {}
    for way, change in WAYS.items():
        chance = np.random.default_rng([seed, int(cutoff.timestamp())])
        noticed[way] = _changed(before, build({name: change(world, chance).table for name, world in worlds.items()}, cutoff))
    return noticed


@dataclass(frozen=True, slots=True)
class World:
    """A table at a cutoff: rows of which all is known, rows that lack values still, rows that nobody knows yet."""

    known: Known
    cutoff: datetime
    settled: pl.DataFrame
    pending: pl.DataFrame
    later: pl.DataFrame

    @property
    def table(self) -> pl.DataFrame:
        """Later rows stand first, so that a feature made of a row's number notices them."""
        return pl.concat([self.later, self.settled, self.pending])


def split(frame: pl.DataFrame, known: Known, cutoff: datetime) -> World:
    unknown = _unknown(frame, known, cutoff)
    later = unknown.get_column(ROWS)
    pending = unknown.select(pl.any_horizontal(pl.all()).alias(ROWS)).get_column(ROWS) & ~later
    return World(known, cutoff, frame.filter(~later & ~pending), frame.filter(pending), frame.filter(later))


def _unknown(frame: pl.DataFrame, known: Known, cutoff: datetime) -> pl.DataFrame:
    """Of each row and each of its declared values, whether it is unknown still."""
    times = {ROWS: pl.lit(cutoff) if known.rows is None else known.rows, **known.values}
    return frame.with_columns((time > pl.lit(cutoff)).fill_null(True).alias(name) for name, time in times.items()).select(*times)


def removed(world: World, _: Draw) -> World:
    """What was there at the cutoff, and nothing else."""
    pending = _revalued(world.pending, world, lambda _, dtype: pl.lit(None, dtype))
    return replace(world, later=world.later.clear(), pending=pending)


def noise(world: World, _: Draw) -> World:
    """Whole numbers and texts that are not declared as values stay: they may be keys, or parts of a date."""
    loose = [name for name, dtype in world.later.schema.items() if dtype.is_float() or dtype == pl.Boolean]
    changes = [_noise(name, world.later.schema[name]).alias(name) for name in loose if name not in world.known.values]
    later = _revalued(world.later.with_columns(changes), world, _noise)
    return replace(world, later=_still_later(later, world), pending=_revalued(world.pending, world, _noise))


def added(world: World, chance: Draw) -> World:
    """Copies of any rows, of known ones too: so entities get later rows that had none."""
    if world.known.rows is None:
        return world
    chosen = world.table
    if chosen.height > _COPIES:
        chosen = chosen[np.sort(chance.choice(chosen.height, _COPIES, replace=False))]
    copies = _placed(chosen, world, chance).with_columns(pl.col(name) + "~" for name in world.known.named)
    return replace(world, later=pl.concat([copies, world.later]))


def moved(world: World, chance: Draw) -> World:
    """Rows by their dates and times; values that are dates or times, also from never to some moment."""
    later = world.later if world.known.rows is None else _placed(world.later, world, chance)
    moment = _moments(world, world.pending.height, chance)
    pending = _revalued(world.pending, world, lambda name, dtype: _as_time(moment, dtype) if _dated(dtype) else pl.col(name))
    return replace(world, later=later, pending=pending)


WAYS: Mapping[str, Callable[[World, Draw], World]] = {
    "changes when later rows are removed": removed,
    "changes when later values are noise": noise,
    "changes when later rows are added": added,
    "changes when later rows are moved in time": moved,
}


def _revalued(rows: pl.DataFrame, world: World, change: Callable[[str, pl.DataType], pl.Expr]) -> pl.DataFrame:
    """The declared values that are unknown, changed; not where that made something known, as a later departure made early."""
    if rows.is_empty() or not world.known.values:
        return rows
    before = _unknown(rows, world.known, world.cutoff)
    unsaid = {name: pl.lit(before.get_column(name)) for name in world.known.values}
    schema = rows.schema
    new = rows.with_columns(
        pl.when(when).then(change(name, schema[name])).otherwise(name).alias(name) for name, when in unsaid.items()
    )
    same = (_unknown(new, world.known, world.cutoff) == before).select(pl.all_horizontal(pl.all()).alias(ROWS)).get_column(ROWS)
    return rows.with_columns(new.get_column(name).zip_with(same, rows.get_column(name)) for name in unsaid)


def _placed(rows: pl.DataFrame, world: World, chance: Draw) -> pl.DataFrame:
    """The rows known from moments after the cutoff, each from its own; a row without a time stays without."""
    assert world.known.rows is not None
    by = (_moments(world, rows.height, chance) - world.known.rows).fill_null(timedelta(0))
    dates = [name for name, dtype in rows.schema.items() if _dated(dtype)]
    changes = ((pl.col(name).cast(_timed(rows.schema[name])) + by).cast(rows.schema[name]).alias(name) for name in dates)
    return _still_later(rows.with_columns(changes), world)


def _moments(world: World, count: int, chance: Draw) -> pl.Expr:
    """Milliseconds to a month after the cutoff, short and long evenly, odd and all different, so that no row meets its like."""
    share = (np.arange(count) + chance.random(count)) / max(count, 1)
    drawn = np.exp(share * np.log(_MONTH / timedelta(milliseconds=2))).astype(np.int64)
    gaps = chance.permutation((drawn + np.arange(count)) * 2 + 1)
    return pl.lit(world.cutoff) + pl.duration(milliseconds=pl.lit(pl.Series(gaps)))


def _dated(dtype: pl.DataType) -> bool:
    return isinstance(dtype, pl.Datetime | pl.Date)


def _timed(dtype: pl.DataType) -> pl.Datetime:
    return dtype if isinstance(dtype, pl.Datetime) else pl.Datetime("us")


def _as_time(moment: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    zone = _timed(dtype).time_zone
    there = moment.dt.convert_time_zone(zone or "UTC")
    return (there if zone else there.dt.replace_time_zone(None)).cast(dtype)


def _still_later(rows: pl.DataFrame, world: World) -> pl.DataFrame:
    unknown = _unknown(rows, world.known, world.cutoff)
    return rows.filter(unknown.select(pl.all_horizontal(pl.all()).alias(ROWS)).get_column(ROWS))


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


def _refuse_proving_nothing(built: pl.DataFrame, worlds: Mapping[str, World], cutoff: datetime) -> None:
    if built.is_empty() or all(world.later.is_empty() and world.pending.is_empty() for world in worlds.values()):
        raise InputError(
            f"At {cutoff.isoformat()} there is {'no row to build' if built.is_empty() else 'nothing later to change'}.",
            code="leak-check-empty",
            hint="Choose a cutoff inside the tables' time.",
        )
