"""The journal as it stood after an earlier fact."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache

from sqlalchemy import Connection, create_engine
from sqlalchemy.pool import StaticPool

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.core.journal import Row
from werk.journal import schema
from werk.journal.database import Database, cursor_of
from werk.journal.projections import Applier, Shapes
from werk.journal.reading import SqlReader


class PastReader(SqlReader):
    """Facts are read where they are; a projection is replayed up to `seq` into memory when first asked for."""

    def __init__(self, database: Database, project: str, shapes: Shapes, seq: int) -> None:
        super().__init__(project, shapes, database.reading, until=seq)
        self._replayed = cache(self._replay)

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
        return self._replayed(projection).rows(projection, where, order=order, limit=limit, history=history, columns=columns)

    def _replay(self, projection: str) -> SqlReader:
        shape = self._shapes[projection]
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})

        @contextmanager
        def connect() -> Iterator[Connection]:
            with engine.connect() as memory:
                yield memory

        with self._connect() as connection:
            replayed = schema.replayed_from(connection, [shape], project=self.project, until=self._until)
        with engine.begin() as memory:
            shape.table.create(memory)
            Applier(cursor_of(memory), "?").insert(shape, replayed.rows(shape))
        return SqlReader(self.project, self._shapes, connect)


def past(database: Database, project: str, shapes: Shapes, seq: int, head: int) -> PastReader:
    if not 0 <= seq <= head:
        raise InputError(f"The journal has no fact {seq}.", code="seq-unknown", hint=f"Its newest fact is {head}.")
    return PastReader(database, project, shapes, seq)
