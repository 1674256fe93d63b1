"""One write transaction: facts go to the end of the chain and through the projections, or nowhere."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from sqlalchemy import Connection, select

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import Failed, InputError, Tampered
from werk.core.journal import Fact, NewFact
from werk.journal import moving
from werk.journal.chain import GENESIS, SALT_BYTES, body_hash, fact_hash
from werk.journal.database import Cursor, Database, check_took, cursor_of, swallowed
from werk.journal.projections import Applier, Op, Shapes
from werk.journal.reading import FACT_FIELDS, SqlReader, parsed
from werk.journal.tables import FACT_COLUMNS, FACTS

_CHUNK = 500


@dataclass(slots=True)
class Tail:
    """Where the chain ends, and the database's clock at that moment."""

    seq: int
    hash: str
    at: int


class Stored(NamedTuple):
    """A fact's row, in the order of the table."""

    seq: int
    project: str
    at: int
    actor: str
    kind: str
    subject: str
    run: str | None
    v: int
    salt: bytes
    body: str
    body_sha256: str
    prev_hash: str
    hash: str
    dedupe_key: str | None

    def fact(self) -> Fact:
        """As a reader will see it: the body is what its JSON says, not the object that was handed in."""
        return Fact(
            self.seq,
            self.project,
            self.at,
            self.actor,
            self.kind,
            self.subject,
            self.run,
            parsed(self.body),
            self.body_sha256,
            self.prev_hash,
            self.hash,
            self.dedupe_key,
        )


def tail_of(database: Database, cursor: Cursor, project: str) -> tuple[Tail, str]:
    """The chain's end and the projections that are up to date, in one question. `Refused` when the project has moved."""
    cursor.execute(
        f"SELECT f.seq, f.hash, f.at, {database.clock}, m.value, (SELECT value FROM meta WHERE key = {database.mark}) "
        "FROM meta m "
        "LEFT JOIN (SELECT seq, hash, at FROM facts ORDER BY seq DESC LIMIT 1) f ON 1 = 1 WHERE m.key = 'projections'",
        (moving.key_of(project),),
    )
    found = cursor.fetchone()
    if found is None:
        said = "The journal's meta table is damaged (table meta, key projections)."
        raise Tampered(said, code="journal-damaged", hint="Restore a backup.")
    seq, last, at, clock, current, moved = found
    if moved is not None:
        raise moving.left(moved)
    now = time.time_ns() // 1000 if clock is None else int(clock)
    return Tail(seq or 0, last or GENESIS, max(now, at or 0)), current


