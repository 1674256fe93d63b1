"""pandas: the dtypes of `convert_dtypes()`, where NaN and NA are two things, and Arrow's where pandas has none of its own.

A column's dtype depends on its type alone and never on its values, so that a step sees the same dtypes on the day a null arrives.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from werk.workflow.faces import arrow, check_shape, lossy

_NAT = -(2**63)
_CODES_OF_NOBODY = -1


def to_polars(value: Any) -> pl.DataFrame:
    """NaN stays NaN, and NA, NaT and None are null. An index that says anything is refused, as are objects of several types."""
    _check_index(value)
    check_shape(list(value.columns), len(value))
    return pl.DataFrame([_taken(name, value[name]) for name in value.columns])


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    return pd.DataFrame({column.name: _given(column) for column in frame.iter_columns()}, index=pd.RangeIndex(frame.height))


def _check_index(frame: Any) -> None:
    names = [str(name) for name in frame.index.names if name is not None]
    if names or not frame.index.equals(pd.RangeIndex(len(frame))):
        hint = "Call reset_index() to keep it as a column, or reset_index(drop=True) to leave it behind."
        raise lossy(", ".join(names) or "index", "the index of a pandas frame is not kept", hint)


# --- what a step returns ---


def _taken(name: str, column: Any) -> pl.Series:
    kind = column.dtype
    if isinstance(kind, pd.CategoricalDtype):
        return _taken_categories(name, column.array)
    if isinstance(kind, pd.DatetimeTZDtype):
        zone = _zone(name, kind.tz)
        return _taken_time(name, column.dt.tz_convert("UTC").dt.tz_localize(None), pl.Datetime, (zone,))
    if isinstance(kind, pd.SparseDtype):
        raise lossy(name, "its sparse storage would be lost", "Make it dense: column.sparse.to_dense().")
    if not isinstance(kind, np.dtype):
        return arrow.column_to_polars(name, _chunked(name, column))
    if kind.kind in "mM":
        return _taken_time(name, column, *((pl.Datetime, (None,)) if kind.kind == "M" else (pl.Duration, ())))
    if kind.kind == "O":
        return _taken_objects(name, column)
    if kind.kind not in "biuf" or kind.itemsize > 8:
        raise lossy(name, f"polars has no {kind}", "Cast it to a type of at most 64 bits.")
    return pl.Series(name, np.ascontiguousarray(column.to_numpy().astype(kind.newbyteorder("="), copy=False)))


def _taken_categories(name: str, column: Any) -> pl.Series:
    levels = column.categories.tolist()
    if not all(isinstance(level, str) for level in levels):
        hint = "Make them texts: column.cat.rename_categories(str); or cast the column to their type."
        raise lossy(name, "its categories are not texts", hint)
    codes = pl.Series(name, column.codes.astype(np.int64))
    unused = set(range(len(levels))) - set(codes.unique())
    if unused and not column.ordered:
        few = ", ".join(levels[place] for place in sorted(unused)[:3])
        why = f"{len(unused)} of its categories stand in no row ({few}), and only an ordered list is kept whole"
        raise lossy(name, why, "Call column.cat.remove_unused_categories(), or as_ordered() to keep the list.")
    values = codes.replace_strict(dict(enumerate(levels)), default=None, return_dtype=pl.String)
    return values.cast(pl.Enum(levels) if column.ordered else pl.Categorical)


def _taken_time(name: str, column: Any, made: Any, more: tuple[str | None, ...]) -> pl.Series:
    unit = np.datetime_data(column.dtype)[0]
    counts = pl.Series(name, column.to_numpy().view("i8").copy()).replace(_NAT, None)
    if unit == "s":
        if (counts.abs() > arrow.SECONDS).any():
            raise lossy(name, "it has seconds that no millisecond can count", "Leave out such times.")
        unit, counts = "ms", counts * 1000
    try:
        return counts.cast(made(unit, *more))
    except pl.exceptions.PolarsError as wrong:
        raise lossy(name, f"polars does not know its time zone {more[0]}", "Convert it to UTC.") from wrong


def _zone(name: str, zone: Any) -> str:
    """The zone's name in the IANA database, as zoneinfo and pytz tell it."""
    found = "UTC" if zone is UTC else getattr(zone, "key", None) or getattr(zone, "zone", None)
    if not isinstance(found, str):
        hint = 'Convert it to UTC: column.dt.tz_convert("UTC"), or to a zone with a name such as Europe/Berlin.'
        raise lossy(name, f"its time zone {zone} has no name", hint)
    return found


def _chunked(name: str, column: Any) -> pa.ChunkedArray:
    try:
        made = pa.array(column.array, from_pandas=False)
    except (TypeError, ValueError, pa.ArrowException) as wrong:
        raise lossy(name, f"Arrow cannot hold {column.dtype}", "Cast it to a type of pandas or Arrow.") from wrong
    return made if isinstance(made, pa.ChunkedArray) else pa.chunked_array([made])


