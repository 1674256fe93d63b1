"""numpy: a 2-D array of one type, or an array with fields (`np.recarray`, `NDArray[np.void]`) of one type each."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import polars as pl

from werk.core.errors import InputError
from werk.workflow.faces import check_shape, lossy
from werk.workflow.types import frame_kind

_UNITS: dict[str, Literal["ms", "us", "ns"]] = {"ms": "ms", "us": "us", "ns": "ns"}
_NAT = -(2**63)


def to_polars(value: np.ndarray[Any, Any]) -> pl.DataFrame:
    """The fields as columns; without fields the columns are `column_0`, `column_1`, ..."""
    if not value.dtype.names:
        return pl.DataFrame(pl.from_numpy(value))
    if isinstance(value, np.ma.MaskedArray):
        raise lossy(", ".join(value.dtype.names), "the mask of a masked array would be lost", "Fill it first.")
    names = value.dtype.names
    check_shape(names, len(value))
    return pl.DataFrame([_taken(name, np.asarray(value[name])) for name in names])


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    """With fields when the annotation says so. Else (rows, columns), C order; mixed numbers are float64 where all of them fit."""
    if not wants_fields(annotation):
        return _matrix(frame)
    columns = {name: _field(frame[name]) for name in frame.columns}
    made = np.empty(frame.height, dtype=[(name, column.dtype) for name, column in columns.items()])
    for name, column in columns.items():
        made[name] = column
    return made.view(np.recarray) if frame_kind(annotation) == "numpy.recarray" else made


def wants_fields(annotation: object) -> bool:
    return frame_kind(annotation) == "numpy.recarray" or any(np.void in get_args(part) for part in get_args(annotation))


def has_fields(array: np.ndarray[Any, Any]) -> bool:
    """Whether it is a frame: one row after the other, each with named fields of one value."""
    fields = array.dtype.fields
    return bool(fields) and array.ndim == 1 and not any(kind.subdtype or kind.fields for kind, *_ in (fields or {}).values())


def _taken(name: str, column: np.ndarray[Any, Any]) -> pl.Series:
    kind = column.dtype
    if kind.kind in "biuf" and kind.itemsize <= 8:
        return pl.Series(name, np.ascontiguousarray(column.astype(kind.newbyteorder("="), copy=False)))
    if kind.kind == "U":
        return pl.Series(name, column.tolist(), dtype=pl.String)
    if kind.kind in "mM":
        return _taken_time(name, column)
    hint = "Make it bool, an integer, a float, text (U), datetime64 or timedelta64; bytes (S) lose their last zeros."
    raise lossy(name, f"a field of {kind} has no exact column", hint)


def _taken_time(name: str, column: np.ndarray[Any, Any]) -> pl.Series:
    unit, step = np.datetime_data(column.dtype)
    counts = pl.Series(name, np.ascontiguousarray(column).astype(column.dtype.newbyteorder("=")).view("i8").copy())
    counts = counts.replace(_NAT, None)
    if step == 1 and unit == "D" and column.dtype.kind == "M" and counts.is_between(-(2**31), 2**31 - 1).all():
        return counts.cast(pl.Int32).cast(pl.Date)
    if step != 1 or unit not in _UNITS:
        raise lossy(name, f"polars has no times in steps of {step} {unit}", "Cast it to datetime64[us] or timedelta64[us].")
    return counts.cast(pl.Datetime(_UNITS[unit]) if column.dtype.kind == "M" else pl.Duration(_UNITS[unit]))


def _field(column: pl.Series) -> np.ndarray[Any, Any]:
    kind = column.dtype
    if isinstance(kind, pl.Date | pl.Datetime | pl.Duration):
        return _field_of_time(column, kind)
    if column.null_count():
        raise lossy(column.name, f"numpy has no nulls of {kind}", "Fill them first.")
    if kind == pl.String:
        made = np.array(column.to_list(), dtype=np.str_) if len(column) else np.array([], dtype="U1")
        if made.tolist() != column.to_list():
            raise lossy(column.name, "numpy drops the zero characters that a text ends with", "Strip them first.")
        return made
    _check_number(column)
    return column.to_numpy()


def _field_of_time(column: pl.Series, kind: pl.Date | pl.Datetime | pl.Duration) -> np.ndarray[Any, Any]:
    if getattr(kind, "time_zone", None):
        raise lossy(column.name, "numpy has no time zones", "Convert it to UTC and drop the zone: .dt.replace_time_zone(None).")
    counts = column.to_physical().cast(pl.Int64)
    if (counts == _NAT).any():
        raise lossy(column.name, "numpy takes its earliest time for none", "Leave it out.")
    unit = "D" if isinstance(kind, pl.Date) else kind.time_unit
    return counts.fill_null(_NAT).to_numpy().view(f"{'m' if isinstance(kind, pl.Duration) else 'M'}8[{unit}]")


def _matrix(frame: pl.DataFrame) -> np.ndarray[Any, Any]:
    for column in frame.iter_columns():
        if column.null_count():
            raise lossy(column.name, "numpy has no nulls", "Fill them first.")
        _check_number(column)
    return frame.to_numpy(order="c") if len(set(frame.dtypes)) <= 1 else _as_float64(frame).to_numpy(order="c")


def _check_number(column: pl.Series) -> None:
    kind = column.dtype
    if not (kind.is_integer() or kind.is_float() or kind == pl.Boolean) or kind in (pl.Int128, pl.UInt128):
        raise lossy(column.name, f"numpy would hold {kind} as objects", "Drop or encode it.")


def _as_float64(frame: pl.DataFrame) -> pl.DataFrame:
    for column in frame.iter_columns():
        wide = column.cast(pl.Float64)
        back = wide.cast(column.dtype, strict=False)
        if not back.eq_missing(column).all():
            raise lossy(column.name, f"{column.dtype} does not fit float64", "Convert it yourself.")
    return frame.cast(pl.Float64)


def refuse(array: np.ndarray[Any, Any], annotation: object) -> None:
    """An array without fields has none to give."""
    if wants_fields(annotation) and not array.dtype.names:
        raise InputError(
            "A step takes an array with fields, and is given one without.",
            code="value-lossy",
            hint="Return a frame with named columns, or take np.ndarray.",
        )
