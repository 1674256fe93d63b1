"""The two kinds of database a journal lives in, and the little in which they differ."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Literal, Protocol
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.pool import QueuePool

from werk.core.errors import Failed, InputError, Tampered, Transient, WerkError, disk_full
from werk.journal import filelock
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
    def fetchall(self) -> Sequence[Any]: ...


def cursor_of(connection: Connection) -> Cursor:
    """The driver's own cursor: the write path skips SQLAlchemy's cost per statement."""
    cursor: Cursor = connection.connection.cursor()
    return cursor


def check_took(cursor: Cursor, rows: int, table: str) -> None:
    """The last statement wrote as many rows as it was given, or something in the database swallowed some (`Tampered`)."""
    if cursor.rowcount != rows:
        raise swallowed(table)


def swallowed(table: str) -> Tampered:
    return Tampered(
        f"The database did not keep what was written to the table {table}: nothing was written.",
        code="journal-swallowed",
        hint="Run `werk audit verify`: it names triggers and rules that are not werk's.",
    )


class Database(Protocol):
    kind: Literal["sqlite", "postgresql"]
    mark: str
    """How the driver writes a bound value."""
    clock: str
    """SQL for the database's clock in microseconds; NULL where the process shares it."""
    fence: str
    """Suffix of the SELECT that keeps a lease from changing hands until commit."""

    address: str
    """Where it lies, as it is known outside of it: a path without links followed, or a server's name, never a password."""
    sealed: WerkError | None
    """Why nothing may be written, raised by `writing`; None when it may."""

    @property
    def engine(self) -> Engine: ...

    def look(self) -> None:
        """Seal it when this user may only read it."""
        ...

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

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self.address = os.path.abspath(path)
        self.sealed: WerkError | None = _read_only(f" {path}") if read_only else None
        self._lock = WriteLock(path)
        self._pid = os.getpid()
        self._aside: tempfile.TemporaryDirectory[str] | None = None
        self._engine = create_engine(
            URL.create("sqlite", database=str(path)),
            creator=self._connected,
            poolclass=QueuePool,
            pool_size=4,
            max_overflow=-1,
            hide_parameters=True,
        )

    @property
    def engine(self) -> Engine:
        if self._pid != os.getpid():  # SQLite connections must not cross a fork
            self._engine.dispose(close=False)
            self._pid = os.getpid()
        return self._engine

    def look(self) -> None:
        if self.path.exists() and not self._may_write():
            self.sealed = self.sealed or _read_only(f" {self.path}")

    def _may_write(self) -> bool:
        return os.access(self.path, os.W_OK) and os.access(self.path.parent, os.W_OK)

    def _connected(self) -> sqlite3.Connection:
        if self.sealed is None:
            return _set_pragmas(_open_sqlite(self.path), "journal_mode = WAL", "synchronous = FULL", "secure_delete = ON")
        if not self.path.exists():
            return sqlite3.connect(":memory:", check_same_thread=False)  # nothing is there, and nothing is made
        log = self.path.with_name(f"{self.path.name}-wal")
        left = log.exists() and log.stat().st_size > 0
        if left or not self._may_write():  # closing must not move what a dead writer left into the file
            return self._read_only(left)
        return _set_pragmas(_open_sqlite(self.path), "query_only = ON")

    def _read_only(self, left: bool) -> sqlite3.Connection:
        """Where SQLite cannot make the files it shares between processes it reads the file alone, without the log beside it."""
        connection = _open_sqlite(self.path, "mode=ro")
        try:
            connection.execute("SELECT 1 FROM sqlite_schema").fetchone()
            return connection
        except sqlite3.OperationalError:
            connection.close()
        except sqlite3.Error:
            connection.close()
            raise
        return _open_sqlite(self._with_log(), "mode=ro") if left else _open_sqlite(self.path, "immutable=1")

    def _with_log(self) -> Path:
        """A copy of file and log in a folder that can be written."""
        if self._aside is None:
            self._aside = tempfile.TemporaryDirectory(prefix="werk-journal-")
            for suffix in ("", "-wal"):
                source = self.path.with_name(self.path.name + suffix)
                shutil.copyfile(source, Path(self._aside.name) / source.name)
        return Path(self._aside.name) / self.path.name

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
        _check_open(self)
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
        if self._aside is not None:
            self._aside.cleanup()


class PostgresDatabase:
    kind: Literal["sqlite", "postgresql"] = "postgresql"
    mark, fence = "%s", " FOR UPDATE"
    clock = "(extract(epoch from clock_timestamp()) * 1000000)::bigint"

    def __init__(self, url: URL, *, read_only: bool = False) -> None:
        host, port = url.host or url.query.get("host", "localhost"), url.port or url.query.get("port", 5432)
        self.address = f"postgresql://{host}:{port}/{url.database}"
        self.sealed: WerkError | None = _read_only("") if read_only else None
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

    def look(self) -> None:
        with self.reading() as connection:
            cursor = cursor_of(connection)
            cursor.execute(
                "SELECT current_setting('transaction_read_only') = 'on' "
                "OR NOT coalesce(has_table_privilege(to_regclass('facts'), 'INSERT'), true)"
            )
            if cursor.fetchone()[0]:
                self.sealed = self.sealed or _read_only("")

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
        _check_open(self)
        with _translated(self.engine), self.engine.connect() as connection, _committed(connection):
            if ordered:
                # A writer that is stopped in the middle would keep all others out: the server ends its transaction.
                wait = f"SET LOCAL idle_in_transaction_session_timeout = '{round(filelock.WAIT_S * 1000)}ms'"
                cursor_of(connection).execute(f"{wait}; SELECT pg_advisory_xact_lock({ADVISORY_LOCK})")
            yield connection

    def now(self, cursor: Cursor) -> int:
        cursor.execute(f"SELECT {self.clock}")
        return int(cursor.fetchone()[0])

    def scrub(self) -> None:
        """Old row versions go when the server vacuums; that is its operator's schedule."""

    def close(self) -> None:
        self.engine.dispose()


def connect(url: str, *, read_only: bool = False) -> Database:
    """The database an URL names: `sqlite:///path` or `postgresql://...` (any driver suffix is ours to choose)."""
    file = _FILE.fullmatch(url)
    if file and file[1] != ":memory:":
        return SqliteDatabase(Path(file[1]), read_only=read_only)
    parsed = _parsed(url)
    if parsed.drivername.split("+")[0] in ("postgresql", "postgres"):
        return PostgresDatabase(parsed, read_only=read_only)
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


def _open_sqlite(path: Path, how: str = "mode=rwc") -> sqlite3.Connection:
    address = f"file:{quote(os.path.abspath(path))}?{how}"
    return sqlite3.connect(address, uri=True, check_same_thread=False, isolation_level=None, timeout=60.0, cached_statements=512)


def _set_pragmas(connection: sqlite3.Connection, *pragmas: str) -> sqlite3.Connection:
    try:
        for pragma in pragmas:
            connection.execute(f"PRAGMA {pragma}").fetchall()
    except sqlite3.Error:
        connection.close()  # the error's frames would keep the file open
        raise
    return connection


def _read_only(place: str) -> InputError:
    said = f"The journal{place} cannot be written: this user may only read it, or this command only reads."
    return InputError(said, code="journal-unwritable", hint="Check path and rights.")


def _check_open(database: Database) -> None:
    if database.sealed is not None:
        raise database.sealed


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
