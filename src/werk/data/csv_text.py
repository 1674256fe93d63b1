"""A CSV file's rows; what is wrong with one is said with its line, so that whoever wrote it can mend it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from itertools import islice

import polars as pl
import polars.selectors as cs

from werk.core.errors import InputError

_SEPARATORS = {";": "';'", "\t": "tabs", "|": "'|'"}
_NOT_FINITE = r"(?i)^[+-]?(nan|inf|infinity)$"
# Gzip, Zstandard and zlib, which the reader unpacks by itself.
_PACKED = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"x\x01", b"x\x9c", b"x\xda")


def read(name: str, data: bytes) -> pl.DataFrame:
    """Types are taken from the first hundred rows and, where a later one is of another, from all of them."""
    if not data.startswith(_PACKED):
        _check_header(name, data)
    try:
        return _with_numbers(pl.read_csv(data))
    except pl.exceptions.ComputeError:
        return _with_numbers(_read_whole(name, data))


def _with_numbers(frame: pl.DataFrame) -> pl.DataFrame:
    """The reader takes 'NaN' for a number and 'nan' for a word."""
    return frame.with_columns(text.cast(pl.Float64) for text in frame.select(cs.string()) if _are_numbers(text))


def _are_numbers(text: pl.Series) -> bool:
    if not text.str.contains(_NOT_FINITE).any():
        return False
    numbers = text.cast(pl.Float64, strict=False)
    return numbers.null_count() == text.null_count() and bool(numbers.is_finite().any())


def _read_whole(name: str, data: bytes) -> pl.DataFrame:
    try:
        return pl.read_csv(data, infer_schema_length=None)
    except pl.exceptions.ComputeError:
        _check_encoding(name, data)
        _check_lines(name, data)
        raise


def _records(data: bytes, separator: str = ",", *, strict: bool = False) -> Iterator[tuple[int, list[str]]]:
    """The cells of each line that has some, with the line's number."""
    lines = csv.reader(io.TextIOWrapper(io.BytesIO(data), "utf-8-sig", newline=""), delimiter=separator, strict=strict)
    at = 1
    for cells in lines:
        if cells:
            yield at, cells
        at = lines.line_num + 1


def _check_header(name: str, data: bytes) -> None:
    try:
        first = _first(data, ",")
        if len({len(cells) for cells in first}) > 1 or len(first[0]) == 1:
            _check_separator(name, data)
    except UnicodeDecodeError:
        _check_encoding(name, data)
        return
    except csv.Error:
        return  # a cell beyond what this reader takes: the other one judges it
    _check_names(name, first[0])


def _first(data: bytes, separator: str) -> list[list[str]]:
    return [cells for _, cells in islice(_records(data, separator), 2)] or [[""]]


def _check_separator(name: str, data: bytes) -> None:
    for separator, said in _SEPARATORS.items():
        first = _first(data, separator)
        if len({len(cells) for cells in first}) == 1 and len(first[0]) > 1:
            raise InputError(
                f"{name} is separated by {said}, not by commas.",
                code="source-separator",
                hint="Save it with commas between the cells and points in the numbers (1.5).",
            )


def _check_names(name: str, header: Sequence[str]) -> None:
    twice = next((one for at, one in enumerate(header) if one in header[:at]), None)
    if twice is not None:
        hint = "Give each its own name, or take one out."
        raise InputError(f"{name} has two columns named '{twice}'.", code="column-twice", hint=hint)


def _check_encoding(name: str, data: bytes) -> None:
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as strange:
        line, byte = data.count(b"\n", 0, strange.start) + 1, data[strange.start]
        raise InputError(
            f"{name} cannot be read as csv: line {line:,} is not UTF-8 (byte 0x{byte:02x}).",
            code="source-encoding",
            hint="Save it as UTF-8 (Excel calls it CSV UTF-8); it may be Latin-1.",
        ) from None


def _check_lines(name: str, data: bytes) -> None:
    at, width = 1, 0
    try:
        for at, cells in _records(data, strict=True):
            width = width or len(cells)
            _check_width(name, at, len(cells), width)
    except csv.Error as wrong:
        raise InputError(
            f"{name} cannot be read as csv: {_quoted(str(wrong))} after line {at:,}.",
            code="source-quotes",
            hint="Close the quotes of that cell; a quote within it is written twice.",
        ) from None


def _check_width(name: str, line: int, cells: int, width: int) -> None:
    if cells > width:
        raise InputError(
            f"{name} cannot be read as csv: line {line:,} has {cells:,} cells, the header {width:,}.",
            code="source-ragged",
            hint="Mend that line: a cell with a comma in it stands in double quotes.",
        )


def _quoted(said: str) -> str:
    return "a quote is opened and never closed" if said == "unexpected end of data" else said
