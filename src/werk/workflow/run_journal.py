"""The journal as a step sees it: every fact carries the run and is fenced by its lease."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from werk.core.canonical import JSON
from werk.core.journal import Fact, Head, Journal, Lease, NewFact, Point, Reader, Row, Writer


class _Reads:
    """The asking half, passed on as it is."""

    def __init__(self, inner: Reader) -> None:
        self._inner = inner

    def rows(self, projection: str, where: Mapping[str, JSON | Sequence[JSON]] | None = None, **how: Any) -> list[Row]:
        return self._inner.rows(projection, where, **how)

    def facts(self, **which: Any) -> Iterator[Fact]:
        return self._inner.facts(**which)

    def head(self) -> Head:
        return self._inner.head()


class RunWriter(_Reads):
    def __init__(self, inner: Writer, run: str) -> None:
        super().__init__(inner)
        self._writer = inner
        self._run = run

    def append(self, facts: Sequence[NewFact]) -> list[Fact]:
        return self._writer.append(_of_run(facts, self._run))


class RunJournal(_Reads):
    """`append` and `write` raise `Lost` once another worker has taken the run over."""

    def __init__(self, inner: Journal, lease: Lease) -> None:
        super().__init__(inner)
        self._journal = inner
        self._lease = lease
        self.project = inner.project

    def append(self, facts: Sequence[NewFact], *, lease: Lease | None = None) -> list[Fact]:
        return self._journal.append(_of_run(facts, self._lease.run), lease=lease or self._lease)

    @contextmanager
    def write(self, *, lease: Lease | None = None) -> Iterator[Writer]:
        with self._journal.write(lease=lease or self._lease) as writer:
            yield RunWriter(writer, self._lease.run)

    def at(self, seq: int) -> Reader:
        return self._journal.at(seq)

    def seq_at(self, micros: int) -> int:
        return self._journal.seq_at(micros)

    def claim(self, run: str, owner: str, *, ttl_s: float) -> Lease | None:
        return self._journal.claim(run, owner, ttl_s=ttl_s)

    def renew(self, lease: Lease, *, ttl_s: float) -> bool:
        return self._journal.renew(lease, ttl_s=ttl_s)

    def release(self, lease: Lease) -> None:
        self._journal.release(lease)

    def add_points(self, points: Sequence[Point]) -> None:
        self._journal.add_points(points)

    def points(self, run: str, name: str | None = None) -> list[Point]:
        return self._journal.points(run, name)


def _of_run(facts: Sequence[NewFact], run: str) -> list[NewFact]:
    return [fact if fact.run else dataclasses.replace(fact, run=run) for fact in facts]
