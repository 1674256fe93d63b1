"""A spine of cutoffs, and beside each row only what was known by then."""

from __future__ import annotations

from typing import Protocol

import polars as pl

from werk.core.errors import InputError, unknown
from werk.features.views import FeatureView, Window

_ROW, _TIME, _LOOK = "__werk_row", "__werk_time", "__werk_look"


class Tables(Protocol):
    def scan(self, table: str, /) -> pl.LazyFrame: ...


class Features:
    """The resource a step asks for as `features`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def join(self, spine: pl.LazyFrame, *views: FeatureView, at: str = "cutoff") -> pl.LazyFrame:
        """As many rows as the spine has, in its order, with each view's features beside them."""
        _aware(spine, at)
        rows = spine.with_row_index(_ROW).with_columns(pl.col(at).dt.cast_time_unit("us"))
        for view in views:
            _columns(rows, view.keys)
            rows = self._view(rows, view, at)
        return rows.sort(_ROW).drop(_ROW)

    def _view(self, rows: pl.LazyFrame, view: FeatureView, at: str) -> pl.LazyFrame:
        events = self._tables.scan(view.table)
        plain = [f for f in view.features if isinstance(f, str)]
        windows = [f for f in view.features if isinstance(f, Window)]
        _columns(events, [*view.keys, *plain, *(w.column for w in windows if w.column)])
        _aware(events, view.event_time)
        events = events.with_columns(pl.col(view.event_time).dt.cast_time_unit("us").alias(_TIME))
        events = events.filter(pl.col(_TIME).is_not_null())
        if plain:
            rows = _newest(rows, events, view, plain, at)
        for window in windows:
            rows = _window(rows, events, view, window, at)
        return rows


def _newest(rows: pl.LazyFrame, events: pl.LazyFrame, view: FeatureView, plain: list[str], at: str) -> pl.LazyFrame:
    order = [*view.keys, _TIME, *([view.tie_breaker] if view.tie_breaker else [])]
    _refuse_ties(events, view, order)
    right = events.sort(order).select(*view.keys, _TIME, *plain).with_columns(pl.col(_TIME).alias("__werk_known"))
    found = _lookup(rows.with_columns(pl.col(at).alias(_LOOK)), right, view.keys)
    if view.ttl is not None:
        fresh = pl.col(at) - pl.col("__werk_known") < view.ttl
        found = found.with_columns(pl.when(fresh).then(pl.col(name)).alias(name) for name in plain)
    return found.drop("__werk_known")


def _window(rows: pl.LazyFrame, events: pl.LazyFrame, view: FeatureView, window: Window, at: str) -> pl.LazyFrame:
    """Two look-ups in integer running totals: a float sum would depend on the order of rows and threads."""
    totals = _running_totals(events, view, window)
    rows = _lookup(rows.with_columns(pl.col(at).alias(_LOOK)), totals, view.keys)
    rows = rows.rename({"__n": "__n1", "__s": "__s1"}).with_columns((pl.col(at) - window.over).alias(_LOOK))
    rows = _lookup(rows, totals, view.keys)
    n = pl.col("__n1").fill_null(0) - pl.col("__n").fill_null(0)
    s = pl.col("__s1").fill_null(0) - pl.col("__s").fill_null(0)
    value = {"count": n, "sum": s, "mean": pl.when(n > 0).then(s / n)}[window.aggregate]
    return rows.with_columns(value.alias(window.name)).drop("__n", "__s", "__n1", "__s1")


def _running_totals(events: pl.LazyFrame, view: FeatureView, window: Window) -> pl.LazyFrame:
    if window.column is None and window.aggregate != "count":
        raise InputError(
            f"Window '{window.name}' has no column to {window.aggregate}.", code="window-column", hint="Give column=."
        )
    if window.column and not events.collect_schema()[window.column].is_integer():
        raise InputError(
            f"Window '{window.name}' reads '{window.column}', which is no integer column.",
            code="window-not-integer",
            hint="Cast it to whole units first, so that sums are exact.",
        )
    value = pl.col(window.column).cast(pl.Int64) if window.column else pl.lit(1, pl.Int64)
    known = events.select(*view.keys, _TIME, value.alias("__s")).drop_nulls("__s")
    summed = known.group_by(*view.keys, _TIME).agg(pl.len().cast(pl.Int64).alias("__n"), pl.col("__s").sum())
    return summed.sort(*view.keys, _TIME).with_columns(pl.col("__n", "__s").cum_sum().over(view.keys))


def _lookup(rows: pl.LazyFrame, right: pl.LazyFrame, keys: list[str]) -> pl.LazyFrame:
    joined = rows.sort(_LOOK).join_asof(
        right.sort(_TIME, maintain_order=True), left_on=_LOOK, right_on=_TIME, by=keys, check_sortedness=False
    )
    return joined.drop(_LOOK, _TIME, strict=False)


def _refuse_ties(events: pl.LazyFrame, view: FeatureView, order: list[str]) -> None:
    if events.select(pl.struct(order).is_duplicated().any()).collect().item():
        raise InputError(
            f"View '{view.name}' has several rows of one entity at one moment in '{view.table}'.",
            code="feature-tie",
            hint="Name a tie_breaker column that tells them apart.",
        )


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