def _taken_objects(name: str, column: Any) -> pl.Series:
    """Python objects of one type; NaN is null unless it stands among floats."""
    values = [_plain(value) for value in column]
    if {type(value) for value in values} - {type(None), float} and not any(_number(value) for value in values):
        values = [None if isinstance(value, float) else value for value in values]
    kinds = sorted({_kind(value) for value in values if value is not None})
    if len(kinds) > 1:
        raise lossy(name, f"it mixes types ({', '.join(kinds)})", "Give it one type, such as .astype(str).")
    try:
        made = pa.array(values, from_pandas=False)
        same = _same(made.to_pylist(), values)
    except (TypeError, ValueError, OverflowError, pa.ArrowException) as wrong:
        hint = "Give it a type of pandas or Arrow."
        raise lossy(name, f"it holds objects of no type that a column can have ({' and '.join(kinds)})", hint) from wrong
    if not same:
        raise lossy(name, "its objects hold values of several types or different fields", "Give all of them the same.")
    return arrow.column_to_polars(name, pa.chunked_array([made]))


def _plain(value: Any) -> Any:
    """The object as Python has it, and what pandas counts as missing, NaN but for floats apart, as None."""
    if value is None or value is pd.NA or value is pd.NaT:
        return None
    if isinstance(value, np.datetime64 | np.timedelta64):
        return _plain(pd.Timestamp(value) if isinstance(value, np.datetime64) else pd.Timedelta(value))
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, list | tuple | np.ndarray):
        return [_plain(part) for part in value]
    return {key: _plain(part) for key, part in value.items()} if isinstance(value, dict) else value


def _number(value: Any) -> bool:
    """One that floats may be mixed with by mistake, or a float that is one."""
    return (isinstance(value, int) and not isinstance(value, bool)) or (isinstance(value, float) and value == value)


def _kind(value: Any) -> str:
    """What must be the same in a column: the type, and of times the zone."""
    return f"{type(value).__name__} in {value.tzinfo}" if isinstance(value, datetime) else type(value).__name__


def _same(made: Any, given: Any) -> bool:
    """Whether Arrow holds what was given: equal values of equal types, however deep."""
    if isinstance(given, list):
        return isinstance(made, list) and len(made) == len(given) and all(map(_same, made, given))
    if isinstance(given, dict):
        return isinstance(made, dict) and list(made) == list(given) and all(_same(made[key], given[key]) for key in given)
    if isinstance(given, float):
        return isinstance(made, float) and (made == given or (made != made and given != given))
    alike = isinstance(given, type(made)) or isinstance(made, type(given))
    return alike and isinstance(made, bool) == isinstance(given, bool) and bool(made == given)


# --- what a step receives ---


def _given(column: pl.Series) -> Any:
    kind = column.dtype
    if isinstance(kind, pl.Datetime | pl.Duration):
        return _given_time(column, kind)
    if isinstance(kind, pl.Categorical | pl.Enum):
        return _given_categories(column, kind)
    if kind == pl.String:
        return pd.StringDtype("pyarrow").__from_arrow__(pa.chunked_array([column.to_arrow()]))
    if masked := _masked(kind):
        missing = column.is_null().to_numpy()
        return masked(column.fill_null(False if kind == pl.Boolean else 0).to_numpy().copy(), missing.copy())
    table = arrow.from_polars(column.to_frame(), pa.Table)
    return pd.arrays.ArrowExtensionArray(table[column.name])  # type: ignore[index]  # a table


def _masked(kind: pl.DataType) -> Any:
    if kind == pl.Boolean:
        return pd.arrays.BooleanArray
    if kind in (pl.Float32, pl.Float64):
        return pd.arrays.FloatingArray
    return pd.arrays.IntegerArray if kind.is_integer() and kind not in (pl.Int128, pl.UInt128) else None


def _given_time(column: pl.Series, kind: pl.Datetime | pl.Duration) -> Any:
    counts = column.to_physical()
    if (counts == _NAT).any():
        raise lossy(column.name, "pandas takes its earliest time for none", "Leave it out.")
    plain = counts.fill_null(_NAT).to_numpy().copy()
    if isinstance(kind, pl.Duration):
        return pd.array(plain.view(f"m8[{kind.time_unit}]"))
    made = pd.array(plain.view(f"M8[{kind.time_unit}]"))
    return made.tz_localize("UTC").tz_convert(kind.time_zone) if kind.time_zone else made


def _given_categories(column: pl.Series, kind: pl.Categorical | pl.Enum) -> Any:
    """An `Enum` is an ordered list, a `Categorical` the set of the texts that stand in the column."""
    ordered = isinstance(kind, pl.Enum)
    texts: Sequence[str] = kind.categories.to_list() if isinstance(kind, pl.Enum) else sorted(_texts(column))
    codes = column.cast(pl.Enum(texts)).to_physical().cast(pl.Int64).fill_null(_CODES_OF_NOBODY)
    return pd.Categorical.from_codes(codes.to_numpy(), categories=pd.Index(texts, dtype=object), ordered=ordered)


def _texts(column: pl.Series) -> Iterator[str]:
    yield from column.cast(pl.String).drop_nulls().unique().to_list()
