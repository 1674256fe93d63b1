"""Bring an older journal to this werk's schema; facts are never rewritten."""

from __future__ import annotations

import filecmp
import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, update

from werk.core.errors import Transient
from werk.journal.database import ADVISORY_LOCK, Database, SqliteDatabase, connect, cursor_of, swallowed
from werk.journal.filelock import LOCK_FILES, alone
from werk.journal.foreign import check_foreign
from werk.journal.schema import check_not_newer, read_meta
from werk.journal.tables import META, METADATA, SCHEMA


def schema_number(url: str) -> int | None:
    """The schema number of the journal at `url`, None where there is none; nothing is made or written."""
    database = connect(url, read_only=True)
    try:
        return _number(database)
    finally:
        database.close()


def upgrade(url: str) -> Path | None:
    """Raise the schema number step by step in one transaction; a SQLite file is copied first.

    Returns the copy's path; None when there was nothing to do, or on Postgres, where the transaction is the safety.
    Refused while somebody writes (`Transient`). Killed at any moment it has raised all or nothing.
    """
    if schema_number(url) in (None, SCHEMA):
        return None
    database = connect(url)
    try:
        _seal(database)
        with _undisturbed(database) as connection:
            number = _number(database)
            if number is None or number == SCHEMA:  # of two that upgrade at once, the second finds it done
                return None
            copy = _copied(database, number)
            _raise(connection, number)
        return copy
    finally:
        database.close()


def _number(database: Database) -> int | None:
    found = read_meta(database)
    return check_not_newer(found) if found else None


def _seal(database: Database) -> None:
    """Not on what this user may only read, nor on what others have put on the tables."""
    database.look()
    with database.reading() as connection:
        database.sealed = database.sealed or check_foreign(connection, database.kind, ())
    if database.sealed is not None:
        raise database.sealed


def _raise(connection: Connection, number: int) -> None:
    for step in _STEPS[number:]:
        step(connection)
    # Projections are replayed by the next process that opens the journal.
    for key, value in (("schema", str(SCHEMA)), ("projections", "{}")):
        if connection.execute(update(META).where(META.c.key == key).values(value=value)).rowcount != 1:
            raise swallowed(META.name)


def _from_0(connection: Connection) -> None:
    """Schema 0, never released, had no metric points."""
    METADATA.create_all(connection, checkfirst=True)


_STEPS: tuple[Callable[[Connection], None], ...] = (_from_0,)


# --- alone ---


@contextmanager
def _undisturbed(database: Database) -> Iterator[Connection]:
    """One transaction, refused at once while somebody else writes or works on a run: an older werk would go on in its way."""
    if isinstance(database, SqliteDatabase):
        with alone(database.path.with_name(database.path.name + LOCK_FILES[-1])) as free:
            _check_free(free)
    with database.writing(ordered=False) as connection:
        cursor = cursor_of(connection)
        if database.kind == "postgresql":
            cursor.execute(f"SELECT pg_try_advisory_xact_lock({ADVISORY_LOCK})")
            _check_free(cursor.fetchone()[0])
        cursor.execute(f"SELECT run FROM leases WHERE until > {database.mark} LIMIT 1", (database.now(cursor),))
        held = cursor.fetchone()
        _check_free(held is None, f"works on the run {held[0]}" if held else "")
        yield connection


def _check_free(free: bool, what: str = "is writing") -> None:
    if not free:
        hint = "Let every command on it come to its end, then run `werk upgrade` again."
        raise Transient(f"The journal is not upgraded while somebody {what}.", code="journal-busy", hint=hint)


# --- the copy ---


def _copied(database: Database, number: int) -> Path | None:
    """The file as it is, beside it; where a killed upgrade has left the very same, that one stays."""
    if not isinstance(database, SqliteDatabase):
        return None
    first = database.path.with_name(f"{database.path.name}.schema-{number}")
    partial = first.with_name(f"{first.name}.partial")
    for left in (partial, partial.with_name(f"{partial.name}-journal")):
        left.unlink(missing_ok=True)
    # SQLite's own backup: what still stands in the write-ahead log is in the copy too.
    with closing(sqlite3.connect(database.path)) as source, closing(sqlite3.connect(partial)) as target:
        source.backup(target)
    copy = next(name for name in _names(first) if not name.exists() or filecmp.cmp(name, partial, shallow=False))
    return partial.replace(copy)


def _names(first: Path) -> Iterator[Path]:
    yield first
    yield from (first.with_name(f"{first.name}.{at}") for at in itertools.count(2))
