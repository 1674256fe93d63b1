"""Tables as the rooms above read and write them: pinned, lazy, with a fact for each version."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import polars as pl

from werk.core.canonical import JSON
from werk.core.errors import unknown
from werk.core.journal import NewFact
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.ports.table_store import LazyTables


def scan(p: Platform, table: str, version: int | None = None) -> pl.LazyFrame:
    """A table at a version (the present one without), read only as far as it is used."""
    store = p.table_store
    if isinstance(store, LazyTables):
        return store.scan(table, version)
    return pl.DataFrame(store.read(table, version)).lazy()


def latest(p: Platform, table: str) -> int:
    version = p.table_store.version(table)
    if version is None:
        raise unknown("table", table, p.table_store.tables(), code="table-unknown")
    return version


def pins(p: Platform, names: Sequence[str] | None = None) -> dict[str, int]:
    """The present version of every table: what a run that starts now will read to its end."""
    return {name: latest(p, name) for name in (p.table_store.tables() if names is None else names)}


def write(
    p: Platform,
    table: str,
    frame: pl.DataFrame,
    *,
    mode: Literal["append", "replace"] = "append",
    once: tuple[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
) -> Snapshot:
    """Commit rows and say so in the journal; with `once`, trying again changes nothing."""
    version = p.table_store.write(table, frame, mode=mode, once=once, notes=notes)
    body: dict[str, JSON] = {
        "table": table,
        "version": version,
        "zone": table.partition(".")[0],
        "operation": mode,
        "rows": len(frame),
        "rows_in": len(frame),
        "quarantined": 0,
        "quarantine": None,
        "source": {"name": "step"},
        "schema": {name: str(dtype) for name, dtype in frame.schema.items()},
        "contract_sha256": None,
        "owner": None,
        "checks": [],
        "notes": dict(notes or {}),
    }
    p.journal.append([NewFact("table.written", table, body, dedupe_key=f"table/{table}@{version}")])
    return Snapshot(table, version)


class Pinned:
    """The resource a step asks for as `tables`: every table at the version its run was started with."""

    def __init__(self, p: Platform, versions: Mapping[str, int], on_read: Callable[[Snapshot], None] | None = None) -> None:
        self._p = p
        self._versions = versions
        self._on_read = on_read

    def scan(self, table: str, /) -> pl.LazyFrame:
        version = self.version(table)
        if self._on_read is not None:
            self._on_read(Snapshot(table, version))
        return scan(self._p, table, version)

    def __getitem__(self, table: str) -> pl.LazyFrame:
        return self.scan(table)

    def version(self, table: str) -> int:
        if table not in self._versions:
            raise unknown("table", table, self._versions, code="table-unknown")
        return self._versions[table]