class SqlWriter(SqlReader):
    """What `write()` gives: reads see what this transaction has appended; nobody else does before it commits."""

    def __init__(self, project: str, actor: str, shapes: Shapes, database: Database, connection: Connection, tail: Tail) -> None:
        super().__init__(project, shapes, lambda: nullcontext(connection))
        self._actor, self._database, self._connection, self._tail = actor, database, connection, tail
        self._cursor, self._began = cursor_of(connection), tail.seq
        self._open = True

    def append(self, facts: Sequence[NewFact]) -> list[Fact]:
        if not self._open:
            raise Failed("This write has ended.", code="journal-write-ended", hint="Begin another with `write()`.")
        known = self._known(facts)
        tail = Tail(self._tail.seq, self._tail.hash, self._tail.at)
        salts = secrets.token_bytes(SALT_BYTES * len(facts))
        stored: list[Stored] = []
        written: list[Fact] = []
        ops: list[Op] = []
        for at, new in enumerate(facts):
            fact = known.get(new.dedupe_key) if new.dedupe_key is not None else None
            if fact is None:
                stored.append(chained(tail, self.project, self._actor, new, salts[at * SALT_BYTES : (at + 1) * SALT_BYTES]))
                fact = stored[-1].fact()
                ops += self._shapes.ops(fact)
                if new.dedupe_key is not None:
                    known[new.dedupe_key] = fact
            written.append(fact)
        self._insert(stored, ops)
        self._tail = tail
        return written

    def check(self) -> None:
        """All facts stand there up to the head: what took one away again after it was written has not won (`Tampered`)."""
        count, mark = self._tail.seq - self._began, self._database.mark
        if count == 0:
            return
        head = f"SELECT hash FROM facts WHERE seq = {mark}"
        self._cursor.execute(f"SELECT count(*), ({head}) FROM facts WHERE seq > {mark}", (self._tail.seq, self._began))
        if tuple(self._cursor.fetchone()) != (count, self._tail.hash):
            raise swallowed(FACTS.name)

    def end(self) -> None:
        self._open = False

    def _insert(self, stored: Sequence[Stored], ops: Sequence[Op]) -> None:
        mark = self._database.mark
        sql = f"INSERT INTO facts ({', '.join(FACT_COLUMNS)}) VALUES ({', '.join([mark] * len(FACT_COLUMNS))})"
        if len(stored) == 1:
            self._cursor.execute(sql, stored[0])
        elif stored:
            self._cursor.executemany(sql, stored)
        if stored:
            check_took(self._cursor, len(stored), FACTS.name)
        Applier(self._cursor, mark).apply(ops)

    def _known(self, facts: Sequence[NewFact]) -> dict[str | None, Fact]:
        keys = sorted({new.dedupe_key for new in facts if new.dedupe_key is not None})
        mark, found = self._database.mark, dict[str | None, Fact]()
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            self._cursor.execute(_select_seqs(len(chunk), mark), (self.project, *chunk))
            seqs = [seq for (seq,) in self._cursor.fetchall() if seq is not None]
            query = select(*FACT_FIELDS).where(FACTS.c.seq.in_(seqs))
            known = map(self._fact, self._connection.execute(query)) if seqs else ()
            found.update((fact.dedupe_key, fact) for fact in known)
        return found


@lru_cache(64)
def _select_seqs(count: int, mark: str) -> str:
    # A subquery for each key, not `IN`: Postgres, when it has not yet counted the rows, would read the whole project.
    seq = f"SELECT seq FROM facts WHERE project = {mark} AND dedupe_key = column1"
    return f"SELECT ({seq}) FROM (VALUES {', '.join([f'({mark})'] * count)}) AS keys"


def chained(tail: Tail, project: str, actor: str, new: NewFact, salt: bytes) -> Stored:
    """The next fact's row; `tail` moves on to it."""
    for name, text in (("kind", new.kind), ("subject", new.subject), ("run", new.run), ("dedupe_key", new.dedupe_key)):
        check_text(name, text)
    body = body_text(new)
    digest = body_hash(salt, body)
    header = (tail.seq + 1, project, tail.at, actor, new.kind, new.subject, new.run, new.v)
    hash_ = fact_hash(tail.hash, *header, digest, new.dedupe_key)
    stored = Stored(*header, salt, body, digest, tail.hash, hash_, new.dedupe_key)
    tail.seq, tail.hash = stored.seq, hash_
    return stored


def body_text(new: NewFact) -> str:
    """The body and its version `v` as canonical JSON; what JSON cannot hold is an `InputError`."""
    body: Mapping[str, JSON] = {**new.body, "v": new.v}
    try:
        text = canonical_json(body)
        text.encode()
    except (TypeError, ValueError, RecursionError) as wrong:
        raise InputError(
            f"The body of a '{new.kind}' fact cannot be written as JSON: {wrong}.",
            code="fact-body",
            hint="Bodies hold text, finite numbers, booleans, null, lists and objects.",
        ) from wrong
    return text


def check_text(name: str, text: str | None) -> None:
    """Refuse what one of the databases or the hash cannot hold."""
    if text is None:
        return
    if "\x00" in text or (not text.isprintable() and any("\ud800" <= letter <= "\udfff" for letter in text)):
        raise InputError(
            f"The {name} of a fact holds a character that cannot be stored.", code="fact-text", hint="Use plain Unicode text."
        )
