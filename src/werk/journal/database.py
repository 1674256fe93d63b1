"""The two kinds of database a journal lives in, and the little in which they differ."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from werk.core.errors import Failed, InputError, Tampered, Transient, WerkError, disk_full
from werk.journal.filelock import LOCK_FILES, WriteLock

ADVISORY_LOCK = 0x7765726B  # "werk": one per database, as the chain is
Values = Sequence[object]
_ROOM_BYTES = 1 << 20
# The rest is a path as it is: `#`, `?` and `%41` are good names of folders.
_FILE = re.compile(r"sqlite(?:\+\w+)?:///(.+)", re.DOTALL)


class Cursor(Protocol):
    """What we use of a DBAPI cursor."""

    @property
    def rowcount(self) -> int: ...
    def execute(self, sql: str, values: Values = ..., /) -> object: ...
    def executemany(self, sql: str, rows: Sequence[Values], /) -> object: ...
    def fetchone(self) -> Any: ...
    def fetchmany(self, size: int, /) -> Sequence[Any]: ...
    def fetchall(self) -> Sequence[Any]: ...


def cursor_of(connection: Connection) -> Cursor:
    """The driver's own cursor: the write path skips SQLAlchemy's cost per statement."""
    cursor: Cursor = connection.connection.cursor()
    return cursor


class Database(Protocol):
    kind: Literal["sqlite", "postgresql"]
    mark: str
    """How the driver writes a bound value."""
    clock: str
    """SQL for the database's clock in microseconds; NULL where the process shares it."""
    fence: str
    """Suffix of the SELECT that keeps a lease from changing hands until commit."""

    @property
    def engine(self) -> Engine: ...

    def reading(self) -> AbstractContextManager[Connection]: ...

    def snapshot(self) -> AbstractContextManager[Connection]:
        """A connection on which every read sees the same moment."""
        ...

    def writing(self, *, ordered: bool = True) -> AbstractContextManager[Connection]:
        """One transaction, committed at the end; `ordered` ones come one after another."""
        ...

    def now(self, cursor: Cursor) -> int: ...

    def scrub(self) -> None:
        """Leave nothing of overwritten values in files this process can reach."""
        ...

    def close(self) -> None: ...


