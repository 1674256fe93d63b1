"""Tables as the rooms above read and write them: pinned, lazy, with a fact for each version."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.journal import Reader, Row
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.ports.table_store import LazyTables
from werk.data import contents
from werk.data.names import check_table
from werk.data.versions import catch_up, commit, known

if TYPE_CHECKING:
    import polars as pl


def scan(p: Platform, table: str, version: int | None = None) -> pl.LazyFrame:
    """A table at a version (the newest known one without), read only as far as it is used."""
    store, at = p.table_store, latest(p, table) if version is None else version
    if isinstance(store, LazyTables):
        return store.scan(table, at)
    import polars as pl

    return pl.DataFrame(store.read(table, at)).lazy()


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
    return [{**row, "rows": rows_of(reader, row), "rows_added": row["rows"]} for row in reader.rows("tables", order=("table",))]


def quarantines(reader: Reader) -> list[Row]:
    """The quarantine beside each landed table, as its newest landing left it: `quarantine_of` is that landing, `broken_most` the
    required rule that most of its rows break, None where no row is held."""
    return [_held(row) for row in reader.rows("tables", order=("table",)) if row["quarantine"]]


def _held(landing: Row) -> Row:
    at = Snapshot.parse(str(landing["quarantine"]))
    checks = [check for check in cast("list[Row]", landing["checks"]) if check["severity"] == "required" and check["broken"]]
    worst = max(checks, key=lambda check: cast("int", check["broken"]), default=None)
    return {
        "table": at.table,
        "version": at.version,
        "rows": landing["quarantined"],
        "owner": landing["owner"],
        "quarantine_of": f"{landing['table']}@{landing['version']}",
        "broken_most": worst["rule"] if worst else None,
    }


def rows_of(reader: Reader, version: Row) -> int:
    """How many rows a version has: one that is no append holds what it brought; the appends since add to it."""
    if version["operation"] != "append":
        return cast("int", version["rows"])
    total = 0
    for row in reader.rows("table_versions", {"table": version["table"]}, order=("-version",)):
        if cast("int", row["version"]) > cast("int", version["version"]):
            continue
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


def write(
    p: Platform,
    table: str,
    frame: pl.DataFrame,
    *,
    mode: Literal["append", "replace"] = "append",
    once: tuple[str, int] | None = None,
    notes: Mapping[str, str] | None = None,
    run: str | None = None,
) -> Snapshot:
    """Commit rows and say so in the journal; with `once`, trying again changes nothing. `run` is the one that writes.

    `Refused` when the store is behind the journal, and for an append to rows that this project did not write.
    """
    check_table(table)
    body = _body(table, frame, mode, notes or {})
    return Snapshot(table, commit(p, table, frame, body, once=once, notes=notes or {}, run=run))


def set_back(p: Platform, table: str) -> Snapshot | None:
    """Make what this project wrote last the newest version again, as a version of its own; None when it is that already."""
    check_table(table)
    stray = catch_up(p, table)
    at = Snapshot(table, latest(p, table))
    if stray is None:
        return None
    contents.check_read(p, at)
    frame, notes = scan(p, table, at.version).collect(), {"set_back_to": str(at), "instead_of": f"{table}@{stray}"}
    body = _body(table, frame, "set-back", notes) | _came_from(p, at, len(frame))
    # Once: a second one at the same time would take out what was added after the first.
    return Snapshot(table, commit(p, table, frame, body, once=(f"set-back/{at}", 1), notes=notes))


def _came_from(p: Platform, at: Snapshot, rows: int) -> dict[str, JSON]:
    """What the journal says of the version that is brought back, so that its rows are traced to their file as before."""
    [row] = p.journal.rows("table_versions", {"table": at.table, "version": at.version})
    kept = {name: row[name] for name in ("source", "contract_sha256", "owner", "checks", "quarantine", "quarantined")}
    return {**kept, "rows_in": rows + cast("int", row["quarantined"])}


def _body(table: str, frame: pl.DataFrame, operation: str, notes: Mapping[str, str]) -> dict[str, JSON]:
    return {
        "table": table,
        "zone": table.partition(".")[0],
        "operation": operation,
        "rows": len(frame),
        "rows_in": len(frame),
        "quarantined": 0,
        "quarantine": None,
        "source": {"name": "step"},
        "schema": {name: str(dtype) for name, dtype in frame.schema.items()},
        "contract_sha256": None,
        "owner": None,
        "checks": [],
        "notes": dict(notes),
    }


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
