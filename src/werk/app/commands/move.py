"""A project that goes to live in another profile's stores: the same facts, the same head, and one living journal at any time."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import cast

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.backup import progress
from werk.app.settings import Settings, find_root, load_settings
from werk.app.wiring import PROJECTIONS, Session, built, objects, onlooker, open_session, opened
from werk.core.errors import InputError, Refused, Tampered
from werk.core.journal import Head
from werk.core.ports.key_store import KeyStore
from werk.core.ports.table_store import TableStore
from werk.journal import moving
from werk.journal.database import connect
from werk.pipelines import backup as of
from werk.workflow.capture import capture_code


def move(to: str, dry_run: bool, cancel: bool, project: Path | None, profile: str | None) -> Answer:
    """Closed here first, then copied, then opened there. Cut off at any point, the same command goes on with it."""
    began = time.monotonic()
    root = find_root((project or Path.cwd()).resolve())
    here, there = load_settings(root, profile), load_settings(root, to)
    address = connect(there.journal_url).address
    _check_another(here, there, address)
    with opened(root, profile) as session:
        begun = journal.move_of(session.journal)
        _check_same(begun, to, address)
        if cancel:
            return _cancelled(session, begun)
        if begun is None:
            _check_empty(session, there, address)
        record = _planned(session, here, there, address)
        if dry_run:
            return Answer(record=record, text="\n".join(_plan(record)))
        if begun is None or not begun.whole:
            _moved(session, there, begun or moving.begin(session.journal, to, address))
    lines = [f"moved to {address}, {record['facts']:,} facts, head {record['hash']}, {time.monotonic() - began:.1f} s"]
    lines += [f"  {here.profile} is closed and can still be read; its stores are as they were, yours to remove"]
    lines += [f"  next: export WERK_PROFILE={to}"]
    return Answer(record=record, text="\n".join(lines))


def _check_another(here: Settings, there: Settings, address: str) -> None:
    if connect(here.journal_url).address == address:
        raise InputError(
            f"The profiles '{here.profile}' and '{there.profile}' have the same journal, {address}.",
            code="move-nowhere",
            hint="Name a profile of werk.toml with a [profile.NAME.journal] of its own.",
        )


def _check_same(begun: journal.Move | None, to: str, address: str) -> None:
    if begun is not None and (begun.to, begun.address) != (to, address):
        raise Refused(
            f"A move to the profile '{begun.to}' ({begun.address}) has begun.",
            code="move-begun",
            hint=f"Go on with it: werk move --to {begun.to}. Or take it back: werk move --to {begun.to} --cancel.",
        )


def _check_empty(session: Session, there: Settings, address: str) -> None:
    """Asked before anything is closed: what cannot be reached or is taken stops the move while all is as it was."""
    if moving.is_taken(there.journal_url):
        raise InputError(
            f"There is a journal at {address} already.",
            code="move-taken",
            hint="Name a profile with a database of its own: two chains of facts cannot become one.",
        )
    tables = cast("TableStore", built(there, "table_store"))
    if taken := tables.tables():
        raise InputError(
            f"The table store of '{there.profile}' has {len(taken)} tables already, such as {taken[0]}.",
            code="move-taken",
            hint="Name a profile with an empty one.",
        )
    next(iter(objects(there).list()), None)  # reached at all


def _cancelled(session: Session, begun: journal.Move | None) -> Answer:
    found = moving.cancel(session.journal)
    shutil.rmtree(_aside(session.settings), ignore_errors=True)
    text = f"taken back: the project lives in '{session.settings.profile}' as before" if found else "no move has begun"
    return Answer(record={"cancelled": found is not None, "to": begun.to if begun else None}, text=text)


def _planned(session: Session, here: Settings, there: Settings, address: str) -> dict[str, object]:
    head = session.journal.head()
    infos = list(session.p.object_store.list())
    return {
        "from": here.profile,
        "to": there.profile,
        "journal": address,
        "table_store": str(there.ports["table_store"].get("path", there.ports["table_store"]["use"])),
        "object_store": str(there.ports["object_store"].get("path", there.ports["object_store"].get("bucket", "")) or "memory"),
        "facts": head.seq,
        "hash": head.hash,
        "tables": session.p.table_store.tables(),
        "objects": len(infos),
        "objects_bytes": sum(info.size_bytes for info in infos),
    }


def _plan(record: dict[str, object]) -> Iterator[str]:
    tables = cast("list[str]", record["tables"])
    yield f"from '{record['from']}' to '{record['to']}'; nothing is done yet"
    yield f"  journal       {record['facts']:,} facts, head {record['hash']}, to {record['journal']}"
    yield f"  tables        {len(tables)}, with all their versions, to {record['table_store']}"
    size = cast("int", record["objects_bytes"]) / 1e6
    yield f"  objects       {record['objects']:,}, {size:,.1f} MB, to {record['object_store']}"
    yield f"  next: werk move --to {record['to']}"


def _aside(settings: Settings) -> Path:
    """Where the copy lies meanwhile, outside the project and readable by its owner alone."""
    return settings.home / "moving" / settings.project.id


def _moved(session: Session, there: Settings, begun: journal.Move) -> None:
    """The project is closed, so a second copy is the same as the first: each part may be put in its place again."""
    archive = of.Archive.checked(_copied(session))
    if Head(archive.about.seq, archive.about.hash) != begun.head:
        raise Tampered(
            f"The journal ends at fact {archive.about.seq} and was closed at {begun.seq}.",
            code="move-changed",
            hint="Run `werk audit verify`; `werk move --cancel` opens it again.",
        )
    of.place_keys(archive, cast("KeyStore", built(there, "key_store")))
    of.place_stores(archive, cast("TableStore", built(there, "table_store")), objects(there), progress())
    aside = archive.folder.with_name(f"{archive.folder.name}.checked")
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir(mode=0o700)
    checked = of.checked_journal(archive, aside, PROJECTIONS)
    begun = moving.placing(session.journal, begun)
    if not moving.arrived(there.journal_url, session.journal.id, begun):
        _make_room(begun.address)
        journal.restore(checked, there.journal_url, heads_dir=there.home / "heads", project=there.project.id)
    _check_there(session, there, begun)
    moving.finish(session.journal, begun)
    for folder in (aside, archive.folder):
        shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):
        archive.folder.parent.rmdir()
    open_session(session.p.project.root, there.profile).journal.close()  # its projections are made there, before anybody asks


def _copied(session: Session) -> Path:
    folder = _aside(session.settings)
    shutil.rmtree(folder, ignore_errors=True)
    of.swept(folder)
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    root = session.p.project.root
    code = capture_code(root, root / ".werk" / "code.git")
    return of.take(session.p, session.journal, code, folder, tell=progress()).folder


def _make_room(address: str) -> None:
    if "://" not in address:
        Path(address).parent.mkdir(parents=True, exist_ok=True)


def _check_there(session: Session, there: Settings, begun: journal.Move) -> None:
    """Before the mark says that all is there, the new place is opened and audited."""
    with onlooker(session.p.project.root, there.profile) as target:
        told = journal.verify(target.journal)
    if not told.ok or not moving.arrived(there.journal_url, session.journal.id, begun):
        why = told.damages[0].sentence if told.damages else f"it does not hold fact {begun.seq}."
        raise Tampered(
            f"What was put into '{there.profile}' is not what was sent: {why}",
            code="move-damaged",
            hint="Empty that store and give the same command again.",
        )
