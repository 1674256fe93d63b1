"""Take a project to a safe place, and bring it back."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

from werk.app.answers import Answer
from werk.app.settings import Settings, load_settings
from werk.app.wiring import PROJECTIONS, built, objects, open_session, opened
from werk.core import plugins
from werk.core.errors import InputError, Refused, Tampered
from werk.core.ports.key_store import KeyStore
from werk.core.ports.table_store import TableStore
from werk.journal import sign_head
from werk.pipelines import backup as of
from werk.workflow.capture import capture_code

_WHAT = {"table_store": "tables", "object_store": "objects", "key_store": "keys"}


def backup(directory: Path, keys: bool, project: Path | None, profile: str | None) -> Answer:
    began = time.monotonic()
    gone = of.swept(directory.resolve())
    with opened(project, profile) as session:
        root = session.p.project.root
        code = capture_code(root, root / ".werk" / "code.git")
        taken = of.take(session.p, session.journal, code, directory.resolve(), keys=keys, tell=progress())
    record = {
        "directory": str(taken.folder),
        "seq": taken.head.seq,
        "hash": taken.head.hash,
        "files": taken.files,
        "size_bytes": taken.size_bytes,
        "seconds": round(time.monotonic() - began, 2),
        "keys": taken.keys,
        "left_out": list(taken.left_out),
        "missing": list(taken.missing),
        "key": taken.signer,
        "removed": list(gone.removed),
    }
    return Answer(record=record, text="\n".join(_said(taken, gone, time.monotonic() - began)))


def _said(taken: of.Taken, gone: of.Leftovers, seconds: float) -> Iterator[str]:
    size = f"{taken.files:,} files, {taken.size_bytes / 1e6:,.1f} MB"
    yield f"as of fact {taken.head.seq}: {size} in {taken.folder}, {seconds:.1f} s"
    yield "  with the signing key: guard this folder like the key" if taken.keys else "  without the signing key"
    yield from (f"  left out of the code: {name}" for name in taken.left_out)
    yield from (f"  no longer whole in the store: {name}" for name in taken.missing)
    yield from gone.said()
    yield f"  signed by the key {taken.signer}: keep that apart, and `werk restore --key` asks for it"
    yield f"  next: werk restore {taken.folder}"


def restore(source: Path, target: Path | None, replace: bool, key: str | None, outside: bool, profile: str | None) -> Answer:
    """Nothing is put in place before all has been checked; the project's folder appears whole at the end."""
    archive = of.Archive.checked(source.resolve())
    of.check_asked_for(archive, key)
    place = (target or Path(archive.about.name)).resolve()
    _check_target(archive.folder, place)
    gone, wanted = of.swept(place), profile or archive.about.profile
    with _unfinished(place) as folder:
        of.place_code(archive, folder)
        settings = load_settings(folder, wanted)
        _check_settings(archive, settings, named=profile is not None, outside=outside)
        at_last = _moved(settings.journal_url, folder, place)
        known = _known_key(settings)
        with TemporaryDirectory(prefix="checked-", dir=folder / ".werk") as aside:
            journal = _checked(archive, settings, known, Path(aside))
            if not replace:
                of.check_beside(archive, settings.journal_url, settings.home / "heads", at_last)
            set_aside = _placed(archive, settings, journal, at_last)
    _declared(archive, place, wanted, set_aside)
    record = {
        "directory": str(place),
        "project": archive.about.project,
        "seq": archive.about.seq,
        "set_aside": str(set_aside or ""),
        "key": archive.fingerprint,
        "key_known": known is not None,
        "removed": list(gone.removed),
    }
    lines = [f"{archive.about.name} is back in {place}, as of fact {archive.about.seq}", *gone.said()]
    lines += [f"  this machine's later signed heads are kept in {set_aside}"] if set_aside else []
    lines += [_unknown_signer(archive)] if known is None and key is None else []
    return Answer(record=record, text="\n".join([*lines, "  next: werk audit verify"]))


def _unknown_signer(archive: of.Archive) -> str:
    said = f"  signed by the key {archive.fingerprint}, which this machine did not know"
    return f"{said}: compare it with what `werk backup` told whoever made it"


def _declared(archive: of.Archive, place: Path, profile: str, aside: Path | None) -> None:
    session = open_session(place, profile)
    try:
        of.declare(session.p, archive, aside)
    finally:
        sign_head(session.journal)
        session.journal.close()


