"""What this machine and this project can be relied on for, tried out now, and what nobody has proven."""

from __future__ import annotations

import platform
import secrets
import stat
import sys
from collections.abc import Iterator
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.runs import checked_triggers
from werk.app.machine import Finding, State, failed, of_machine, of_project, tried, versions
from werk.app.settings import Settings, find_root, home, load_settings
from werk.app.wiring import KEY, KINDS, Session, built, objects, open_with
from werk.core.errors import InputError, WerkError
from werk.core.nouns import to_micros, utc_now
from werk.core.ports.key_store import KeyStore
from werk.core.ports.table_store import TableStore

UNPROVEN = (
    "a real S3 service (tested against moto)",
    "the full kill matrix of 500 points (CI samples it)",
    "macOS and Windows",
    "pinned kernels of MKL, PyTorch and oneDNN, and of any processor but x86-64",
    "power loss on disks that lie about fsync",
)
SET_CLOCK = "Set this machine's clock by a time server, e.g. timedatectl set-ntp true."
SKEW_S, GREAT_SKEW_S = 2.0, 30.0  # a lease of 30 s would end at once, or never, for a clock that far off


def doctor(project: Path | None, profile: str | None) -> Answer:
    """Exit code 1 when something is broken; a warning or what could not be checked is said and does not fail.

    Without a project the machine is checked; with settings that cannot be read, the project's folder too.
    """
    root = _root(project)
    settings, of_settings = _settings(root, profile)
    findings = [*of_machine(home()), *(of_project(root) if root else ()), of_settings, *(_findings(settings) if settings else ())]
    broken = [one.check for one in findings if one.state == "broken"]
    record: dict[str, object] = {
        "ok": not broken,
        "werk": version("werk"),
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
        **versions(),
        **(_bound(settings) if settings else {}),
        "checks": [asdict(one) for one in findings],
        "unproven": list(UNPROVEN),
    }
    return Answer(record=record, text=_text(record), exit_code=1 if broken else 0)


def _root(project: Path | None) -> Path | None:
    """None outside any project; a folder that was named and is none is a wrong input, as in every command."""
    try:
        return find_root((project or Path.cwd()).resolve())
    except InputError:
        if project is not None:
            raise
        return None


def _settings(root: Path | None, profile: str | None) -> tuple[Settings | None, Finding]:
    if root is None:
        said, advice = "No project here: journal, stores and clock are not tried.", "Go into one, or name it with --project DIR."
        return None, Finding("settings", "not checked", said, advice)
    try:
        settings = load_settings(root, profile)
    except WerkError as error:
        return None, failed("settings", error)
    except OSError as closed:
        said = f"{closed.filename}: {closed.strerror}"
        return None, Finding("settings", "broken", said, "Check that path, its owner and its rights.")
    return settings, Finding("settings", "ok", f"read, with profile {settings.profile}")


def _bound(settings: Settings) -> dict[str, object]:
    return {
        "project": settings.project.name,
        "profile": settings.profile,
        "journal": settings.journal_url.partition(":")[0],
        **{port: given["use"] for port, given in settings.ports.items()},
    }


def _text(record: dict[str, Any]) -> str:
    facts = [f"{name:<16} {value}" for name, value in record.items() if name not in ("ok", "checks", "unproven")]
    checks = [f"  {one['state']:<12} {one['check']:<22} {one['says']} {one['next']}".rstrip() for one in record["checks"]]
    return "\n".join([*facts, "checks", *checks, "unproven", *(f"  {line}" for line in record["unproven"])])


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _secrets(settings)
    yield tried("key store", lambda: _keys(settings))
    yield tried("object store", lambda: _objects(settings))
    yield tried("table store", lambda: _tables(settings))
    yield from _of_journal(settings)


def _secrets(settings: Settings) -> Finding:
    """What is to be written instead stands in each sentence."""
    found = settings.notices
    if not found:
        return Finding("secrets", "ok", "none stands in werk.toml")
    return Finding("secrets", "warning", " ".join(found), "Then change that password: it is in the code kept with earlier runs.")


