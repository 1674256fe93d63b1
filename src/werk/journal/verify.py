"""Is everything stored still what was written? Chain, bodies, projections and signed heads are checked."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, inspect, select

from werk.core.errors import InputError, Tampered
from werk.core.journal import Damage, Fact, Row, Verification
from werk.journal import schema
from werk.journal.chain import GENESIS, fact_hash
from werk.journal.database import Cursor, cursor_of
from werk.journal.foreign import foreign
from werk.journal.heads import check_heads
from werk.journal.projections import Replayed, Shape, Shapes
from werk.journal.reading import parsed
from werk.journal.sql import SqlJournal
from werk.journal.structure import structure_damages, unreadable
from werk.journal.tables import FACT_COLUMNS, FACTS, META, METADATA

ERASED = "body.erased"
_PAGE = 2000
_HEADER = ("seq", "project", "at", "actor", "kind", "subject", "run", "v", "body_sha256", "dedupe_key")


def verify(journal: SqlJournal, *, public_key: bytes | None = None) -> Verification:
    """Re-hash every fact of every project, replay every projection, check every signed head; nothing is written.

    All is read in one snapshot, so facts appended meanwhile do no harm.
    """
    walk, shapes = _Walk(journal.shapes), journal.shapes.by_name
    with journal.database.snapshot() as connection:
        meta, stale = _meta(connection, journal.state.wanted)
        old = [shape for name, shape in shapes.items() if name in stale]
        kept = [shape for name, shape in shapes.items() if name not in stale]
        gone = structure_damages(connection, [*METADATA.sorted_tables, *(shape.table for shape in kept)])
        strange = foreign(connection, journal.database.kind, (shape.table for shape in shapes.values()))
        closed = unreadable(gone)
        if FACTS.name not in closed:
            for row in stored_facts(cursor_of(connection), journal.database.mark):
                walk.check(row)
        damages = [*meta, *gone, *strange, *walk.finish()]
        for shape in kept:
            if not closed & {FACTS.name, shape.table.name}:
                damages += _projection_damages(connection, shape, walk.replayed)
    heads = check_heads(journal, public_key or journal.outside.verify_key, walk.hashes)
    return Verification(walk.count, heads.heads, (*damages, *heads.damages), (*map(_not_compared, old), *heads.notes))


def _meta(connection: Connection, wanted: str) -> tuple[list[Damage], frozenset[str]]:
    """What is wrong with meta, and which projections it says are out of date: those are made anew before they are read."""
    if not inspect(connection).has_table(META.name):
        return [], frozenset()
    said = connection.execute(select(META.c.value).where(META.c.key == "projections")).scalar()
    try:
        schema.current_of(str(said))
    except Tampered as wrong:
        return [Damage(META.name, "key=projections", "value", wrong.message)], frozenset()
    return [], schema.stale(str(said), wanted)


def _not_compared(shape: Shape) -> str:
    return f"The table {shape.table.name} is out of date and was not compared: the next command that writes makes it anew."


def replay(journal: SqlJournal) -> dict[str, list[Row]]:
    """The project's projections as its facts say they are, sorted like `rows(name, history=True)`."""
    shapes = list(journal.shapes.by_name.values())
    with journal.database.snapshot() as connection:
        replayed = schema.replayed_from(connection, shapes, project=journal.project)
    return {
        shape.name: sorted((shape.read(row, shape.columns) for row in replayed.rows(shape)), key=_by_identity(shape))
        for shape in shapes
    }


def _by_identity(shape: Shape) -> Any:
    names = tuple(name for name in shape.identity if name != "project")
    return lambda row: tuple(str(row[n]).encode() if isinstance(row[n], str) else row[n] for n in names)


