"""The journal in SQLite or Postgres: one chain of facts, bound to one project and one actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from sqlalchemy import Connection

from werk.core.canonical import JSON
from werk.core.journal import Fact, Lease, NewFact, Point, Projection, Row
from werk.journal import leases, schema
from werk.journal.database import Database, connect, cursor_of
from werk.journal.past import PastReader, past
from werk.journal.places import known
from werk.journal.points import add_points, points
from werk.journal.projections import Shapes
from werk.journal.reading import SqlReader
from werk.journal.upcasts import NONE, Upcasts
from werk.journal.writer import SqlWriter, check_text, tail_of

Sign = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Outside:
    """What lies outside the database: the folder of signed heads and the keys."""

    heads_dir: Path | None = None
    sign: Sign | None = None
    verify_key: bytes | None = None


class SqlJournal(SqlReader):
    """Implements `werk.core.journal.Journal`. Safe to share between threads; processes open their own."""

    def __init__(
        self, database: Database, shapes: Shapes, state: schema.State, outside: Outside, project: str, actor: str
    ) -> None:
        super().__init__(project, shapes, database.reading)
        check_text("project", project)
        check_text("actor", actor)
        self.project = project
        self.actor = actor
        self.database, self.shapes, self.state, self.outside = database, shapes, state, outside

    @property
    def id(self) -> str:
        """The database's random id, the same for all its projects and kept by a restore."""
        return self.state.journal

    def bound_to(self, *, project: str | None = None, actor: str | None = None) -> SqlJournal:
        """The same journal on the same connections for another project or actor."""
        return SqlJournal(self.database, self.shapes, self.state, self.outside, project or self.project, actor or self.actor)

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
        """Where a projection is out of date and cannot be written, its rows are replayed from the facts."""
        if projection in self.state.stale:
            return self.at(self.head().seq).rows(projection, where, order=order, limit=limit, history=history, columns=columns)
        return super().rows(projection, where, order=order, limit=limit, history=history, columns=columns)

    def append(self, facts: Sequence[NewFact], *, lease: Lease | None = None) -> list[Fact]:
        with self.write(lease=lease) as writer:
            return writer.append(facts)

    @contextmanager
    def write(self, *, lease: Lease | None = None) -> Iterator[SqlWriter]:
        """One transaction, committed at the end of the block and rolled back when it raises.

        Writers come one after another: keep the block short. `Lost` when the run's lease has a newer token.
        """
        with self.database_write(lease) as (_, writer):
            yield writer

    @contextmanager
    def database_write(self, lease: Lease | None = None) -> Iterator[tuple[Connection, SqlWriter]]:
        """`write` with the transaction's connection, for this room only."""
        with self.database.writing() as connection:
            cursor = cursor_of(connection)
            tail, current = tail_of(self.database, cursor, self.project)
            schema.reconcile(self.database, connection, self.shapes, self.state, current)
            if lease is not None:
                leases.fence(self.database, cursor, self.project, lease)
            writer = SqlWriter(self.project, self.actor, self.shapes, self.database, connection, tail)
            try:
                yield connection, writer
                writer.check()
            finally:
                writer.end()

    def at(self, seq: int) -> PastReader:
        return past(self.database, self.project, self.shapes, seq, self.head().seq)

    def claim(self, run: str, owner: str, *, ttl_s: float) -> Lease | None:
        return leases.claim(self.database, self.project, run, owner, ttl_s)

    def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        return leases.renew(self.database, self.project, lease, ttl_s)

    def release(self, lease: Lease) -> None:
        leases.release(self.database, self.project, lease)

    def now(self) -> int:
        """The clock that leases go by: the database's, in microseconds UTC."""
        with self.database.reading() as connection:
            return self.database.now(cursor_of(connection))

    def held(self, runs: Sequence[str]) -> list[str]:
        """Those of the runs that somebody holds right now."""
        return leases.held(self.database, self.project, runs)

    def silent(self, runs: Sequence[str]) -> list[str]:
        """Those of the runs whose holder has gone silent: whoever claims them next gets them."""
        return leases.silent(self.database, self.project, runs)

    def untaken(self, runs: Sequence[str]) -> list[str]:
        """Those of the runs that nobody has ever claimed."""
        return leases.untaken(self.database, self.project, runs)

    def add_points(self, new: Sequence[Point]) -> None:
        add_points(self.database, self.project, new)

    def points(self, run: str, name: str | None = None) -> list[Point]:
        return points(self.database, self.project, run, name)

    def close(self) -> None:
        """Let the connections go, for every journal bound to them."""
        self.database.close()

    def __enter__(self) -> SqlJournal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.close()


def open_journal(
    url: str,
    *,
    project: str,
    actor: str,
    projections: Iterable[Projection],
    heads_dir: Path | None = None,
    sign: Sign | None = None,
    verify_key: bytes | None = None,
    read_only: bool = False,
    upcasts: Upcasts = NONE,
) -> SqlJournal:
    """Open the journal at `sqlite:///path` or `postgresql://...`, making it when it is not there.

    Nothing is made, written or brought up to date with `read_only`, or where this user may only read.

    `projections` are all that this process knows: one it lacks is rebuilt by the next process that has it. `upcasts` make of
    an older version of a kind's body the next one, for projections and for whoever reads the facts. `sign` signs
    bytes with the Ed25519 key whose public half is `verify_key` (32 raw bytes); `heads_dir` holds the signed heads.
    """
    shapes = Shapes(projections, upcasts)
    database = connect(url, read_only=read_only)
    met = known(heads_dir).get((database.address, project))
    with ExitStack() as undo:
        undo.callback(database.close)
        state = schema.opened(database, shapes, met.journal if met else None)
        undo.pop_all()
    return SqlJournal(database, shapes, state, Outside(heads_dir, sign, verify_key), project, actor)