def _keys(settings: Settings) -> Finding | str:
    cast("KeyStore", built(settings, "key_store")).sign(KEY, [b"doctor"])
    path = settings.ports["key_store"].get("path")
    if not isinstance(path, str):
        return "signs"
    folder = Path(path).expanduser()
    open_to_all = [file.name for file in (folder, *folder.iterdir()) if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to_all:
        return Finding(
            "key store", "broken", f"Others can read {', '.join(open_to_all)} in {folder}.", f"chmod -R go-rwx {folder}"
        )
    return f"signs; only their owner can read the keys in {folder}"


def _objects(settings: Settings) -> Finding | str:
    """Written, read and deleted again."""
    store, key = objects(settings), f"doctor/{secrets.token_hex(8)}"
    store.put({key: b"werk"})
    try:
        if store.get([key])[key] == b"werk":
            return "written and read"
        return Finding("object store", "broken", "Other bytes came back than were written.", "Check the store's disk or service.")
    finally:
        store.delete([key])


def _tables(settings: Settings) -> Finding | str:
    """Listed everywhere; written only where a trial leaves no table behind, because every run pins every table."""
    store = cast("TableStore", built(settings, "table_store"))
    count, path = len(store.tables()), settings.ports["table_store"].get("path")
    if not isinstance(path, str) or "://" in path:
        return Finding(
            "table store",
            "not checked",
            f"{count} tables listed; writing is not tried on a remote store.",
            "A run of this profile tries it.",
        )
    Path(path).mkdir(parents=True, exist_ok=True)
    trial = Path(path) / f".doctor-{secrets.token_hex(8)}"
    trial.write_bytes(b"werk")
    trial.unlink()
    return f"{count} tables; its folder can be written"


def _of_journal(settings: Settings) -> Iterator[Finding]:
    try:
        session = open_with(settings)
    except WerkError as error:
        yield failed("journal", error)
        return
    with session.journal:
        yield tried("journal", lambda: _journal(session))
        yield tried("clock", lambda: _clock(session))
        yield tried("signed heads", lambda: _heads(session))
        yield tried("triggers", lambda: _triggers(session))
        yield Finding("actor", "ok", f"{session.p.actor.name} ({session.p.actor.assurance})")


def _journal(session: Session) -> str:
    """A transaction that writes nothing still needs the right to write."""
    with session.journal.write() as facts:
        return f"{facts.head().seq} facts; can be written"


def _clock(session: Session) -> Finding | str:
    """Against the database's clock, and against the newest fact: a clock set back would date new facts like old ones."""
    before = to_micros(utc_now())
    theirs = session.journal.now()
    after = to_micros(utc_now())
    skew = abs(theirs - (before + after) // 2) / 1e6
    newest = next(session.journal.facts(after=session.journal.head().seq - 1, limit=1), None)
    if newest is not None and newest.at > after + GREAT_SKEW_S * 1e6:
        ahead = (newest.at - after) / 1e6
        return Finding("clock", "broken", f"The newest fact is {ahead:.0f} s in the future: this clock was set back.", SET_CLOCK)
    state: State = "broken" if skew >= GREAT_SKEW_S else "warning" if skew >= SKEW_S else "ok"
    return Finding("clock", state, f"{skew:.3f} s from the database's", "" if state == "ok" else SET_CLOCK)


def _triggers(session: Session) -> Finding | str:
    """Whether each could start its pipeline; a kind of fact that nobody has written may be a project's own, or a slip."""
    triggers = checked_triggers(session)
    seen = {trigger.on for trigger in triggers if any(session.journal.facts(kinds=(trigger.on,), limit=1))}
    for trigger in triggers:
        if trigger.on not in KINDS and trigger.on not in seen:
            return Finding(
                "triggers",
                "warning",
                f"{trigger.name} waits for {trigger.on}: no such fact has been written yet.",
                "Check the spelling of `on`.",
            )
    return f"{len(triggers)} fit their pipelines" if triggers else "none"


def _heads(session: Session) -> Finding | str:
    head, signed = session.journal.head(), journal.last_signed(session.journal)
    if signed is None:
        advice = "The next command that writes signs one." if head.seq else ""
        return Finding("signed heads", "warning" if head.seq else "ok", "none yet", advice)
    if signed.seq > head.seq:
        return Finding(
            "signed heads",
            "broken",
            f"Fact {signed.seq} was signed and the journal ends at {head.seq}.",
            "Run `werk audit verify`.",
        )
    return f"signed up to fact {signed.seq} of {head.seq}"