def _checked(archive: of.Archive, settings: Settings, known: bytes | None, folder: Path) -> Path:
    """The journal's files, once its signer and every fact have been checked; what is needed for that lies in `folder`."""
    of.check_signer(archive, known)
    of.check_heads(archive, settings.home / "heads")
    of.check_key_at_hand(archive, known)
    given = dict(settings.ports["key_store"])
    if "path" in given:  # another kind of store is asked when the key is in it
        trial = plugins.build("key_store", str(given.pop("use")), {**given, "path": str(folder / "keys")})
        of.check_carried(archive, cast("KeyStore", trial))
    return of.checked_journal(archive, folder, PROJECTIONS)


def _known_key(settings: Settings) -> bytes | None:
    """The key this machine signs with; a store of files is not asked while its folder is empty, because that makes one."""
    path = settings.ports["key_store"].get("path")
    if isinstance(path, str) and not any(Path(path).glob("*")):
        return None
    return cast("KeyStore", built(settings, "key_store")).public_key(of.KEY)


def _placed(archive: of.Archive, settings: Settings, journal: Path, at_last: str | None) -> Path | None:
    of.place_keys(archive, cast("KeyStore", built(settings, "key_store")))
    tables = cast("TableStore", built(settings, "table_store"))
    of.place_stores(archive, tables, objects(settings), progress())
    return of.place_journal(archive, journal, settings.journal_url, settings.home / "heads", at_last)


def _check_settings(archive: of.Archive, settings: Settings, *, named: bool, outside: bool) -> None:
    """The werk.toml is the backup's own: beyond the new folder it puts nothing unless the operator has said so."""
    if settings.project.id != archive.about.project:
        said = f"The backup is of the project {archive.about.project}, and its werk.toml says {settings.project.id}."
        raise Tampered(said, code="backup-damaged", hint="Use another copy of the backup.")
    if beyond := [] if outside else list(_beyond(settings, named)):
        raise Refused(
            f"The werk.toml of this backup keeps {' and '.join(beyond)}, outside the new folder.",
            code="restore-outside",
            hint="If that is where it shall go, repeat with --outside; servers also by naming their profile with --profile.",
        )


def _beyond(settings: Settings, named: bool) -> Iterator[str]:
    """What a profile that was named keeps on servers is the operator's word; a folder never is."""
    url, root = settings.journal_url, settings.project.root.resolve()
    # Only this one form is read as a path below the project.
    journal = url.removeprefix("sqlite:///") if url.startswith("sqlite") else "://"
    stores = {"its journal": journal, **{f"its {_WHAT[port]}": str(settings.ports[port].get("path", "://")) for port in _WHAT}}
    for what, path in stores.items():
        if "://" in path and not path.lower().startswith(("file:", "sqlite")):
            yield from () if named else (f"{what} on a server",)
        elif not _may_lie(Path(path).resolve(), root, settings.home / "keys" if what == "its keys" else root):
            yield f"{what} in {path}"


def _may_lie(path: Path, root: Path, place: Path) -> bool:
    return path.is_relative_to(root) or path == place.resolve()


def _moved(url: str, folder: Path, place: Path) -> str | None:
    """Where a journal file in the unfinished folder will lie; None for one that lies elsewhere."""
    path = Path(url.removeprefix("sqlite:///"))
    return str(place / path.relative_to(folder)) if path.is_relative_to(folder) else None


def _check_target(source: Path, target: Path) -> None:
    if target.is_relative_to(source):
        hint = "Name a folder elsewhere: a backup that holds more than it names is refused."
        raise InputError(f"{target} lies inside the backup.", code="restore-inside", hint=hint)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not empty.", code="restore-exists", hint="Name a new folder: werk restore BACKUP FOLDER.")


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A folder that becomes the project at the end; a killed restore leaves `target` as it was."""
    try:
        with of.unfinished(target) as folder:
            (folder / ".werk").mkdir()
            (folder / ".werk" / ".gitignore").write_text("*\n", encoding="utf-8")
            yield folder
    except OSError as closed:
        said = f"The project cannot be restored to {target}: {closed.strerror or closed}."
        raise InputError(said, code="restore-unwritable", hint="Make room, or name another folder.") from closed


def progress() -> Callable[[str, int, int], None]:
    """A line that is written over on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda *_: None
    return lambda name, count, size: print(f"  {count:,} {name[-60:]:<60}", end="\r", file=sys.stderr)
