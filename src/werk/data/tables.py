"""Tables as the rooms above read and write them: pinned, lazy, with a fact for each version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Literal, cast

import polars as pl

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.journal import NewFact, Reader, Row
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.ports.table_store import LazyTables
from werk.data import contents
from werk.data.names import QUARANTINE, check_table


def scan(p: Platform, table: str, version: int | None = None) -> pl.LazyFrame:
    """A table at a version (the newest known one without), read only as far as it is used."""
    store, at = p.table_store, latest(p, table) if version is None else version
    if isinstance(store, LazyTables):
        return store.scan(table, at)
    return pl.DataFrame(store.read(table, at)).lazy()


def known(p: Platform, table: str) -> int | None:
    """The newest version that this project's journal tells of and its store has.

    None for what somebody else put into the store, and for a commit whose writer was killed before it could tell.
    """
    present = p.table_store.version(table)
    if present is None:
        return None
    newest = _told(p, table, limit=1)
    if newest and newest[0] > present:  # the store was set back
        newest = [version for version in _told(p, table) if version <= present]
    return newest[0] if newest else None


def latest(p: Platform, table: str) -> int:
    version = known(p, table)
    if version is None:
        raise absent(p, table, names(p))
    return version


def names(p: Platform) -> list[str]:
    """Every table the journal tells of, and the quarantines beside them."""
    rows = p.journal.rows("tables")
    held = {Snapshot.parse(str(row["quarantine"])).table for row in rows if row["quarantine"]}
    return sorted({str(row["table"]) for row in rows} | held)


def standing(reader: Reader) -> list[Row]:
    """The newest version of every table; `rows` are all it has, `rows_added` those that this version brought."""
    return [{**row, "rows": _rows(reader, row), "rows_added": row["rows"]} for row in reader.rows("tables", order=("table",))]


def _rows(reader: Reader, newest: Row) -> int:
    """A version that is no append holds what it brought; the appends since add to it."""
    if newest["operation"] != "append":
        return cast("int", newest["rows"])
    total = 0
    for row in reader.rows("table_versions", {"table": newest["table"]}, order=("-version",)):
        total += cast("int", row["rows"])
        if row["operation"] != "append":
            break
    return total


def pins(p: Platform, tables: Sequence[str] | None = None) -> dict[str, int]:
    """The newest known version of every table: what a run that starts now will read to its end."""
    if tables is not None:
        return {name: latest(p, name) for name in tables}
    found = {name: known(p, name) for name in names(p)}
    return {name: version for name, version in found.items() if version is not None}


def absent(p: Platform, table: str, among: Iterable[str]) -> InputError:
    """The error for a table that the project does not know; one that lies in its store all the same is told apart."""
    if p.table_store.version(table) is None or known(p, table) is not None:
        return unknown("table", table, among, code="table-unknown")
    return InputError(
        f"'{table}' lies in the store, but this project did not write it: its journal tells of no version.",
        code="table-foreign",
        hint=f"Land it here: werk ingest {table} FILE.",
    )


def _told(p: Platform, table: str, limit: int | None = None) -> list[int]:
    """The versions in the journal, newest first; a quarantine's are told by the landings of its table."""
    own = p.journal.rows("table_versions", {"table": table}, order=("-version",), limit=limit)
    if own or not table.endswith(QUARANTINE):
        return [cast("int", row["version"]) for row in own]
    landings = p.journal.rows("table_versions", {"table": table.removesuffix(QUARANTINE)}, order=("-version",))
    held = [Snapshot.parse(str(row["quarantine"])).version for row in landings if row["quarantine"]]
    return held[:limit]


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
    check_table(table)
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
        contents.OWN: contents.recorded(p, table, version, whole=mode == "replace"),
    }
    p.journal.append([NewFact("table.written", table, body, dedupe_key=f"table/{table}@{version}")])
    return Snapshot(table, version)


class Pinned:
    """The resource a step asks for as `tables`: every table at the version its run was started with.

    `tables.scan("raw.flights")` and `tables["raw.flights"]` read lazily, `tables.version("raw.flights")` is its number.
    What is read is recorded as the step's lineage, and hashed before, so that a run never trains on rows that somebody has
    changed in the store. `InputError` names the tables there are.
    """

    def __init__(self, p: Platform, versions: Mapping[str, int], on_read: Callable[[Snapshot], None] | None = None) -> None:
        self._p = p
        self._versions = versions
        self._on_read = on_read

    def scan(self, table: str, /) -> pl.LazyFrame:
        version = self.version(table)
        if self._on_read is not None:
            self._on_read(Snapshot(table, version))
        contents.check_read(self._p, Snapshot(table, version))
        return scan(self._p, table, version)

    def __getitem__(self, table: str) -> pl.LazyFrame:
        return self.scan(table)

    def version(self, table: str) -> int:
        if table not in self._versions:
            raise absent(self._p, table, self._versions)
        return self._versions[table]
