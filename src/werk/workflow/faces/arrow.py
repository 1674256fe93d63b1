"""pyarrow: `Table`, `RecordBatch` and `RecordBatchReader`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import polars as pl
import pyarrow as pa

from werk.workflow.faces import check_shape, lossy
from werk.workflow.types import frame_kind

_WIDE = (pl.Int128, pl.UInt128, pl.Object)
SECONDS = 2**63 // 1000  # more of them would overflow as milliseconds, the coarsest unit of polars


def to_polars(value: Any) -> pl.DataFrame:
    table = _table(value)
    check_shape(table.column_names, table.num_rows)
    return pl.DataFrame([column_to_polars(name, table[name]) for name in table.column_names])


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    table = _as_table(frame)
    match frame_kind(annotation):
        case "pyarrow.RecordBatchReader":
            return pa.RecordBatchReader.from_batches(table.schema, table.to_batches() or [_one_batch(table)])
        case "pyarrow.RecordBatch":
            return _one_batch(table)
    return table


def column_to_polars(name: str, column: pa.ChunkedArray) -> pl.Series:
    """One column. An ordered dictionary is an `Enum` of its values; an unordered one is only an encoding."""
    for kind in _within(column.type):
        if wrong := _unknown(kind):
            raise lossy(name, *wrong)
    _check_seconds(name, column)
    try:
        column = _decoded(column)
        made = pl.Series(name, pl.from_arrow(column))
        return made.cast(pl.Enum(_levels(column))) if _ordered(column.type) else made
    except (pl.exceptions.PolarsError, TypeError, ValueError, pa.ArrowException) as wrong:
        raise lossy(name, f"polars cannot hold {column.type} ({_first_line(wrong)})", "Cast it first.") from wrong


def _as_table(frame: pl.DataFrame) -> pa.Table:
    for name, kind in frame.schema.items():
        if wide := next((inner for inner in types_in(kind) if isinstance(inner, _WIDE)), None):
            raise lossy(name, f"Arrow has no {wide}", "Cast it to Int64, Decimal or String.")
    return frame.to_arrow()


def _table(value: Any) -> pa.Table:
    if isinstance(value, pa.RecordBatchReader):
        return value.read_all()
    return pa.Table.from_batches([value]) if isinstance(value, pa.RecordBatch) else value


def _one_batch(table: pa.Table) -> pa.RecordBatch:
    """Of no row too: only a batch tells the categories of a column."""
    return pa.RecordBatch.from_arrays([column.combine_chunks() for column in table.columns], schema=table.schema)


def types_in(kind: pl.DataType) -> Iterator[pl.DataType]:
    """The type itself, then those it is made of."""
    yield kind
    for part in [field.dtype for field in getattr(kind, "fields", ())] or [getattr(kind, "inner", None)]:
        if isinstance(part, pl.DataType):
            yield from types_in(part)


def _within(kind: pa.DataType, below: bool = False) -> Iterator[tuple[pa.DataType, bool]]:
    """The type itself, then those it is made of; with each whether it lies in another one."""
    yield kind, below
    for place in range(kind.num_fields):
        yield from _within(kind.field(place).type, True)


def _unknown(place: tuple[pa.DataType, bool]) -> tuple[str, str] | None:
    """Why a type would not come back as it was, and what to do; None when it would."""
    kind, below = place
    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        return f"the extension type {kind} would become {kind.storage_type}", f"Cast it to {kind.storage_type} first."
    if is_.is_dictionary(kind):
        return _unknown_dictionary(kind, below)
    if is_.is_timestamp(kind) and str(kind.tz)[:1] in "+-":
        return f"its time zone {kind.tz} has no name", "Convert it to UTC, or to a zone with a name such as Europe/Berlin."
    if is_.is_map(kind):
        return "a map would become a list of pairs", "Make it a list of structs."
    if is_.is_date64(kind):
        return "date64 would become a time", "Cast it to date32."
    if is_.is_decimal(kind) and (is_.is_decimal256(kind) or kind.scale < 0 or kind.precision > 38):
        return f"polars has no {kind}", "Cast it to decimal128 with at most 38 digits and a scale of 0 or more."
    if (below and str(kind).endswith("[s]")) or is_.is_interval(kind) or is_.is_union(kind) or is_.is_run_end_encoded(kind):
        return f"polars has no {kind}", "Cast it first."
    return None


def _unknown_dictionary(kind: pa.DictionaryType, below: bool) -> tuple[str, str] | None:
    inner, text = kind.value_type, _of_texts(kind)
    if kind.ordered and (below or not text):
        what = "inside another type" if text else f"of {inner}"
        return f"the order of categories {what} would be lost", "Cast it to its values, or make it a column of ordered texts."
    return ("polars would make texts of its categories", "Cast it to its values.") if below and not text else None


def _check_seconds(name: str, column: pa.ChunkedArray) -> None:
    if str(column.type).partition("[")[0] in ("timestamp", "duration") and column.type.unit == "s":
        counts = pl.Series(pl.from_arrow(column.cast(pa.int64())))
        if (counts.abs() > SECONDS).any() or (counts == -(2**63)).any():
            raise lossy(name, "it has seconds that no millisecond can count", "Leave out such times.")


def _decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers by a dictionary as numbers: in several parts polars makes texts of them."""
    kind = column.type
    return column.cast(kind.value_type) if pa.types.is_dictionary(kind) and not _of_texts(kind) else column


def _of_texts(kind: pa.DictionaryType) -> bool:
    is_, inner = pa.types, kind.value_type
    return bool(is_.is_string(inner) or is_.is_large_string(inner) or is_.is_string_view(inner))


def _ordered(kind: pa.DataType) -> bool:
    return pa.types.is_dictionary(kind) and bool(kind.ordered)


def _levels(column: pa.ChunkedArray) -> list[str]:
    if not column.num_chunks:
        return []
    levels: list[str] = column.unify_dictionaries().chunk(0).dictionary.to_pylist()
    return levels


def _first_line(wrong: Exception) -> str:
    return str(wrong).partition("\n")[0].rstrip(".")
