"""A spine of cutoffs, and beside each row only what was known by then."""

from __future__ import annotations

from datetime import timedelta
from itertools import groupby
from typing import Any, Protocol, TypeVar, overload

import polars as pl

from werk.core.errors import InputError, unknown
from werk.features.views import FeatureView, Window
from werk.workflow.frames import from_polars, to_polars

_ROW, _AT, _TIME, _LOOK, _KNOWN = "__row", "__at", "__time", "__look", "__known"


F = TypeVar("F")


class Tables(Protocol):
    def scan(self, table: str, /) -> pl.LazyFrame: ...


class Features:
    """The resource a step asks for as `features`; what it joins it reads from its `tables`, at the run's versions.

    Outside a run give it anything with `scan(table) -> pl.LazyFrame`: `Features(tables)`.
    """

    def __init__(self, tables: Tables) -> None:
        self.tables = tables

    @overload
    def join(self, spine: pl.LazyFrame | pl.DataFrame, *views: FeatureView, at: str = "cutoff") -> pl.LazyFrame: ...

    @overload
    def join(self, spine: F, *views: FeatureView, at: str = "cutoff") -> F: ...

    def join(self, spine: Any, *views: FeatureView, at: str = "cutoff") -> Any:
        """The spine's rows, as many and in their order, with each view's features as they were known at the row's cutoff.

        `at` names the spine's UTC column of cutoffs. An entity that is null has no features. Sums are of integers, so that
        values depend on no order, thread or chunk. `InputError` names an unknown column, a time that is not UTC
        (`time-not-utc`), or a feature that would overwrite a column (`feature-clash`). A spine of polars comes back as a
        `LazyFrame`, one of pandas, Arrow or DuckDB as what it is.
        """
        polars = isinstance(spine, pl.LazyFrame | pl.DataFrame)
        given = to_polars(spine)
        _aware(given.lazy(), at)
        rows = given.with_row_index(_ROW).with_columns(pl.col(at).dt.cast_time_unit("us").alias(_AT))
        _refuse_clash(rows, views)
        rows = rows.sort(_AT, maintain_order=True)
        for view in views:
            events = _events(self.tables.scan(view.table), view, rows)
            rows = _newest(rows, events, view) if view.plain else rows
            rows = _windows(rows, events, view)
        return from_polars(rows.sort(_ROW).drop(_ROW, _AT), pl.LazyFrame if polars else type(spine))


def _events(table: pl.LazyFrame, view: FeatureView, rows: pl.DataFrame) -> pl.DataFrame:
    """The view's events that some cutoff can see; whatever is known later than the last one is not even read."""
    summed = [window.column for window in view.windows if window.column]
    wanted = list(dict.fromkeys([*view.keys, *view.plain, *summed, *([view.tie_breaker] if view.tie_breaker else [])]))
    _columns(table, wanted)
    _aware(table, view.event_time)
    known = pl.col(view.event_time).dt.cast_time_unit("us") + view.known_after
    events = table.select(*wanted, known.alias(_TIME)).filter(*_seen(view, rows), *(pl.col(k).is_not_null() for k in view.keys))
    return events.collect()


def _seen(view: FeatureView, rows: pl.DataFrame) -> list[pl.Expr]:
    times = rows.get_column(_AT).drop_nulls()
    if times.is_empty():
        return [pl.lit(False)]
    until = pl.col(_TIME) <= pl.lit(times[-1])
    return [until] if view.lookback is None else [until, pl.col(_TIME) > pl.lit(times[0]) - view.lookback]


def _newest(rows: pl.DataFrame, events: pl.DataFrame, view: FeatureView) -> pl.DataFrame:
    order = [*view.keys, _TIME, *([view.tie_breaker] if view.tie_breaker else [])]
    if events.select(pl.struct(order).is_duplicated().any()).item():
        raise InputError(
            f"View '{view.name}' has several rows of one entity at one moment in '{view.table}'.",
            code="feature-tie",
            hint="Name a tie_breaker column that tells them apart.",
        )
    newest = events.sort(order).select(*view.keys, _TIME, *view.plain, pl.col(_TIME).alias(_KNOWN))
    found = _lookup(rows, newest, view.keys, timedelta(0))
    if view.ttl is not None:
        fresh = pl.col(_AT) - pl.col(_KNOWN) < view.ttl
        found = found.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in view.plain)
    return found.drop(_KNOWN)


