"""Copy a project as it stands at one fact, while others go on writing.

The journal is read in one snapshot, up to fact S. Everything a fact up to S names was written before that fact and never
changes: table versions, packages, payloads and code trees are copied afterwards, whatever has been added since.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from werk import journal
from werk.core.canonical import sha256_hex
from werk.core.errors import InputError
from werk.core.journal import Head, Reader
from werk.core.nouns import Snapshot, utc_now
from werk.core.platform import Platform
from werk.core.ports.key_store import PortableKeys
from werk.core.ports.table_store import PhysicalTables
from werk.journal import SqlJournal
from werk.pipelines.backup.archive import About, manifest_of, seal
from werk.pipelines.backup.unfinished import unfinished
from werk.serving.deploy import SERVING
from werk.serving.prediction_log import FOLDER, whole_lines
from werk.workflow.capture import CodeTree, checkout_code

KEY = "werk"
KEY_FILE = f"keys/{KEY}.key"
CODE = Path(".werk") / "code.git"
ANSWERED = Path(SERVING) / FOLDER
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class Taken:
    """`left_out` are the project's links and what no run keeps either; `missing` is what facts name and a vacuum has removed.

    `signer` is the fingerprint of the key that has signed.
    """

    folder: Path
    head: Head
    files: int
    size_bytes: int
    keys: bool
    left_out: tuple[str, ...]
    missing: tuple[str, ...]
    signer: str


@dataclass(slots=True)
class _Folder:
    """The unfinished backup, and the digest of every file written so far."""

    root: Path
    tell: Tell
    files: dict[str, str] = field(default_factory=dict)
    size_bytes: int = 0

    def put(self, name: str, data: bytes, mode: int = 0o644) -> None:
        target = self.root / name
        target.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        self._count(name, data)

    def adopt(self, folder: Path) -> None:
        """Take account of files that somebody else has put below."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            self._count(path.relative_to(self.root).as_posix(), path.read_bytes())

    def _count(self, name: str, data: bytes) -> None:
        self.files[name] = sha256_hex(data)
        self.size_bytes += len(data)
        self.tell(name, len(self.files), self.size_bytes)


def take(p: Platform, log: SqlJournal, code: CodeTree, target: Path, *, keys: bool = True, tell: Tell = lambda *_: None) -> Taken:
    """Write the backup beside `target` and move it there when it is whole; a killed one leaves `target` as it was.

    The journal is copied whole, with the facts of all its projects: a chain cannot be cut. Tables, objects and code are this
    project's. `code` is the tree of the project's folder as it is now.
    """
    if not isinstance(p.table_store, PhysicalTables):
        raise InputError("This table store cannot be copied.", code="backup-unsupported", hint="Use delta.")
    with _unfinished(p.project.root, target) as folder:
        written = _Folder(folder, tell)
        _predictions(p.project.root / ANSWERED, written)  # first, so that the journal knows what answered each of them
        head = journal.backup(log, folder / "journal")
        written.adopt(folder / "journal")
        then = log.at(head.seq)
        tables = _newest(then)
        missing = _tables(p.table_store, tables, then, written)
        _objects(p, written)
        _code(p.project.root / CODE, written)
        checkout_code(p.project.root / CODE, code.tree, folder / "project")
        left_out = (*code.left_out, *_without_links(folder / "project"))
        written.adopt(folder / "project")
        carried = keys and _key(p, written)
        place = (p.project.id, p.project.name, p.stage, log.id, head.seq, head.hash)
        about = About(*place, utc_now().isoformat(), tables, missing, written.files)
        public = p.key_store.public_key(KEY)
        seal(folder, about, p.key_store.sign(KEY, [manifest_of(about)])[0], public)
    said = (len(written.files), written.size_bytes, carried, left_out, tuple(missing))
    return Taken(target, head, *said, sha256_hex(public))


@contextmanager
def _unfinished(project: Path, target: Path) -> Iterator[Path]:
    """A folder for its owner alone, that becomes `target` at the end."""
    _check_target(project, target)
    try:
        with unfinished(target, 0o700) as folder:
            yield folder
    except OSError as closed:
        reason = closed.strerror or str(closed)
        said = f"The backup cannot be written to {target}: {reason}."
        raise InputError(said, code="backup-unwritable", hint="Make room, or name another folder.") from closed


def _check_target(project: Path, target: Path) -> None:
    if target.resolve().is_relative_to(project.resolve()):
        hint = "Name one outside: what happens to the project must not happen to its backup."
        raise InputError(f"{target} lies inside the project.", code="backup-inside", hint=hint)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not empty.", code="backup-exists", hint="Name a new folder.")


def _without_links(project: Path) -> Iterator[str]:
    """Taken out and named, because a restore refuses every link; code trees keep them for a rebuild."""
    for path in sorted(path for path in project.rglob("*") if path.is_symlink()):
        path.unlink()
        yield path.relative_to(project).as_posix()


def _newest(then: Reader) -> dict[str, int]:
    """The newest version of every table that a fact names, quarantines too."""
    found: dict[str, int] = {}
    for row in then.rows("table_versions"):
        named = [f"{row['table']}@{row['version']}", *([str(row["quarantine"])] if row["quarantine"] else [])]
        for snapshot in map(Snapshot.parse, named):
            found[snapshot.table] = max(snapshot.version, found.get(snapshot.table, 0))
    return dict(sorted(found.items()))


def _tables(store: PhysicalTables, tables: dict[str, int], then: Reader, written: _Folder) -> list[str]:
    """Every part of every table; returns the versions that are named and no longer whole."""
    for table, version in tables.items():
        for part in store.parts(table, version):
            written.put(f"tables/{table}/{part}", store.fetch(table, part))
    return [text for text in _named(then) if not _whole(store, Snapshot.parse(text), written)]


def _named(then: Reader) -> list[str]:
    return sorted(f"{row['table']}@{row['version']}" for row in then.rows("table_versions"))


def _whole(store: PhysicalTables, snapshot: Snapshot, written: _Folder) -> bool:
    addresses = store.files(snapshot.table, snapshot.version)
    return all(f"tables/{snapshot.table}/{_below(store, snapshot.table, uri)}" in written.files for uri in addresses)


def _below(store: PhysicalTables, table: str, uri: str) -> str:
    return uri.removeprefix(f"{store.location(table)}/")


def _objects(p: Platform, written: _Folder) -> None:
    """All of them: an object that no fact up to S names does no harm, and one that is named must not be missing."""
    for found in list(p.object_store.list()):
        written.put(f"objects/{found.key}", p.object_store.get([found.key])[found.key])


def _code(store: Path, written: _Folder) -> None:
    for path in sorted(path for path in store.rglob("*") if path.is_file() and "~" not in path.name):
        written.put(f"code/{path.relative_to(store).as_posix()}", path.read_bytes())


def _predictions(log: Path, written: _Folder) -> None:
    """What the prediction server has answered: it stands in its log alone."""
    for name, lines in whole_lines(log):
        written.put(f"predictions/{name}", lines, mode=0o600)


def _key(p: Platform, written: _Folder) -> bool:
    if not isinstance(p.key_store, PortableKeys):
        return False
    written.put(KEY_FILE, p.key_store.exported(KEY), mode=0o600)
    return True
