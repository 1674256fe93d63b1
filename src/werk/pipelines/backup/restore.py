"""Put a checked backup where a project is to live again; every part may be put there twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from werk import journal
from werk.core.canonical import JSON
from werk.core.errors import InputError, Refused
from werk.core.journal import NewFact
from werk.core.platform import Platform
from werk.core.ports.key_store import KeyStore, PortableKeys
from werk.core.ports.object_store import ObjectStore
from werk.core.ports.table_store import PhysicalTables, TableStore
from werk.journal import places
from werk.journal.database import connect
from werk.pipelines.backup.archive import Archive
from werk.pipelines.backup.take import ANSWERED, CODE, KEY, KEY_FILE
from werk.pipelines.backup.trust import check_signer
from werk.serving.deploy import SERVING, redeploy

Tell = Callable[[str, int, int], None]


def place_code(archive: Archive, root: Path) -> None:
    """The project's files, the code trees of its runs and what its server has answered."""
    for name in archive.names("project/"):
        _write(root / name.removeprefix("project/"), archive.read(name))
    for name in archive.names("code/"):
        _write(root / CODE / name.removeprefix("code/"), archive.read(name))
    for name in archive.names("predictions/"):
        _write(root / ANSWERED / name.removeprefix("predictions/"), archive.read(name), mode=0o600)


def check_key_at_hand(archive: Archive, known: bytes | None) -> None:
    """A backup without its key lives only where the key is: `known`, None when this machine has none."""
    if known is None and not archive.names("keys/"):
        raise Refused(
            "This backup holds no key, and this machine has none.",
            code="key-missing",
            hint="Give the project the key store it had: [key_store] in werk.toml, or the WERK_HOME of that machine.",
        )


def place_keys(archive: Archive, store: KeyStore) -> None:
    """The store can sign as before; `Refused` when it does so with another key."""
    if archive.names("keys/") and isinstance(store, PortableKeys):
        store.imported(KEY, archive.read(KEY_FILE))
    check_signer(archive, store.public_key(KEY))


def place_stores(archive: Archive, tables: TableStore, objects: ObjectStore, tell: Tell) -> None:
    """Tables and objects; `InputError` when the place holds others."""
    if not isinstance(tables, PhysicalTables):
        raise InputError("This table store cannot be filled from a backup.", code="backup-unsupported", hint="Use delta.")
    names = sorted(archive.names("tables/"), key=_log_last)
    for at, name in enumerate(names, 1):
        table, _, part = name.removeprefix("tables/").partition("/")
        tables.place(table, part, archive.read(name))
        tell(name, at, len(names))
    for name in archive.names("objects/"):
        _place_object(objects, name.removeprefix("objects/"), archive.read(name))


def _log_last(name: str) -> tuple[bool, str]:
    """A version shows once its log entry is there, so its data must be there before."""
    return "/_delta_log/" in name, name


def _place_object(objects: ObjectStore, key: str, data: bytes) -> None:
    if not objects.put({key: data}, if_absent=True) and objects.get([key])[key] != data:
        raise InputError(f"There is already another object '{key}'.", code="object-exists", hint="Restore to an empty store.")


def check_beside(archive: Archive, url: str, heads_dir: Path, address: str | None) -> None:
    """`Refused` where this machine keeps heads of the journal, or of another one at the place where it will lie."""
    if places.is_met(heads_dir, archive.about.journal, address or connect(url).address):
        raise Refused(
            "This machine keeps signed heads of this journal: its original may still be in use.",
            code="restore-beside-original",
            hint="If the original is gone, repeat with --replace; to try a restore beside it, set WERK_HOME to a new folder.",
        )


def place_journal(archive: Archive, checked: Path, url: str, heads_dir: Path, address: str | None = None) -> Path | None:
    """The journal's `checked` files and its signed heads; returns where this machine's own heads of it were set aside, if any.

    `address` is where the journal will lie when all is in its place.
    """
    lies_at, id = address or connect(url).address, archive.about.journal
    aside = places.set_aside(heads_dir, id, lies_at) if places.is_met(heads_dir, id, lies_at) else None
    journal.restore(checked, url, heads_dir=heads_dir, project=archive.about.project, address=lies_at)
    return aside


def declare(p: Platform, archive: Archive, aside: Path | None) -> None:
    """The restore is a fact, so that giving up what came after the backup is no secret; what was deployed answers again."""
    body: dict[str, JSON] = {
        "seq": archive.about.seq,
        "hash": archive.about.hash,
        "manifest_sha256": archive.manifest_sha256,
        "made_at": archive.about.at,
        "set_aside": aside.name if aside else None,
    }
    p.journal.append([NewFact("project.restored", p.project.id, body)])
    redeploy(p, p.project.root / SERVING)


def _write(path: Path, data: bytes, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode)
    path.write_bytes(data)