def _windows(rows: pl.DataFrame, events: pl.DataFrame, view: FeatureView) -> pl.DataFrame:
    spans = sorted(view.windows, key=lambda window: (window.over is None, window.over or timedelta(0)))
    for over, group in groupby(spans, key=lambda window: window.over):
        rows = _span(rows, events, view, list(group), over)
    return rows


def _span(
    rows: pl.DataFrame, events: pl.DataFrame, view: FeatureView, windows: list[Window], over: timedelta | None
) -> pl.DataFrame:
    """Two look-ups in integer running totals: a float sum would depend on the order of rows and threads."""
    columns = list(dict.fromkeys(window.column for window in windows))
    for window in windows:
        _summable(events, window)
    totals = _running_totals(events, view.keys, columns)
    names = [name for at in range(len(columns)) for name in (f"__n{at}", f"__s{at}")]
    rows = _lookup(rows, totals, view.keys, timedelta(0)).with_columns(pl.col(names).fill_null(0))
    if over is not None:
        rows = _lookup(rows, totals.rename({name: f"{name}_" for name in names}), view.keys, over)
        rows = rows.with_columns(pl.col(name) - pl.col(f"{name}_").fill_null(0) for name in names)
    features = (_aggregate(window, columns.index(window.column)).alias(window.name) for window in windows)
    return rows.with_columns(features).select(pl.exclude(*names, *(f"{name}_" for name in names)))


def _aggregate(window: Window, at: int) -> pl.Expr:
    n, s = pl.col(f"__n{at}"), pl.col(f"__s{at}")
    return {"count": n, "sum": s, "mean": pl.when(n > 0).then(s / n)}[window.aggregate]


def _summable(events: pl.DataFrame, window: Window) -> None:
    if window.column is None and window.aggregate != "count":
        raise InputError(
            f"Window '{window.name}' has no column to {window.aggregate}.", code="window-column", hint="Give column=."
        )
    if window.column and window.aggregate != "count" and not events.schema[window.column].is_integer():
        raise InputError(
            f"Window '{window.name}' reads '{window.column}', which is no integer column.",
            code="window-not-integer",
            hint="Cast it to whole units first, so that sums are exact.",
        )


def _running_totals(events: pl.DataFrame, keys: list[str], columns: list[str | None]) -> pl.DataFrame:
    """Per entity and moment, how many values and their sum so far, for each column (None counts rows)."""
    parts: list[pl.Expr] = []
    for at, column in enumerate(columns):
        present = pl.len() if column is None else pl.col(column).count()
        total = pl.col(column) if column and events.schema[column].is_integer() else pl.lit(0)
        parts += [present.cast(pl.Int64).alias(f"__n{at}"), total.cast(pl.Int64).sum().alias(f"__s{at}")]
    moments = events.group_by(*keys, _TIME).agg(parts).sort(*keys, _TIME)
    return moments.with_columns(pl.exclude(*keys, _TIME).cum_sum().over(keys))


def _lookup(rows: pl.DataFrame, right: pl.DataFrame, keys: list[str], back: timedelta) -> pl.DataFrame:
    """The newest right row at or before each cutoff less `back`; rows stand in the order of their cutoffs."""
    look = rows.with_columns((pl.col(_AT) - back).alias(_LOOK))
    right = right.sort(_TIME, maintain_order=True)
    joined = look.join_asof(right, left_on=_LOOK, right_on=_TIME, by=keys, check_sortedness=False)
    return joined.drop(_LOOK, _TIME, strict=False)


def _refuse_clash(rows: pl.DataFrame, views: tuple[FeatureView, ...]) -> None:
    taken = set(rows.columns)
    for view in views:
        _columns(rows.lazy(), view.keys)
        for name in view.names:
            if name in taken:
                raise InputError(
                    f"View '{view.name}' would overwrite the column '{name}'.",
                    code="feature-clash",
                    hint="Rename the feature or drop the column.",
                )
            taken.add(name)


def _columns(frame: pl.LazyFrame, wanted: list[str]) -> None:
    names = frame.collect_schema().names()
    for name in wanted:
        if name not in names:
            raise unknown("column", name, names, code="column-unknown")


def _aware(frame: pl.LazyFrame, column: str) -> None:
    _columns(frame, [column])
    dtype = frame.collect_schema()[column]
    if not (isinstance(dtype, pl.Datetime) and dtype.time_zone == "UTC"):
        raise InputError(f"Column '{column}' is {dtype}, not a UTC time.", code="time-not-utc", hint="Convert it to UTC.")
