"""What this machine and this project can be relied on for, tried out now, and what nobody has proven."""

from __future__ import annotations

import platform
import secrets
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal, cast

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.runs import checked_triggers
from werk.app.settings import Settings, find_root, load_settings
from werk.app.wiring import KEY, KINDS, Session, built, objects, open_with
from werk.core.errors import WerkError
from werk.core.nouns import to_micros, utc_now
from werk.core.ports.key_store import KeyStore
from werk.core.ports.table_store import TableStore

LIBRARIES = ("deltalake", "polars", "duckdb", "sqlalchemy", "lightgbm", "scikit-learn", "cryptography")
UNPROVEN = (
    "a real S3 service (tested against moto)",
    "the full kill matrix of 500 points (CI samples it)",
    "macOS and Windows",
    "pinned kernels of MKL, PyTorch and oneDNN, and of any processor but x86-64",
    "power loss on disks that lie about fsync",
)
LEAST_BYTES, LITTLE_BYTES = 200_000_000, 2_000_000_000
SKEW_S, GREAT_SKEW_S = 2.0, 30.0  # a lease of 30 s would end at once, or never, for a clock that far off

State = Literal["ok", "warning", "broken", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    check: str
    state: State
    says: str


def doctor(project: Path | None, profile: str | None) -> Answer:
    """Exit code 1 when something is broken; a warning or what could not be checked is said and does not fail."""
    settings = load_settings(find_root((project or Path.cwd()).resolve()), profile)
    findings = list(_findings(settings))
    broken = [one.check for one in findings if one.state == "broken"]
    record: dict[str, object] = {
        "ok": not broken,
        "werk": version("werk"),
        "python": sys.version.split()[0],
        "machine": f"{platform.system()} {platform.machine()}",
        **{name: version(name) for name in LIBRARIES},
        "project": settings.project.name,
        "profile": settings.profile,
        "journal": settings.journal_url.partition(":")[0],
        **{port: given["use"] for port, given in settings.ports.items()},
        "checks": [asdict(one) for one in findings],
        "unproven": list(UNPROVEN),
    }
    return Answer(record=record, text=_text(record), exit_code=1 if broken else 0)


def _text(record: dict[str, Any]) -> str:
    versions = [f"{name:<16} {value}" for name, value in record.items() if name not in ("ok", "checks", "unproven")]
    checks = [f"  {one['state']:<12} {one['check']:<20} {one['says']}" for one in record["checks"]]
    return "\n".join([*versions, "checks", *checks, "unproven", *(f"  {line}" for line in record["unproven"])])


def _findings(settings: Settings) -> Iterator[Finding]:
    yield _tried("git", lambda: _git())
    yield from (
        _space(name, path) for name, path in (("disk of the project", settings.project.root), ("disk of the keys", settings.home))
    )
    yield _secrets(settings)
    yield _tried("key store", lambda: _keys(settings))
    yield _tried("object store", lambda: _objects(settings))
    yield _tried("table store", lambda: _tables(settings))
    yield from _of_journal(settings)


def _tried(check: str, work: Callable[[], Finding | str]) -> Finding:
    try:
        found = work()
    except WerkError as error:
        return Finding(check, "broken", f"{error.message} {error.hint}".strip())
    except OSError as closed:
        return Finding(check, "broken", f"{closed.filename}: {closed.strerror}")
    return found if isinstance(found, Finding) else Finding(check, "ok", found)


def _secrets(settings: Settings) -> Finding:
    found = settings.notices
    return Finding("secrets", "warning" if found else "ok", " ".join(found) or "none stands in werk.toml")


def _git() -> Finding | str:
    found = shutil.which("git")
    if found is None:
        return Finding("git", "broken", "git is not installed, so the code of a run cannot be kept. Install it.")
    return subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _space(check: str, path: Path) -> Finding:
    there = next(folder for folder in (path, *path.parents) if folder.exists())
    free = shutil.disk_usage(there).free
    state: State = "broken" if free < LEAST_BYTES else "warning" if free < LITTLE_BYTES else "ok"
    return Finding(check, state, f"{free / 1e9:.1f} GB free")


def _keys(settings: Settings) -> Finding | str:
    cast("KeyStore", built(settings, "key_store")).sign(KEY, [b"doctor"])
    path = settings.ports["key_store"].get("path")
    if not isinstance(path, str):
        return "signs"
    folder = Path(path).expanduser()
    open_to_all = [file.name for file in (folder, *folder.iterdir()) if stat.S_IMODE(file.stat().st_mode) & 0o077]
    if open_to_all:
        return Finding("key store", "broken", f"others can read {', '.join(open_to_all)} in {folder}: chmod go-rwx")
    return f"signs; only their owner can read the keys in {folder}"


def _objects(settings: Settings) -> str:
    """Written, read and deleted again."""
    store, key = objects(settings), f"doctor/{secrets.token_hex(8)}"
    store.put({key: b"werk"})
    try:
        return "written and read" if store.get([key])[key] == b"werk" else "other bytes came back than were written"
    finally:
        store.delete([key])


def _tables(settings: Settings) -> Finding | str:
    """Listed everywhere; written only where a trial leaves no table behind, because every run pins every table."""
    store = cast("TableStore", built(settings, "table_store"))
    count, path = len(store.tables()), settings.ports["table_store"].get("path")
    if not isinstance(path, str) or "://" in path:
        return Finding("table store", "not checked", f"{count} tables listed; writing is not tried on a remote store")
    Path(path).mkdir(parents=True, exist_ok=True)
    trial = Path(path) / f".doctor-{secrets.token_hex(8)}"
    trial.write_bytes(b"werk")
    trial.unlink()
    return f"{count} tables; its folder can be written"


def _of_journal(settings: Settings) -> Iterator[Finding]:
    try:
        session = open_with(settings)
    except WerkError as error:
        yield Finding("journal", "broken", f"{error.message} {error.hint}".strip())
        return
    with session.journal:
        yield _tried("journal", lambda: _journal(session))
        yield _tried("clock", lambda: _clock(session))
        yield _tried("signed heads", lambda: _heads(session))
        yield _tried("triggers", lambda: _triggers(session))
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
        return Finding("clock", "broken", f"the newest fact is {ahead:.0f} s in the future: this clock was set back")
    state: State = "broken" if skew >= GREAT_SKEW_S else "warning" if skew >= SKEW_S else "ok"
    return Finding("clock", state, f"{skew:.3f} s from the database's")


def _triggers(session: Session) -> Finding | str:
    """Whether each could start its pipeline; a kind of fact that nobody has written may be a project's own, or a slip."""
    triggers = checked_triggers(session)
    seen = {trigger.on for trigger in triggers if any(session.journal.facts(kinds=(trigger.on,), limit=1))}
    for trigger in triggers:
        if trigger.on not in KINDS and trigger.on not in seen:
            return Finding("triggers", "warning", f"{trigger.name} waits for {trigger.on}: no such fact has been written yet")
    return f"{len(triggers)} fit their pipelines" if triggers else "none"


def _heads(session: Session) -> Finding | str:
    head, signed = session.journal.head(), journal.last_signed(session.journal)
    if signed is None:
        return Finding("signed heads", "warning" if head.seq else "ok", "none yet; the next command that writes signs one")
    if signed.seq > head.seq:
        return Finding("signed heads", "broken", f"fact {signed.seq} was signed and the journal ends at {head.seq}: audit verify")
    return f"signed up to fact {signed.seq} of {head.seq}"
