"""One file for each library whose frames a step may take or return: the same values exactly, or the column that is in the way."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, Protocol

import polars as pl

from werk.core.errors import InputError


class Face(Protocol):
    """A module of this package; both raise `InputError` (`value-lossy`) naming the column that would change."""

    def to_polars(self, value: Any, /) -> pl.DataFrame: ...

    def from_polars(self, frame: pl.DataFrame, annotation: object, /) -> object: ...


def lossy(column: object, why: str, hint: str) -> InputError:
    return InputError(f"The column '{column}' would change on its way between steps: {why}.", code="value-lossy", hint=hint)


def check_shape(names: Sequence[object], rows: int) -> None:
    """Columns are told apart by names that are texts, and rows need a column to be counted by."""
    for name, times in Counter(names).items():
        if not isinstance(name, str):
            hint = 'Rename it; of several levels make one: frame.columns = ["_".join(name) for name in frame.columns].'
            raise lossy(name, "its name is not a text", hint)
        if times > 1:
            raise lossy(name, f"{times} columns have this name", "Rename all but one.")
    if rows and not names:
        raise InputError(
            f"A frame of {rows} rows has no column.", code="value-lossy", hint="Return at least one column with them."
        )