class SqliteDatabase:
    kind: Literal["sqlite", "postgresql"] = "sqlite"
    mark, clock, fence = "?", "NULL", ""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = WriteLock(path)
        self._pid = os.getpid()
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=-1,
            hide_parameters=True,
            connect_args={"check_same_thread": False, "isolation_level": None, "timeout": 60.0, "cached_statements": 512},
        )
        event.listen(self._engine, "connect", _set_pragmas)

    @property
    def engine(self) -> Engine:
        if self._pid != os.getpid():  # SQLite connections must not cross a fork
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(self._engine), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with self.reading() as connection:
            cursor_of(connection).execute("BEGIN")
            yield connection

    @contextmanager
    def writing(self, *, ordered: bool = True) -> Iterator[Connection]:
        with _translated(self._engine), self._lock.held(), self.engine.connect() as connection:
            cursor_of(connection).execute("BEGIN IMMEDIATE")
            with _committed(connection):
                yield connection

    def now(self, cursor: Cursor) -> int:
        return time.time_ns() // 1000

    def scrub(self) -> None:
        with self.reading() as connection:  # secure_delete zeroes the pages; the log still held the old ones
            cursor_of(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def close(self) -> None:
        self._engine.dispose()
        self._lock.close()


class PostgresDatabase:
    kind: Literal["sqlite", "postgresql"] = "postgresql"
    mark, fence = "%s", " FOR UPDATE"
    clock = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

    def __init__(self, url: URL) -> None:
        try:
            self.engine = create_engine(
                url.set(drivername="postgresql+psycopg"), pool_size=4, max_overflow=-1, hide_parameters=True
            )
        except ModuleNotFoundError as missing:
            raise InputError(
                "journal 'postgresql' needs 'psycopg', which is not installed.",
                code="library-missing",
                hint="pip install 'werk[postgres]'",
            ) from missing

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        with _translated(self.engine), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def snapshot(self) -> Iterator[Connection]:
        with _translated(self.engine), self.engine.connect() as connection:
            yield connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)

    @contextmanager
    def writing(self, *, ordered: bool = True) -> Iterator[Connection]:
        with _translated(self.engine), self.engine.connect() as connection, _committed(connection):
            if ordered:
                cursor_of(connection).execute(f"SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            yield connection

    def now(self, cursor: Cursor) -> int:
        cursor.execute(f"SELECT {self.clock}")
        return int(cursor.fetchone()[0])

    def scrub(self) -> None:
        """Old row versions go when the server vacuums; that is its operator's schedule."""

    def close(self) -> None:
        self.engine.dispose()


def connect(url: str) -> Database:
    """The database an URL names: `sqlite:///path` or `postgresql://...` (any driver suffix is ours to choose)."""
    file = _FILE.fullmatch(url)
    if file and file[1] != ":memory:":
        return SqliteDatabase(Path(file[1]))
    parsed = _parsed(url)
    if parsed.drivername.split("+")[0] in ("postgresql", "postgres"):
        return PostgresDatabase(parsed)
    raise InputError(
        f"A journal cannot live in '{parsed.drivername}'.",
        code="journal-url",
        hint="Use sqlite:///path/to/journal.db or postgresql://user@host/name.",
    )


def _parsed(url: str) -> URL:
    try:
        return make_url(url)
    except (ArgumentError, ValueError):
        raise InputError(
            "The journal's URL cannot be read.",  # it is not repeated here: it may hold a password
            code="journal-url",
            hint="Use sqlite:///path/to/journal.db or postgresql://user@host/name.",
        ) from None


def _set_pragmas(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA secure_delete = ON")


@contextmanager
def _committed(connection: Connection) -> Iterator[None]:
    """Commit at the end, roll back on the way out of an error."""
    driver = connection.connection
    try:
        yield
        driver.commit()
    except BaseException:
        driver.rollback()
        raise


@contextmanager
def _translated(engine: Engine) -> Iterator[None]:
    """Driver errors become ours at this edge. Their first line is kept, their statement and values are not."""
    driver: type[Exception] = engine.dialect.loaded_dbapi.Error
    try:
        yield
    except DBAPIError as wrapped:
        raise _named(wrapped.orig or wrapped, _place(engine)) from None
    except PoolTimeout as full:
        raise Transient("No connection to the journal is free.", code="journal-busy", hint="Try again.") from full
    except driver as raw:
        raise _named(raw, _place(engine)) from None
    except OSError as denied:
        if denied.filename is None or not str(denied.filename).endswith(LOCK_FILES):
            raise
        raise _named(denied, _place(engine)) from None


def _place(engine: Engine) -> str:
    """A file's path; a server's address may hold what must not be shown."""
    return f" {engine.url.database}" if engine.dialect.name == "sqlite" else ""


def _has_no_room(place: str) -> bool:
    """SQLite says no more than `disk I/O error` when the file it shares between processes cannot grow."""
    folder = Path(place.strip()).parent
    return folder.is_dir() and shutil.disk_usage(folder).free < _ROOM_BYTES


def _named(error: BaseException, place: str) -> WerkError:
    text = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    lower = text.lower()
    if any(word in lower for word in ("readonly", "read-only", "unable to open", "permission denied", "no such file")):
        return InputError(
            f"The journal{place} cannot be written: {text}.", code="journal-unwritable", hint="Check path and rights."
        )
    if any(word in lower for word in ("malformed", "not a database", "corrupt")):
        return Tampered(f"The journal's file is damaged: {text}.", code="journal-damaged", hint="Restore a backup.")
    if "is full" in lower or ("disk i/o" in lower and _has_no_room(place)):
        return disk_full(f"the journal{place}")
    if "locked" in lower:
        return Transient("Another program holds the journal's file.", code="journal-busy", hint="Try again.")
    if any(cls.__name__ == "OperationalError" and cls.__module__.startswith("psycopg") for cls in type(error).__mro__):
        return Transient(
            "The journal's database cannot be reached.",
            code="journal-unreachable",
            hint="Check that the server runs, then retry.",
        )
    return Failed(f"The journal's database refused: {text}.", code="journal-failed", hint="Run `werk doctor`.")