def stored_facts(cursor: Cursor, mark: str) -> Iterator[Sequence[Any]]:
    """Every fact's row in the order of the table, in pages."""
    sql = f"SELECT {', '.join(FACT_COLUMNS)} FROM facts WHERE seq > {mark} ORDER BY seq LIMIT {_PAGE}"
    last = -(2**62)
    while True:
        rows = _fetched(cursor, sql, (last,))
        yield from rows
        if len(rows) < _PAGE:
            return
        last = rows[-1][0]


def _fetched(cursor: Cursor, sql: str, values: Sequence[object] = ()) -> Sequence[Any]:
    """All rows of a question; bytes that are no UTF-8 are escaped where SQLite has let them in, so that they can be named."""
    try:
        cursor.execute(sql, values)
        return cursor.fetchall()
    except sqlite3.OperationalError as broken:
        if "decode" not in str(broken):
            raise
    connection: sqlite3.Connection = cursor.connection  # type: ignore[attr-defined]  # only SQLite's comes here
    connection.text_factory = lambda text: text.decode(errors="surrogateescape")
    try:
        cursor.execute(sql, values)
        return cursor.fetchall()
    finally:
        connection.text_factory = str


class _Walk:
    """One pass over the chain; bodies that pass are replayed on the way."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self.replayed = Replayed(shapes.by_name.values())
        self.hashes: dict[int, str] = {}
        self.count = 0
        self._damages: list[Damage] = []
        self._seq, self._hash, self._at = 0, GENESIS, 0
        self._empty: dict[int, str] = {}
        self._named: set[tuple[int, str]] = set()

    def check(self, row: Sequence[Any]) -> None:
        seq, project, at, actor, kind, subject, run, v, salt, body, body_sha256, prev_hash, hash_, dedupe_key = row
        self.count += 1
        self._link(seq, prev_hash, at)
        actual = self._body(seq, project, kind, v, salt, body, body_sha256)
        try:
            computed = fact_hash(prev_hash, seq, project, at, actor, kind, subject, run, v, body_sha256, dedupe_key)
            if computed != hash_ and actual and actual != body_sha256:
                repaired = fact_hash(prev_hash, seq, project, at, actor, kind, subject, run, v, actual, dedupe_key)
                if repaired == hash_:
                    self._add(seq, "body_sha256", "The body's hash was changed")
                    computed = hash_
        except (TypeError, UnicodeError):
            computed = ""
        if computed != hash_:
            self._add(seq, ", ".join((*_HEADER, "prev_hash", "hash")), "A column was changed: the row does not have its hash")
        self.hashes[seq] = hash_
        self._seq, self._hash, self._at = seq, hash_, at if isinstance(at, int) else self._at
        if body is not None:
            self._replay(row)

    def _link(self, seq: int, prev_hash: str, at: object) -> None:
        if seq != self._seq + 1:
            gap = f"seq={self._seq + 1}" if seq == self._seq + 2 else f"seq={self._seq + 1}..{seq - 1}"
            said = f"Facts of the table facts are missing or out of place before fact {seq} ({gap})."
            self._damages.append(Damage("facts", gap, "seq", said))
        elif prev_hash != self._hash:
            self._add(seq, "prev_hash", "It does not follow the fact before it (whose `hash` may have been changed)")
            said = f"Fact {seq} of the table facts does not name the hash of fact {self._seq}."
            self._damages.append(Damage("facts", f"seq={self._seq}", "hash", said))
        if not isinstance(at, int) or at < self._at:
            self._add(seq, "at", "Its time is earlier than its predecessor's")

    def _body(self, seq: int, project: str, kind: str, v: int, salt: Any, body: Any, body_sha256: str) -> str | None:
        """The hash of what stands in body and salt, None when both are erased; damage is noted."""
        if body is None and salt is None:
            self._empty[seq] = project
            return None
        if not isinstance(body, str) or not isinstance(salt, bytes):
            self._add(seq, "body, salt", "Body and salt do not belong together")
            return None
        actual = hashlib.sha256(salt + body.encode(errors="replace")).hexdigest()
        if actual != body_sha256:
            self._add(seq, "body, salt, body_sha256", "The body is not the one that was hashed")
        return actual

    def _replay(self, row: Sequence[Any]) -> None:
        seq, project, at, actor, kind, subject, run, _, _, body, body_sha256, prev_hash, hash_, dedupe_key = row
        if kind != ERASED and kind not in self._shapes.by_kind:
            return
        try:
            read = parsed(body)
            fact = Fact(seq, project, at, actor, kind, subject, run, read, body_sha256, prev_hash, hash_, dedupe_key)
            if kind == ERASED:
                self._named.add((read["seq"], project))
            self.replayed.add(self._shapes.ops(fact))
        except (InputError, ValueError, TypeError, KeyError, AttributeError) as broken:
            self._add(seq, "body", f"It cannot be replayed ({type(broken).__name__})")

    def finish(self) -> list[Damage]:
        for seq, project in self._empty.items():
            if (seq, project) not in self._named:
                self._add(seq, "body, salt", "The body is gone and no fact says that it was erased")
        return self._damages

    def _add(self, seq: int, column: str, sentence: str) -> None:
        self._damages.append(Damage("facts", f"seq={seq}", column, f"{sentence} (table facts, fact {seq})."))


def _projection_damages(connection: Connection, shape: Shape, replayed: Replayed) -> list[Damage]:
    """Every row and column in which the stored table differs from the replayed one."""
    size = len(shape.key_columns)
    wanted = {row: row for row in replayed.rows(shape)}
    others = [found for found in _stored_rows(cursor_of(connection), shape) if not _taken(wanted, found)]
    at = shape.columns.index("valid_from") if shape.history else None
    missed = {_identity(row, size, at): row for row in wanted}
    damages = [damage for row in others for damage in _row_damages(shape, row, missed.pop(_identity(row, size, at), None))]
    return damages + [damage for row in missed.values() for damage in _row_damages(shape, None, row)]


def _taken(wanted: dict[tuple[Any, ...], tuple[Any, ...]], found: tuple[Any, ...]) -> bool:
    """Whether this very row is wanted, and then it is no longer: 1, 1.0 and True are equal, and not the same."""
    row = wanted.get(found)
    if row is None or [*map(type, found)] != [*map(type, row)]:
        return False
    del wanted[row]
    return True


def _stored_rows(cursor: Cursor, shape: Shape) -> Iterator[tuple[Any, ...]]:
    names = ", ".join(f'"{name}"' for name in shape.columns)
    return map(tuple, _fetched(cursor, f"SELECT {names} FROM {shape.table.name}"))


def _row_damages(shape: Shape, found: Sequence[Any] | None, wanted: Sequence[Any] | None) -> Iterator[Damage]:
    table, where = shape.table.name, _where(shape, found if found is not None else wanted or ())
    if wanted is None:
        yield Damage(table, where, ", ".join(shape.identity), f"No fact knows this row of the table {table} ({where}).")
        return
    seq = wanted[shape.columns.index("seq")]
    if found is None:
        said = f"The table {table} lacks a row that fact {seq} wrote ({where})."
        yield Damage(table, where, ", ".join(shape.identity), said)
        return
    for name, stored, value in zip(shape.columns, found, wanted, strict=True):
        if stored != value or type(stored) is not type(value):
            said = f"The column {name} of the table {table} is not what the facts up to {seq} say ({where})."
            yield Damage(table, where, name, said)


def _identity(row: Sequence[Any], size: int, at: int | None) -> tuple[Any, ...]:
    return (*row[:size], row[at]) if at is not None else tuple(row[:size])


def _where(shape: Shape, row: Sequence[Any]) -> str:
    by_name = dict(zip(shape.columns, row, strict=True))
    text = ", ".join(f"{name}={by_name[name]}" for name in shape.identity)
    return text.encode(errors="backslashreplace").decode()
