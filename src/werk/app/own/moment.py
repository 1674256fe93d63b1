"""The column that says when a row was: by it the newest rows are held out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from werk.core.errors import InputError, unknown
from werk.data.contracts import ZONED

# ISO 8601; a text is in the order of time only where all of them are written alike.
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?)?(?:[zZ]|[+-]\d{2}(?::?\d{2})?)?$"
_DATED = (pl.Date, pl.Datetime)
LEAST = 10  # moments that a share can be held out of


def kind_of(frame: pl.DataFrame, time: str) -> str:
    """The contract's type of the time column, empty where it has none of the standard's (a time without a zone).

    Raises `InputError` for a column that is missing, has no order in time, or too few moments to divide.
    """
    if time not in frame.columns:
        raise unknown("column", time, frame.columns, code="column-unknown")
    series = frame[time]
    kind = _kind(series)
    if kind is None:
        raise InputError(
            f"The column '{time}' is not in the order of time: {_why(series)}.",
            code="time-unordered",
            hint="Write it as ISO 8601 (2026-11-27 or 2026-11-27T08:00:00Z), all alike, or as a number that grows.",
        )
    if (moments := series.drop_nulls().n_unique()) < LEAST:
        hint = f"At least {LEAST} are needed. Leave --time out: a share drawn by the key is held out then."
        raise InputError(f"The column '{time}' has {moments} moments only.", code="time-few", hint=hint)
    return kind


def _kind(series: pl.Series) -> str | None:
    if isinstance(series.dtype, pl.Datetime):
        return "timestamp" if series.dtype.time_zone else ""
    if series.dtype == pl.String:
        return _of_text(series.drop_nulls())
    if series.dtype == pl.Date:
        return "date"
    if series.dtype.is_integer():
        return "integer"
    return "number" if series.dtype.is_numeric() and series.drop_nulls().is_finite().all() else None


def _of_text(texts: pl.Series) -> str | None:
    if not texts.str.contains(_ISO).all():
        return None
    if texts.str.contains(ZONED).all():
        return "timestamp"
    alike = texts.str.len_chars().n_unique() <= 1 and texts.str.slice(10, 1).n_unique() <= 1
    return "string" if alike and not texts.str.contains(ZONED).any() else None


def _why(series: pl.Series) -> str:
    if series.dtype != pl.String:
        return f"it is a {str(series.dtype).partition('(')[0].lower()}"
    odd = series.filter(~series.str.contains(_ISO)).drop_nulls()
    return f"it has '{odd[0]}'" if len(odd) else "some of it has another form, or a zone, and some has not"


def times_in(frame: pl.DataFrame, names: Iterable[str]) -> Iterator[str]:
    """Columns that say when, as far as their type or their form tells."""
    dated = (series for series in (frame[name] for name in names) if series.dtype == pl.String or series.dtype in _DATED)
    for series in dated:
        known = series.drop_nulls()
        if known.n_unique() >= LEAST and _kind(known) is not None:
            yield series.name
