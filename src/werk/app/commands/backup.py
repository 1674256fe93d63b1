"""Take a project to a safe place, and bring it back."""

from __future__ import annotations

import secrets
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from werk.app.answers import Answer
from werk.app.settings import Settings, load_settings
from werk.app.wiring import built, objects, open_session, opened
from werk.core.errors import InputError
from werk.core.ports.key_store import KeyStore
from werk.core.ports.table_store import TableStore
from werk.journal import sign_head
from werk.pipelines import backup as of
from werk.workflow.capture import capture_code


def backup(directory: Path, keys: bool, project: Path | None, profile: str | None) -> Answer:
    began = time.monotonic()
    with opened(project, profile) as session:
        root = session.p.project.root
        code = capture_code(root, root / ".werk" / "code.git")
        taken = of.take(session.p, session.journal, code, directory.resolve(), keys=keys, tell=_progress())
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
    }
    return Answer(record=record, text="\n".join(_said(taken, time.monotonic() - began)))


def _said(taken: of.Taken, seconds: float) -> Iterator[str]:
    size = f"{taken.files:,} files, {taken.size_bytes / 1e6:,.1f} MB"
    yield f"as of fact {taken.head.seq}: {size} in {taken.folder}, {seconds:.1f} s"
    yield "  with the signing key: guard this folder like the key" if taken.keys else "  without the signing key"
    yield from (f"  left out of the code: {name}" for name in taken.left_out)
    yield from (f"  no longer whole in the store: {name}" for name in taken.missing)
    yield f"  next: werk restore {taken.folder}"


def restore(source: Path, target: Path | None, replace: bool, profile: str | None) -> Answer:
    """Nothing is written before every byte has been checked; the project's folder appears whole at the end."""
    archive = of.Archive.checked(source.resolve())
    place = (target or Path(archive.about.name)).resolve()
    with _unfinished(place) as folder:
        of.place_code(archive, folder)
        settings = load_settings(folder, profile or archive.about.profile)
        aside = _placed(archive, settings, replace, place)
    session = open_session(place, profile or archive.about.profile)
    try:
        of.declare(session.p, archive, aside)
    finally:
        sign_head(session.journal)
        session.journal.close()
    record = {"directory": str(place), "project": archive.about.project, "seq": archive.about.seq, "set_aside": str(aside or "")}
    lines = [f"{archive.about.name} is back in {place}, as of fact {archive.about.seq}"]
    lines += [f"  this machine's later signed heads are kept in {aside}"] if aside else []
    return Answer(record=record, text="\n".join([*lines, "  next: werk audit verify"]))


def _placed(archive: of.Archive, settings: Settings, replace: bool, place: Path) -> Path | None:
    of.place_keys(archive, cast("KeyStore", built(settings, "key_store")))
    tables = cast("TableStore", built(settings, "table_store"))
    of.place_stores(archive, tables, objects(settings), _progress())
    at_last = _moved(settings.journal_url, settings.project.root, place)
    _, aside = of.place_journal(archive, settings.journal_url, settings.home / "heads", replace=replace, address=at_last)
    return aside


def _moved(url: str, folder: Path, place: Path) -> str | None:
    """Where a journal file in the unfinished folder will lie; None for one that lies elsewhere."""
    path = Path(url.removeprefix("sqlite:///"))
    return str(place / path.relative_to(folder)) if path.is_relative_to(folder) else None


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A folder that becomes the project at the end; a killed restore leaves `target` as it was."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise InputError(f"{target} is not empty.", code="restore-exists", hint="Name a new folder: werk restore BACKUP FOLDER.")
    folder = target.with_name(f".{target.name}.unfinished-{secrets.token_hex(4)}")
    try:
        (folder / ".werk").mkdir(parents=True)
        (folder / ".werk" / ".gitignore").write_text("*\n", encoding="utf-8")
        yield folder
        if target.exists():
            target.rmdir()
        folder.rename(target)
    except OSError as closed:
        said = f"The project cannot be restored to {target}: {closed.strerror or closed}."
        raise InputError(said, code="restore-unwritable", hint="Make room, or name another folder.") from closed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _progress() -> Callable[[str, int, int], None]:
    """A line that is written over on a terminal, nothing elsewhere."""
    if not sys.stderr.isatty():
        return lambda *_: None
    return lambda name, count, size: print(f"  {count:,} {name[-60:]:<60}", end="\r", file=sys.stderr)
