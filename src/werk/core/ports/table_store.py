"""Versioned tables: append, replace, read any version."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    import polars as pl


class ArrowStream(Protocol):
    """Anything that exports the Arrow C stream interface (polars, pyarrow, duckdb, arro3 ...)."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...


@dataclass(frozen=True, slots=True)
class TableVersion:
    """One committed version. `notes` is what the writer attached (run, source, contract ...)."""

    table: str
    version: int
    at: datetime
    operation: str
    notes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Content:
    """The bytes of a part of a table, as they lie there now."""

    size_bytes: int
    sha256: str


class TableStore(Protocol):
    """Tables with versions 0, 1, 2 ...; names are `zone.table`.

    1. `write` is atomic: a reader sees the whole new version or the old one; a killed writer leaves nothing visible.
    2. `write` returns the new version; versions grow by one per commit and never change afterwards.
    3. Two processes appending at once lose no row; conflicts are retried inside, from a fresh snapshot.
    4. `once=(app, seq)`: a write whose `seq` is not above the app's last one changes nothing and returns the version in which
       the app first reached it.
    5. `read` gives exactly the rows of that version, whatever was written since; row order is not promised.
    6. A schema that does not fit an append is an `InputError` naming the column; nothing is cast silently.
       `replace` may change the schema.
    7. `read` of an unknown table or version is an `InputError`; `version` of an unknown table is None.
    8. `history` gives each version what its own writer said, whoever commits meanwhile.
    """

    def write(
        self,
        table: str,
        data: ArrowStream,
        *,
        mode: Literal["append", "replace"] = "append",
        once: tuple[str, int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int: ...

    def read(self, table: str, version: int | None = None, *, columns: Sequence[str] | None = None) -> ArrowStream: ...

    def version(self, table: str) -> int | None: ...

    def history(self, table: str, *, after: int = -1) -> list[TableVersion]:
        """Newest first, those above `after` alone: what it reads grows with their number, not with that of all."""
        ...

    def tables(self) -> list[str]: ...


@runtime_checkable
class LazyTables(Protocol):
    """A capability beyond the port: a lazy frame with filters and columns pushed down to the files."""

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame: ...


@runtime_checkable
class PhysicalTables(Protocol):
    """A capability beyond the port: a table as the files it is made of, for second engines, backup and restore.

    1. `files` are the addresses of a version's data files.
    2. `parts` are the names of all files that the versions up to this one are made of, in an order in which a table that is only
       partly placed never shows rows it should not; what a vacuum has removed is left out.
    3. `place` of all parts into a store without that table gives the same versions with the same rows and notes. Placing the same
       bytes again changes nothing; other bytes under a name that is there are an `InputError`.
    """

    def files(self, table: str, version: int) -> list[str]: ...

    def location(self, table: str) -> str: ...

    def parts(self, table: str, version: int) -> list[str]: ...

    def fetch(self, table: str, part: str) -> bytes: ...

    def place(self, table: str, part: str, data: bytes) -> None: ...


@runtime_checkable
class CheckedTables(Protocol):
    """A capability beyond the port: what a version is made of, so that a change made beneath the store is noticed.

    1. `contents` names the parts a version is read from: its data, and what the store wrote to make it this version. It is the
       same whatever is written through the store afterwards, and after a restore to another place.
    2. `content` of a part is that of its bytes as they lie there now; None when it is gone.
    """

    def contents(self, table: str, version: int) -> frozenset[str]: ...

    def content(self, table: str, part: str) -> Content | None: ...
