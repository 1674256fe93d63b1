"""What can be asked of a journal: rows of projections, facts, the head."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, false, or_, select

from werk.core.canonical import JSON
from werk.core.errors import Tampered, unknown
from werk.core.journal import Fact, Head, Row
from werk.journal.chain import GENESIS
from werk.journal.projections import Shape, Shapes
from werk.journal.tables import FACTS
from werk.journal.upcasts import upcast

PAGE = 500
FACT_FIELDS = tuple(FACTS.c[name] for name in Fact.__dataclass_fields__)
_scan = json.JSONDecoder().raw_decode

Connect = Callable[[], AbstractContextManager[Connection]]


class SqlReader:
    """Reads of one project; `connect` says where, `until` hides later facts."""

    def __init__(self, project: str, shapes: Shapes, connect: Connect, until: int | None = None) -> None:
        self.project = project
        self._shapes, self._connect, self._until = shapes, connect, until

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
        shape = self._shapes[projection]
        chosen = [_column(shape, name) for name in columns] or list(shape.table.columns)
        query = select(*chosen).where(shape.table.c.project == self.project)
        for name, value in (where or {}).items():
            query = query.where(_equals(shape, name, value))
        if shape.history and not history:
            query = query.where(shape.table.c.valid_to.is_(None))
        query = query.order_by(*_order(shape, order)).limit(limit)
        with self._connect() as connection:
            return [shape.read(row, columns or shape.columns) for row in connection.execute(query)]

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
    ) -> Iterator[Fact]:
        """Facts after `after`, read in pages: no connection is held between them, and a long walk sees new facts."""
        same = {"subject": subject, "run": run, "dedupe_key": dedupe_key}
        query = select(*FACT_FIELDS).where(FACTS.c.project == self.project, FACTS.c.seq > after)
        query = query.where(*(FACTS.c[name] == value for name, value in same.items() if value is not None))
        query = query.where(FACTS.c.kind.in_(kinds)) if kinds else query
        query = query.where(FACTS.c.seq <= self._until) if self._until is not None else query
        return self._paged(query, limit, newest_first)

    def _paged(self, query: Select[Any], limit: int | None, newest_first: bool) -> Iterator[Fact]:
        left, page, last = limit, 50, None
        while left is None or left > 0:
            page = min(page * 2, PAGE)
            size = page if left is None else min(left, page)
            facts = self._page(query, size, newest_first, last)
            yield from facts
            if len(facts) < size:
                return
            left, last = (None if left is None else left - size), facts[-1].seq

    def _page(self, query: Select[Any], size: int, newest_first: bool, last: int | None) -> list[Fact]:
        seq = FACTS.c.seq
        if last is not None:
            query = query.where(seq < last if newest_first else seq > last)
        query = query.order_by(seq.desc() if newest_first else seq).limit(size)
        with self._connect() as connection:
            return [self._fact(row) for row in connection.execute(query)]

    def _fact(self, row: Sequence[Any]) -> Fact:
        return upcast(fact_of(row), self._shapes.upcasts)

    def head(self) -> Head:
        query = select(FACTS.c.seq, FACTS.c.hash).order_by(FACTS.c.seq.desc()).limit(1)
        query = query.where(FACTS.c.seq <= self._until) if self._until is not None else query
        with self._connect() as connection:
            row = connection.execute(query).first()
        return Head(row.seq, row.hash) if row else Head(0, GENESIS)

    def seq_at(self, micros: int) -> int:
        """The newest seq written at or before a time (microseconds UTC), 0 when none."""
        # `at` never decreases with seq, so the newest fact by (at, seq) is the newest by seq.
        query = select(FACTS.c.seq).where(FACTS.c.at <= micros).order_by(FACTS.c.at.desc(), FACTS.c.seq.desc()).limit(1)
        with self._connect() as connection:
            return connection.execute(query).scalar() or 0


def fact_of(row: Sequence[Any]) -> Fact:
    """A fact from a row whose columns stand in the order of `Fact`."""
    seq, project, at, actor, kind, subject, run, body, body_sha256, prev_hash, hash_, dedupe_key = row
    try:
        read = None if body is None else parsed(body)
    except ValueError as broken:
        raise Tampered(
            f"The body of fact {seq} is not the JSON that was written.", code="journal-damaged", hint="Run `werk audit verify`."
        ) from broken
    return Fact(seq, project, at, actor, kind, subject, run, read, body_sha256, prev_hash, hash_, dedupe_key)


def parsed(body: str) -> Any:
    """The JSON of a body, which starts at its first letter and ends at its last (`ValueError`)."""
    value, end = _scan(body)  # `json.loads` looks for white space around it first, which takes longer than reading it
    if end != len(body):
        raise ValueError(f"text after the JSON, at {end}")
    return value


def _equals(shape: Shape, name: str, value: object) -> ColumnElement[bool]:
    column = _column(shape, name)
    if isinstance(value, list | tuple):
        wanted = [_stored(shape, name, item) for item in value if item is not None and not _is_beyond(item)]
        some = column.in_(wanted) if wanted else false()
        return or_(some, column.is_(None)) if None in value else some
    if _is_beyond(value):
        return false()
    return column.is_(None) if value is None else column == _stored(shape, name, value)


def _is_beyond(value: object) -> bool:
    """A number that no column can hold is in no row."""
    return isinstance(value, int) and not -(2**63) <= value < 2**63


def _stored(shape: Shape, name: str, value: Any) -> object:
    return shape.stored(name, value) if name in shape.types else value


def _order(shape: Shape, order: Sequence[str]) -> list[ColumnElement[Any]]:
    """The order asked for, then the key: equal questions have equal answers on every database."""
    asked = [(_column(shape, name.removeprefix("-")), name.startswith("-")) for name in order]
    sorted_ = [column.desc().nulls_last() if down else column.asc().nulls_first() for column, down in asked]
    return [*sorted_, *(shape.table.c[name] for name in shape.identity)]


def _column(shape: Shape, name: str) -> ColumnElement[Any]:
    if name not in shape.columns or name == "project":
        raise unknown(f"column of {shape.name}", name, shape.types, code="column-unknown")
    return shape.table.c[name]
