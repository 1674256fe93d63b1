"""The Journal Protocol: append-only facts and the projections read from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, Protocol

from werk.core.canonical import JSON

ColumnType = Literal["text", "int", "real", "json", "bool"]
Row = dict[str, "JSON"]


@dataclass(frozen=True, slots=True)
class NewFact:
    """What a room asks to be written. `body` holds everything a projection needs; `v` is the body's schema version.

    `subject` and `run` are opaque ids. A second append with the same `dedupe_key` writes nothing and returns the first fact.
    """

    kind: str
    subject: str
    body: Mapping[str, JSON]
    run: str | None = None
    dedupe_key: str | None = None
    v: int = 1


@dataclass(frozen=True, slots=True)
class Fact:
    """A written fact. `at` is microseconds UTC, never earlier than its predecessor's; an erased body is `None`."""

    seq: int
    project: str
    at: int
    actor: str
    kind: str
    subject: str
    run: str | None
    body: Mapping[str, JSON] | None
    body_sha256: str
    prev_hash: str
    hash: str
    dedupe_key: str | None


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    type: ColumnType = "text"


@dataclass(frozen=True, slots=True)
class Upsert:
    """Insert the row, or overwrite exactly the given columns of the row with the same key."""

    row: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Update:
    """Change the given columns of the row with this key; nothing happens when there is none."""

    key: Mapping[str, JSON]
    values: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Delete:
    key: Mapping[str, JSON]


Change = Upsert | Update | Delete


@dataclass(frozen=True, slots=True)
class Projection:
    """A table derived from facts: declared by the room that writes their kinds, run by the journal.

    `apply` is a pure function of one fact (never of the table's current rows), so that dropping and replaying gives the same
    rows. The journal adds `project` in front of the key and a column `seq` (the last fact that touched the row).
    An erased fact (body None) is not applied. With `history`, a row is closed by `valid_to` and a new one opened
    with `valid_from` (both are seq) instead of being overwritten.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    kinds: tuple[str, ...]
    apply: Callable[[Fact], Iterable[Change]]
    history: bool = False
    index: tuple[tuple[str, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Head:
    """The newest fact's place in the chain; `seq` 0 and 64 zeros when the journal is empty."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to write a run's facts: every write of the run checks `token` in its own transaction."""

    run: str
    owner: str
    token: int


class Reader(Protocol):
    """What can be asked of a journal, now or as of an earlier fact. Everything is limited to the bound project."""

    def rows(
        self,
        projection: str,
        where: Mapping[str, JSON | Sequence[JSON]] | None = None,
        *,
        order: Sequence[str] = (),
        limit: int | None = None,
        history: bool = False,
        columns: Sequence[str] = (),
    ) -> list[Row]:
        """Rows of a projection whose columns equal `where` (a list or tuple means any of).

        `order` names columns, `-name` is descending; `history=True` returns closed rows of a history projection too.
        `columns` are those a row has; without, all: a long listing need not read what it does not show.
        """
        ...

    def facts(
        self,
        *,
        after: int = 0,
        kinds: Sequence[str] = (),
        subject: str | None = None,
        run: str | None = None,
        dedupe_key: str | None = None,
        limit: int | None = None,
        newest_first: bool = False,
    ) -> Iterator[Fact]: ...

    def head(self) -> Head: ...


class Writer(Reader, Protocol):
    """One write transaction: what it reads cannot change before it commits."""

    def append(self, facts: Sequence[NewFact]) -> list[Fact]: ...


@dataclass(frozen=True, slots=True)
class Point:
    """One metric value of a run: an unchained row (a digest fact covers all of a run's points)."""

    run: str
    name: str
    step: int
    value: float
    at: int = 0


@dataclass(frozen=True, slots=True)
class Damage:
    """One thing `verify` found wrong: where (`facts` or a projection), which seq or row, which column, and a sentence."""

    table: str
    where: str
    column: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What `verify` found; `notes` are sentences on what there was nothing to compare with."""

    facts: int
    heads: int
    damages: tuple[Damage, ...] = field(default=())
    notes: tuple[str, ...] = field(default=())

    @property
    def ok(self) -> bool:
        return not self.damages


class Journal(Reader, Protocol):
    """Append-only facts of many projects in one strict chain, bound to one project and one actor.

    1. `append` is atomic with its projections: all or nothing, in order, `seq` without gaps.
    2. An appended fact survives the death of the process (SQLite synchronous FULL, Postgres commit).
    3. A known `dedupe_key` (per project) writes nothing and returns the fact already there.
    4. `write(lease=)` raises `Lost` when the run's lease has a newer token.
    5. Readers never see a later fact without every earlier one.
    """

    project: str

    def append(self, facts: Sequence[NewFact], *, lease: Lease | None = None) -> list[Fact]: ...

    def write(self, *, lease: Lease | None = None) -> AbstractContextManager[Writer]: ...

    def at(self, seq: int) -> Reader:
        """The journal as it stood after fact `seq`."""
        ...

    def seq_at(self, micros: int) -> int:
        """The newest seq written at or before a time (microseconds UTC), 0 when none."""
        ...

    # --- leases: by the database's clock ---
    def claim(self, run: str, owner: str, *, ttl_s: float) -> Lease | None:
        """Take the run if nobody holds it or its lease has expired; None when it is held."""
        ...

    def renew(self, lease: Lease, *, ttl_s: float) -> bool: ...

    def release(self, lease: Lease) -> None: ...

    # --- bulk numbers, unchained ---
    def add_points(self, points: Sequence[Point]) -> None: ...

    def points(self, run: str, name: str | None = None) -> list[Point]: ...
