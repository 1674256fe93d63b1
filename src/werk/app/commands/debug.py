"""Open a debugger where a step failed, on what its run recorded; the run, the journal and the project stay as they are."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.show import run_row
from werk.app.settings import find_root
from werk.app.wiring import Session, onlooker
from werk.core.errors import Failed, InputError, Tampered
from werk.workflow.again import Recorded, recorded
from werk.workflow.capture import Environment, checkout_code, variables_for, withheld


def debug(run: str, step: str | None, stop: bool, present_code: bool, project: Path | None, profile: str | None) -> Answer:
    root = find_root((project or Path.cwd()).resolve())
    with tempfile.TemporaryDirectory(prefix="werk-debug-") as folder:
        place = Path(folder)
        with onlooker(root, profile) as session:
            then = recorded(session.journal, run_row(session.journal, run), step)
            if not then.error and not stop:
                hint = f"Stop at its first line: werk debug {run} {then.step} --break."
                raise InputError(f"The step '{then.step}' did not fail in {run}.", code="nothing-failed", hint=hint)
            _check_inputs(session, then)
            _say(_about(then), *_gone(session, then))
            code = root if present_code else _checked_out(session, then, place / "code")
            _say(*_code(root, code, then, place, present=present_code))
            _copy_journal(session, place)
        job = {"project": str(root), "code": str(code), "place": folder, "profile": session.settings.profile}
        (place / "job.json").write_text(json.dumps({**job, "run": run, "step": then.step, "stop": stop}), encoding="utf-8")
        return Answer(exit_code=_in_its_own_process(then, code, place / "job.json"))


def _say(*lines: str) -> None:
    for line in lines:
        print(line, flush=True)


def _about(then: Recorded) -> str:
    attempt = f", attempt {then.attempt}" if then.attempt > 1 else ""
    return f"{then.run}: {then.pipeline}, step '{then.step}'{attempt}"


def _check_inputs(session: Session, then: Recorded) -> None:
    given = then.inputs()
    there = session.p.object_store.exists([payload.key for payload in given.values()])
    gone = [f"'{name}'" for name, payload in given.items() if payload.key not in there]
    if gone:
        raise Failed(
            f"What '{then.step}' was given as {', '.join(gone)} is no longer in the object store.",
            code="debug-input-gone",
            hint="Bring it back from a backup, or run the pipeline again: `werk run` makes it anew.",
        )


def _gone(session: Session, then: Recorded) -> Iterator[str]:
    """Table versions that the step cannot read any more, as far as the store knows without reading them."""
    for table, pin in sorted(then.pins.items()):
        present = session.p.table_store.version(table)
        if present is None or present < pin:
            yield f"gone: {table}@{pin}, which the run could read"


def _checked_out(session: Session, then: Recorded, target: Path) -> Path:
    try:
        checkout_code(session.p.project.root / ".werk" / "code.git", str(then.code.get("tree")), target)
    except (InputError, Tampered) as gone:
        raise Failed(
            f"The code that the run recorded cannot be had: {gone.message}",
            code="debug-code-gone",
            hint=f"Take the code as it is now: werk debug {then.run} {then.step} --present-code.",
        ) from gone
    return target


def _code(root: Path, code: Path, then: Recorded, place: Path, *, present: bool) -> Iterator[str]:
    """Which code runs, what has changed since, and what the run had that its record has not."""
    changed = _changed(root, _kept(root, then, place / "then") if present else code)
    since = f"changed since: {', '.join(changed)}" if changed else "nothing of it has changed since"
    if present:
        yield f"code: as it is now in {root}; {since}"
        return
    yield f"code: as the run recorded it, in {code} (a copy; --present-code takes yours); {since}"
    left_out = cast("list[str]", then.code.get("left_out") or [])
    if left_out:
        yield f"not recorded, so not in the copy: {', '.join(left_out)}"
    for name in withheld(left_out):
        yield f"  {name} is code: --present-code has it"
    for name in cast("dict[str, str]", then.code.get("elsewhere") or {}):
        yield f"from outside the project, and taken as it is now: {name}"


def _kept(root: Path, then: Recorded, target: Path) -> Path | None:
    try:
        checkout_code(root / ".werk" / "code.git", str(then.code.get("tree")), target)
    except (InputError, Tampered):
        return None
    return target


def _changed(root: Path, recorded: Path | None) -> list[str]:
    if recorded is None:
        return ["(what was recorded is gone)"]
    files = sorted(path.relative_to(recorded) for path in recorded.rglob("*") if path.is_file())
    differing = [f for f in files if not (root / f).is_file() or (root / f).read_bytes() != (recorded / f).read_bytes()]
    named = [f.as_posix() for f in differing[:5]]
    return [*named, f"{len(differing) - 5} more"] if len(differing) > 5 else named


def _copy_journal(session: Session, place: Path) -> None:
    journal.backup(session.journal, place / "facts")
    journal.restore(place / "facts", f"sqlite:///{place}/journal.db")


def _in_its_own_process(then: Recorded, code: Path, job: Path) -> int:
    """With the terminal as it is, the recorded variables, and nothing left behind: Python writes no compiled files there."""
    shell = {name: value for name, value in os.environ.items() if name != "WERK_PROFILE"}
    environment = {**variables_for(Environment.from_json(then.environment), shell), "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen([sys.executable, "-m", "werk.app.debugging", str(job)], env=environment, cwd=code)
    with _left_to_the_debugger():
        return process.wait()


@contextmanager
def _left_to_the_debugger() -> Iterator[None]:
    """Ctrl-C is meant for the step or the debugger, which this process only waits for."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
