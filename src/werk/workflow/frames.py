"""Frames between steps: whatever the producer returned, in the form the consumer's annotation names."""

from __future__ import annotations

import importlib
from typing import Any, get_origin

import numpy as np
import polars as pl
import pyarrow as pa

from werk.core.errors import InputError


def frame_kind(value_type: object) -> str | None:
    """`polars.LazyFrame`, `pandas.DataFrame`, ...: the frame class of a type or annotation, None for all else."""
    owner: Any = get_origin(value_type) or value_type
    name = f"{str(getattr(owner, '__module__', '')).partition('.')[0]}.{getattr(owner, '__name__', '')}"
    return name if name in _INTO else None


def to_polars(value: Any) -> pl.DataFrame:
    """The frame as polars holds it, nothing lost. Raises `InputError` naming the column that cannot be kept."""
    match frame_kind(type(value)):
        case "polars.DataFrame":
            frame = value
        case "polars.LazyFrame":
            frame = value.collect()
        case "pyarrow.Table":
            frame = pl.DataFrame({name: _arrow_column(name, value[name]) for name in value.column_names})
        case _:
            frame = _from_pandas(value)
    assert isinstance(frame, pl.DataFrame)
    return frame


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    """The frame in the annotated form; polars when the annotation names none."""
    return _INTO[frame_kind(annotation) or "polars.DataFrame"](frame)


def array_as(array: np.ndarray[Any, Any], annotation: object) -> object:
    """An array as itself, or as the columns `column_0`, `column_1`, ... of an annotated frame."""
    kind = frame_kind(annotation) or "numpy.ndarray"
    return array if kind == "numpy.ndarray" else _INTO[kind](pl.from_numpy(array))


def _arrow_column(name: str, column: pa.ChunkedArray) -> pl.Series:
    try:
        made = pl.Series(name, pl.from_arrow(column))
    except (pl.exceptions.PolarsError, TypeError, ValueError, pa.ArrowException) as wrong:
        raise _lossy(name, f"polars has no type for {column.type}", "Cast it first.") from wrong
    if pa.types.is_map(column.type):
        raise _lossy(name, "a map would become a list of pairs", "Make it a list of structs.")
    return made


def _from_pandas(frame: Any) -> pl.DataFrame:
    pandas = importlib.import_module("pandas")
    if not frame.index.equals(pandas.RangeIndex(len(frame))):
        raise _lossy(str(frame.index.name or "index"), "the index of a pandas frame is not kept", "Call reset_index().")
    for name in frame.columns:
        if not isinstance(name, str):
            raise _lossy(str(name), "its name is not a text", "Rename it.")
    return pl.DataFrame({name: _pandas_column(name, frame[name]) for name in frame.columns})


def _pandas_column(name: str, column: Any) -> pl.Series:
    try:
        return pl.Series(name, pl.from_pandas(column, nan_to_null=False))
    except (pl.exceptions.PolarsError, TypeError, ValueError, pa.ArrowException) as wrong:
        raise _lossy(name, f"it mixes types or holds objects ({wrong})", "Give it one type.") from wrong


def _to_pandas(frame: pl.DataFrame) -> object:
    for column in frame.iter_columns():
        _check_pandas(column)
    return frame.to_pandas()


def _check_pandas(column: pl.Series) -> None:
    nulls = column.null_count()
    if nulls and (column.dtype.is_integer() or column.dtype == pl.Boolean):
        raise _lossy(column.name, f"pandas would turn {nulls} nulls of {column.dtype} into another type", "Fill them first.")
    if nulls and column.dtype.is_float() and column.is_nan().any():
        raise _lossy(column.name, "pandas cannot tell its nulls from its NaN", "Fill one of them first.")


def _to_numpy(frame: pl.DataFrame) -> object:
    """(rows, columns). Mixed numeric columns become float64 when every value stays what it is."""
    for column in frame.iter_columns():
        _check_numpy(column)
    kinds = set(frame.dtypes)
    return frame.to_numpy(order="c") if len(kinds) <= 1 else _as_float64(frame).to_numpy(order="c")


def _check_numpy(column: pl.Series) -> None:
    if column.null_count():
        raise _lossy(column.name, "numpy has no nulls", "Fill them first.")
    if not (column.dtype.is_integer() or column.dtype.is_float() or column.dtype == pl.Boolean):
        raise _lossy(column.name, f"numpy would hold {column.dtype} as objects", "Drop or encode it.")


def _as_float64(frame: pl.DataFrame) -> pl.DataFrame:
    for column in frame.iter_columns():
        wide = column.cast(pl.Float64)
        back = wide.cast(column.dtype, strict=False)
        if not back.eq_missing(column).all():
            raise _lossy(column.name, f"{column.dtype} does not fit float64", "Convert it yourself.")
    return frame.cast(pl.Float64)


def _lossy(column: str, why: str, hint: str) -> InputError:
    return InputError(f"The column '{column}' would change on its way between steps: {why}.", code="value-lossy", hint=hint)


_INTO = {
    "polars.LazyFrame": lambda frame: frame.lazy(),
    "polars.DataFrame": lambda frame: frame,
    "pandas.DataFrame": _to_pandas,
    "pyarrow.Table": lambda frame: frame.to_arrow(),
    "numpy.ndarray": _to_numpy,
}
