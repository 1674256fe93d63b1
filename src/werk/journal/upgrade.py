"""Bring an older journal to this werk's schema; facts are never rewritten."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, update

from werk.core.errors import InputError
from werk.journal.database import Database, SqliteDatabase, connect
from werk.journal.schema import read_meta
from werk.journal.tables import META, METADATA, SCHEMA


def upgrade(url: str) -> Path | None:
    """Raise the schema number step by step in one transaction; a SQLite file is copied first.

    Returns the copy's path; None when there was nothing to do, or on Postgres, where the transaction is the safety.
    """
    database = connect(url)
    try:
        number = int(read_meta(database).get("schema", SCHEMA))
        if number > SCHEMA:
            raise InputError(
                f"The journal has schema {number} and this werk knows {SCHEMA}.", code="journal-newer", hint="Upgrade werk."
            )
        if number == SCHEMA:
            return None
        copy = _copied(database, number)
        with database.writing() as connection:
            for step in _STEPS[number:]:
                step(connection)
            connection.execute(update(META).where(META.c.key == "schema").values(value=str(SCHEMA)))
            # Projections are replayed by the next process that opens the journal.
            connection.execute(update(META).where(META.c.key == "projections").values(value="{}"))
        return copy
    finally:
        database.close()


def _from_0(connection: Connection) -> None:
    """Schema 0, never released, had no metric points."""
    METADATA.create_all(connection, checkfirst=True)


_STEPS: tuple[Callable[[Connection], None], ...] = (_from_0,)


def _copied(database: Database, number: int) -> Path | None:
    if not isinstance(database, SqliteDatabase):
        return None
    copy = database.path.with_name(f"{database.path.name}.schema-{number}")
    if copy.exists():
        raise InputError(f"The copy {copy} exists already.", code="journal-copy-exists", hint="Move it away and upgrade again.")
    partial = copy.with_name(copy.name + ".partial")
    # SQLite's own backup: what still stands in the write-ahead log is in the copy too.
    source, target = sqlite3.connect(database.path), sqlite3.connect(partial)
    try:
        source.backup(target)
    finally:
        source.close()
        target.close()
    shutil.move(partial, copy)
    return copy
