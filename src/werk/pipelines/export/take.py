"""Write a project for readers without werk, as it stands at one fact, while others go on writing."""

from __future__ import annotations

import errno
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files as shelf_of
from pathlib import Path
from typing import cast

from werk import journal, models
from werk.core.canonical import JSON
from werk.core.errors import InputError, disk_full
from werk.core.journal import Reader, Row
from werk.core.nouns import Snapshot, from_micros
from werk.core.platform import Platform
from werk.core.ports.table_store import PhysicalTables
from werk.journal import SqlJournal
from werk.pipelines.backup.unfinished import unfinished
from werk.pipelines.export.model import mlflow_files
from werk.serving.deploy import SERVING
from werk.serving.prediction_log import FOLDER, whole_lines
from werk.workflow.capture import CodeTree, Environment, checkout_code

_PACKAGE = ("model.bin", "model.json", "manifest.json", "manifest.sig", "manifest.pub")
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Exported:
    """`missing` is what facts name and nothing holds any more; `left_out` the files of the project that may hold secrets."""

    folder: Path
    seq: int
    hash: str
    tables: tuple[str, ...]
    versions: tuple[str, ...]
    files: int
    size_bytes: int
    left_out: tuple[str, ...]
    missing: tuple[str, ...]


@dataclass(slots=True)
class _Folder:
    root: Path
    tell: Tell
    files: int = 0
    size_bytes: int = 0

    def put(self, name: str, data: bytes) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        self.files, self.size_bytes = self.files + 1, self.size_bytes + len(data)
        self.tell(name, self.files, self.size_bytes)


@dataclass(slots=True)
class _Found:
    tables: list[str] = field(default_factory=list)
    versions: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def export(p: Platform, log: SqlJournal, code: CodeTree, target: Path, *, tell: Tell = lambda *_: None) -> Exported:
    """A new folder `target`, there once it is whole; a killed export leaves `target` as it was.

    Tables are copied file by file with the versions they have; every registered version becomes a folder in MLflow's layout.
    No key and no token is in it. Raises `InputError` for a folder that is not empty or lies in the project.
    """
    if not isinstance(p.table_store, PhysicalTables):
        raise InputError("This table store has no files to copy.", code="export-unsupported", hint="Use delta.")
    with _unfinished(p.project.root, target) as folder:
        written, found = _Folder(folder, tell), _Found()
        for name, lines in whole_lines(p.project.root / SERVING / FOLDER):
            written.put(f"answers/{name}", lines)
        (folder / "journal").mkdir()
        head = journal.export_facts(log, folder / "journal" / "facts.jsonl")
        written.put("journal/check_chain.py", (shelf_of("werk.pipelines.export") / "check_chain.py").read_bytes())
        then = log.at(head.seq)
        _records(then, sorted(log.shapes.by_name), written)
        _tables(p.table_store, then, written, found)
        _models(p, then, written, found)
        checkout_code(p.project.root / ".werk" / "code.git", code.tree, folder / "project")
        written.put("README.md", _readme(p, found, head.seq).encode())
    said = (tuple(found.tables), tuple(found.versions), written.files, written.size_bytes)
    return Exported(target, head.seq, head.hash, *said, code.left_out, tuple(found.missing))


@contextmanager
def _unfinished(project: Path, target: Path) -> Iterator[Path]:
    if target.resolve().is_relative_to(project.resolve()):
        hint = "Name one outside: it would be taken for the project's code."
        raise InputError(f"{target} lies inside the project.", code="export-inside", hint=hint)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not empty.", code="export-exists", hint="Name a new folder.")
    try:
        with unfinished(target, 0o700) as folder:
            yield folder
    except OSError as closed:
        if closed.errno in (errno.ENOSPC, errno.EDQUOT):
            raise disk_full(str(target)) from closed
        said = f"The export cannot be written to {target}: {closed.strerror or closed}."
        raise InputError(said, code="export-unwritable", hint="Name a folder you own.") from closed


def _records(then: Reader, names: Sequence[str], written: _Folder) -> None:
    """What the facts add up to, a file for each kind of record."""
    for name in names:
        rows = "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in then.rows(name))
        written.put(f"records/{name}.jsonl", rows.encode())


def _tables(store: PhysicalTables, then: Reader, written: _Folder, found: _Found) -> None:
    newest: dict[str, int] = {}
    for row in then.rows("table_versions"):
        named = [f"{row['table']}@{row['version']}", *([str(row["quarantine"])] if row["quarantine"] else [])]
        for snapshot in map(Snapshot.parse, named):
            newest[snapshot.table] = max(snapshot.version, newest.get(snapshot.table, 0))
    for table, version in sorted(newest.items()):
        for part in store.parts(table, version):
            written.put(f"tables/{table}/{part}", store.fetch(table, part))
        found.tables.append(table)


def _models(p: Platform, then: Reader, written: _Folder, found: _Found) -> None:
    for row in then.rows("versions", order=("model", "version")):
        key = str(row["package_key"])
        stored = [f"{key}/{name}" for name in _PACKAGE]
        if not key or p.object_store.exists(stored) != set(stored):
            found.missing.append(f"{row['model']}:{row['version']}")
            continue
        models.load_package(p, key)  # checked as a server checks it
        package = {at.rpartition("/")[2]: data for at, data in p.object_store.get(stored).items()}
        folder = f"models/{row['model']}/{row['version']}"
        for name, data in _version_files(then, row, package):
            written.put(f"{folder}/{name}", data)
        record = _record(p, then, row)
        written.put(f"{folder}/record.json", (json.dumps(record, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode())
        found.versions.append(f"{row['model']}:{row['version']}")


def _version_files(then: Reader, row: Row, package: Mapping[str, bytes]) -> Iterator[tuple[str, bytes]]:
    run = str(row["run"])
    started = next(iter(then.facts(dedupe_key=f"{run}/start")), None)
    body = (started.body if started else None) or {}
    facts = Environment.from_json(cast("Mapping[str, JSON]", body.get("environment") or {})).facts
    libraries = {
        name: str(cast("Mapping[str, JSON]", about)["version"]) for name, about in facts.get("distributions", {}).items()
    }
    python = str(facts.get("python", {}).get("version", ""))
    at = from_micros(cast("int", row["at"])).isoformat()
    yield from mlflow_files(str(row["model"]), package, run=run, python=python, distributions=libraries, at=at)


def _record(p: Platform, then: Reader, row: Row) -> dict[str, object]:
    where: Mapping[str, JSON] = {"model": row["model"], "version": row["version"]}
    report = str(row["report_key"])
    stored = p.object_store.get([report])[report] if p.object_store.exists([report]) else b"null"
    return {
        "version": dict(row),
        "evaluation": json.loads(stored),
        "decisions": [dict(one) for one in then.rows("approvals", where, order=("seq",))],
        "aliases": [one["alias"] for one in then.rows("aliases", where)],
    }


def _readme(p: Platform, found: _Found, seq: int) -> str:
    text = (shelf_of("werk.pipelines.export") / "README.md").read_text(encoding="utf-8")
    values = {
        "PROJECT": p.project.name,
        "SEQ": f"{seq:,}",
        "TABLE": found.tables[0] if found.tables else "raw.NAME",
        "MODEL": found.versions[0].replace(":", "/") if found.versions else "NAME/1",
    }
    for word, value in values.items():
        text = text.replace(f"{{{word}}}", value)
    return text
