"""Stores that read a project's own and keep aside what is written: it is gone with the process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, cast

import polars as pl

from werk.core import plugins
from werk.core.ports.object_store import ObjectInfo, ObjectStore
from werk.core.ports.table_store import ArrowStream, CheckedTables, Content, LazyTables, TableStore, TableVersion


@dataclass(slots=True)
class ScratchObjects:
    """What is put or deleted here is so for this process alone."""

    real: ObjectStore
    own: ObjectStore = field(default_factory=lambda: cast("ObjectStore", plugins.build("object_store", "memory", {})))
    deleted: set[str] = field(default_factory=set)

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        there = self.exists(list(objects)) if if_absent else set()
        self.deleted -= objects.keys()
        return self.own.put({key: data for key, data in objects.items() if key not in there})

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        own = [key for key in keys if key in self.deleted or self.own.exists([key])]
        return {**self.real.get([key for key in keys if key not in own]), **self.own.get(own)}

    def exists(self, keys: Sequence[str]) -> set[str]:
        return self.own.exists(keys) | (self.real.exists(keys) - self.deleted)

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        real = {info.key: info for info in self.real.list(prefix) if info.key not in self.deleted}
        found = {**real, **{info.key: info for info in self.own.list(prefix)}}
        return iter([found[key] for key in sorted(found)])

    def delete(self, keys: Sequence[str]) -> None:
        self.own.delete(keys)
        self.deleted.update(keys)


@dataclass(slots=True)
class ScratchTables:
    """A table that is written to goes on from the project's newest version, under the numbers that would come next."""

    real: TableStore
    own: TableStore = field(default_factory=lambda: cast("TableStore", plugins.build("table_store", "memory", {})))
    first: dict[str, int] = field(default_factory=dict)  # by table: the first version that is kept aside

    def write(
        self,
        table: str,
        data: ArrowStream,
        *,
        mode: Literal["append", "replace"] = "append",
        once: tuple[str, int] | None = None,
        notes: Mapping[str, str] | None = None,
    ) -> int:
        if table not in self.first:
            newest = self.real.version(table)
            self.first[table] = 0 if newest is None else newest + 1
            if newest is not None:
                self._continue(table, newest)
        return self.own.write(table, data, mode=mode, once=once, notes=notes)

    def _continue(self, table: str, newest: int) -> None:
        """The numbers before are filled with nothing, and never read."""
        for _ in range(newest):
            self.own.write(table, pl.DataFrame(), mode="replace")
        self.own.write(table, pl.DataFrame(self.real.read(table, newest)), mode="replace")

    def _store(self, table: str, version: int | None) -> TableStore:
        first = self.first.get(table)
        return self.real if first is None or (version is not None and version < first) else self.own

    def read(self, table: str, version: int | None = None, *, columns: Sequence[str] | None = None) -> ArrowStream:
        return self._store(table, version).read(table, version, columns=columns)

    def scan(self, table: str, version: int | None = None) -> pl.LazyFrame:
        store = self._store(table, version)
        return store.scan(table, version) if isinstance(store, LazyTables) else pl.DataFrame(store.read(table, version)).lazy()

    def version(self, table: str) -> int | None:
        return self._store(table, None).version(table)

    def history(self, table: str, *, after: int = -1) -> list[TableVersion]:
        first = self.first.get(table)
        if first is None:
            return self.real.history(table, after=after)
        before = self.real.history(table, after=after) if first and after < first - 1 else []
        return [*self.own.history(table, after=max(after, first - 1)), *before]

    def tables(self) -> list[str]:
        return sorted({*self.real.tables(), *self.first})

    def contents(self, table: str, version: int) -> frozenset[str]:
        return cast("CheckedTables", self._store(table, version)).contents(table, version)

    def content(self, table: str, part: str) -> Content | None:
        own = cast("CheckedTables", self.own).content(table, part) if table in self.first else None
        return own or cast("CheckedTables", self.real).content(table, part)
