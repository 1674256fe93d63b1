"""Rows and records: sequences and mappings that a terminal and a notebook show as tables.

Like `project`, it imports what draws, and dataframe libraries, where they are used.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, overload

from werk.app.answers import Answer, cell, finite, table_of

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa


class Listing(Sequence[Mapping[str, Any]]):
    """The rows that a command lists."""

    def __init__(self, rows: Sequence[Mapping[str, Any]], columns: Sequence[str] = (), text: str = "") -> None:
        self._rows = list(rows)
        self._columns = list(columns) or (list(rows[0]) if rows else [])
        self._text = text

    @classmethod
    def of(cls, answer: Answer) -> Listing:
        return cls(answer.rows or (), answer.columns, answer.text)

    @overload
    def __getitem__(self, at: int) -> Mapping[str, Any]: ...
    @overload
    def __getitem__(self, at: slice) -> Listing: ...
    def __getitem__(self, at: int | slice) -> Mapping[str, Any] | Listing:
        return Listing(self._rows[at], self._columns) if isinstance(at, slice) else self._rows[at]

    def __len__(self) -> int:
        return len(self._rows)

    def to_polars(self) -> pl.DataFrame:
        """Every field a column; what is nested stands as JSON text."""
        import polars as pl

        names = dict.fromkeys(name for row in self._rows for name in row)
        columns = {name: [_flat(row.get(name)) for row in self._rows] for name in names}
        return pl.DataFrame(columns, strict=False)

    def to_pandas(self) -> pd.DataFrame:
        """The same as pandas has it; `InputError` where pandas is not installed."""
        from werk.app.face.frame import Frame

        return Frame(self.to_polars()).to_pandas()

    def to_arrow(self) -> pa.Table:
        return self.to_polars().to_arrow()

    def __repr__(self) -> str:
        return self._text or table_of(self._rows, self._columns)

    def _repr_html_(self) -> str:
        from werk.app.face.html import block, table

        return block("", f"{len(self)} row{'' if len(self) == 1 else 's'}", table(self._rows, self._columns))


class Record(Mapping[str, Any]):
    """What a command says of one thing; the names are its keys."""

    def __init__(self, record: Mapping[str, Any], text: str = "") -> None:
        self._record = record
        self._text = text

    @classmethod
    def of(cls, answer: Answer) -> Record:
        return cls(answer.record or {}, answer.text)

    def __getitem__(self, name: str) -> Any:
        return self._record[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._record)

    def __len__(self) -> int:
        return len(self._record)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self._record)

    def __repr__(self) -> str:
        return self._text or "\n".join(f"{name:<16} {cell(value)}" for name, value in self._record.items())

    def _repr_html_(self) -> str:
        from werk.app.face.html import block, verbatim

        return block("", "", verbatim(repr(self)))


def _flat(value: object) -> object:
    return json.dumps(finite(value), ensure_ascii=False, default=str) if isinstance(value, dict | list | tuple) else value
