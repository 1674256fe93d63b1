"""Objects as rows of one SQLite file."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from werk.core.errors import InputError
from werk.core.ports.object_store import ObjectInfo

_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


class ToyObjectStore:
    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        with self._opened() as database:
            database.execute("create table if not exists objects(key text primary key, data blob not null)")

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        _check(objects)
        verb = "insert or ignore" if if_absent else "insert or replace"
        with self._opened() as database:
            changed = (
                (key, database.execute(f"{verb} into objects values (?, ?)", (key, data))) for key, data in objects.items()
            )
            return [key for key, done in changed if done.rowcount]

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        _check(keys)
        with self._opened() as database:
            return {key: _found(database, key) for key in keys}

    def exists(self, keys: Sequence[str]) -> set[str]:
        _check(keys)
        with self._opened() as database:
            return {key for key in keys if database.execute("select 1 from objects where key = ?", (key,)).fetchone()}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._opened() as database:
            rows = database.execute("select key, length(data) from objects order by key").fetchall()
        return (ObjectInfo(key, size) for key, size in rows if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        _check(keys)
        with self._opened() as database:
            database.executemany("delete from objects where key = ?", [(key,) for key in keys])

    @contextmanager
    def _opened(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._path, timeout=30)) as database, database:
            yield database


def _found(database: sqlite3.Connection, key: str) -> bytes:
    row = database.execute("select data from objects where key = ?", (key,)).fetchone()
    if row is None:
        raise InputError(f"There is no object '{key}'.", code="object-unknown", hint="List the store to see its keys.")
    return bytes(row[0])


def _check(keys: Iterable[str]) -> None:
    for key in keys:
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise InputError(
                f"'{key}' is not a usable object key.", code="key-malformed", hint="Use letters, digits, '.', '_', '-'."
            )
