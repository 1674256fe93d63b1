"""Tables in this process: for tests, and gone with it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from threading import Lock
from typing import Literal

import polars as pl

from werk.core.errors import InputError, unknown
from werk.core.ports.table_store import ArrowStream, Content, TableVersion


@dataclass(slots=True)
class _Kept:
    versions: list[tuple[pl.DataFrame, TableVersion]] = field(default_factory=list)
    applied: dict[str, list[tuple[int, int]]] = field(default_factory=dict)  # by app: seq and the version that reached it


class MemoryTableStore:
    def __init__(self) -> None:
        self._tables: dict[str, _Kept] = {}
        self._lock = Lock()

    def write(
        self,
        table: str,
        data: ArrowStream,
        *,
        mode: Literal["append", "replace"] = "append",
        once: tuple[str, int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int:
        frame = pl.DataFrame(data)
        with self._lock:
            kept = self._tables.setdefault(table, _Kept())
            version = len(kept.versions)
            reached = [at for seq, at in kept.applied.get(once[0], ()) if seq >= once[1]] if once else []
            if reached:
                return reached[0]
            if mode == "append" and version:
                frame = _appended(table, kept.versions[-1][0], frame)
            about = TableVersion(table, version, datetime.now(UTC), mode, dict(notes or {}))
            kept.versions.append((frame, about))
            if once is not None:
                kept.applied.setdefault(once[0], []).append((once[1], version))
            return version

    def read(self, table: str, version: int | None = None, *, columns: Sequence[str] | None = None) -> ArrowStream:
        frame = self._at(table, version)
        if columns is None:
            return frame
        for name in columns:
            if name not in frame.columns:
                raise unknown("column", name, frame.columns, code="column-unknown")
        return frame.select(columns)

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        return self._at(table, version).lazy()

    def version(self, table: str) -> int | None:
        kept = self._tables.get(table)
        return len(kept.versions) - 1 if kept and kept.versions else None

    def history(self, table: str, *, after: int = -1) -> list[TableVersion]:
        self._at(table, None)
        return [about for _, about in reversed(self._tables[table].versions[after + 1 :])]

    def tables(self) -> list[str]:
        return sorted(self._tables)

    def contents(self, table: str, version: int) -> frozenset[str]:
        self._at(table, version)
        return frozenset([f"version-{version}"])

    def content(self, table: str, part: str) -> Content | None:
        kept = self._tables.get(table, _Kept())
        found = [frame for frame, about in kept.versions if part == f"version-{about.version}"]
        if not found:
            return None
        rows = found[0].write_ipc(None).getvalue()
        return Content(len(rows), hashlib.sha256(rows).hexdigest())

    def _at(self, table: str, version: int | None) -> pl.DataFrame:
        kept = self._tables.get(table)
        if kept is None or not kept.versions:
            raise unknown("table", table, self._tables, code="table-unknown")
        if version is not None and not 0 <= version < len(kept.versions):
            raise InputError(
                f"'{table}' has no version {version}.", code="version-unknown", hint=f"Its latest is {len(kept.versions) - 1}."
            )
        return kept.versions[-1 if version is None else version][0]


def _appended(table: str, before: pl.DataFrame, frame: pl.DataFrame) -> pl.DataFrame:
    for name in dict.fromkeys([*before.columns, *frame.columns]):
        had, given = before.schema.get(name), frame.schema.get(name)
        if had != given:
            raise InputError(
                f"Column '{name}' of '{table}' is {had or 'absent'} and the new rows have {given or 'no such column'}.",
                code="schema-mismatch",
                hint="Cast or rename the column, or replace the table.",
            )
    return pl.concat([before, frame.select(before.columns)])
