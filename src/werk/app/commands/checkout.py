"""The three things a version is made of, put into a folder: code, model and data."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

from werk import data, registry
from werk.app.answers import Answer
from werk.app.wiring import Session, opened
from werk.core.canonical import canonical_json
from werk.core.errors import InputError, WerkError
from werk.core.nouns import Snapshot
from werk.pipelines.steps import load
from werk.registry import Registered, registered
from werk.workflow.capture import checkout_code


def checkout(version: str, directory: Path, project: Path | None, profile: str | None) -> Answer:
    """Everything that is still there is written; what is gone is named, and then the exit code is 1."""
    target = _empty(directory)
    with opened(project, profile) as session:
        found = registered(session.p.journal, registry.resolve(session.p, version))
        gone = [said for part in _parts(session, found, target) if (said := _written(part))]
    record = {"version": str(found.mv), "directory": str(target), "gone": gone}
    text = "\n".join([f"{found.mv}: code, model and data are in {target}", *(f"  gone: {said}" for said in gone)])
    return Answer(record=record, text=text, exit_code=1 if gone else 0)


def _empty(directory: Path) -> Path:
    target = directory.resolve()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise InputError(f"{directory} is not empty.", code="checkout-exists", hint="Name a new folder.")
        target.mkdir(parents=True, exist_ok=True)
    except OSError as closed:
        said = f"{directory} cannot be written: {closed.strerror}."
        raise InputError(said, code="checkout-unwritable", hint="Name another folder.") from closed
    return target


def _parts(session: Session, found: Registered, target: Path) -> list[Callable[[], object]]:
    store = session.p.project.root / ".werk" / "code.git"
    return [
        lambda: checkout_code(store, str(found.code["tree"]), _made(target / "code")),
        lambda: _model(session, found, target / "model"),
        lambda: _report(session, found, target),
        *(_table(session, snapshot, target / "data") for snapshot in found.snapshots),
    ]


def _written(part: Callable[[], object]) -> str:
    """What could not be written, as a sentence; empty when all is well."""
    try:
        part()
    except WerkError as gone:
        return gone.message
    return ""


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _model(session: Session, found: Registered, folder: Path) -> None:
    load(session.p, found.mv)  # raises when a byte of it is not what was signed
    prefix = f"{found.package_key}/"
    keys = [info.key for info in session.p.object_store.list(prefix)]
    for key, content in session.p.object_store.get(keys).items():
        (_made(folder) / key.removeprefix(prefix)).write_bytes(content)


def _report(session: Session, found: Registered, target: Path) -> None:
    report = registry.stored_report(session.p, registry.version_row(session.p, found.mv))
    (target / "report.json").write_text(canonical_json(report), encoding="utf-8")
    plans = session.p.journal.rows("plans", {"subject": session.p.project.id})
    about = {"version": str(found.mv), "plan": plans[0]["plan"] if plans else None, "code": dict(found.code)}
    (target / "about.json").write_text(canonical_json(cast("dict[str, object]", about)), encoding="utf-8")


def _table(session: Session, snapshot: Snapshot, folder: Path) -> Callable[[], object]:
    def write() -> None:
        data.scan(session.p, snapshot.table, snapshot.version).collect().write_parquet(_made(folder) / f"{snapshot}.parquet")

    return write
