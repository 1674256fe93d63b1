"""The process in which a step is debugged: its recorded inputs, a copy of the journal, and stores that keep nothing.

`python -m werk.app.debugging JOB` is what `werk debug` starts, with the terminal as it has it; JOB is a file.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from werk import data
from werk.app import answers
from werk.app.code import pipeline_named
from werk.app.debugging import postmortem
from werk.app.debugging.scratch import ScratchObjects, ScratchTables
from werk.app.settings import load_settings
from werk.app.wiring import Session, built, objects, open_with
from werk.core.canonical import JSON
from werk.core.errors import Failed, WerkError
from werk.core.ports.table_store import TableStore
from werk.workflow.again import Call, call_of, recorded
from werk.workflow.capture import Environment, capture_environment, differences, file_secrets, mask
from werk.workflow.run_journal import RunJournal

_SHOWN = 4  # lines about the environment: the debugger is what one came for


def main(words: Sequence[str]) -> int:
    job = json.loads(Path(words[0]).read_text(encoding="utf-8"))
    try:
        return _debugged(job)
    except (WerkError, OSError) as error:
        known = error if isinstance(error, WerkError) else answers.of_system(error)
        answers.show_error(known, as_json=False)
        return known.exit_code
    except KeyboardInterrupt:
        return 130


def _debugged(job: Mapping[str, Any]) -> int:
    session = _session(job)
    with closing(session.journal):
        then = recorded(session.journal, session.journal.rows("runs", {"run": job["run"]})[0], job["step"])
        lease = session.journal.claim(then.run, "debug", ttl_s=24 * 3600.0)
        if lease is None:
            hint = "Wait until it ends."
            raise Failed(f"The run {then.run} is being driven just now.", code="debug-held", hint=hint)
        p = replace(session.p, journal=RunJournal(session.p.journal, lease))
        pipeline = pipeline_named(session.p.project.root, then.pipeline)
        told = _environment(then.environment)  # now that the project's code has loaded its libraries, as in the run
        call = call_of(p, pipeline, then, session.resources, session.codecs)
        covered = _Covered(file_secrets(Path(job["project"])))
        print("\n".join(covered(line) for line in [*told, _called(call, job["stop"])]), flush=True)
        failed = _made(call, stop=job["stop"])
        if failed is None:
            return _came_through(then.error, then.run, then.step, stopped=job["stop"], differs=bool(told), covered=covered)
        error, after = failed
        print("\n".join(covered(line) for line in _compared(error, then.error)))
        reads = data.tampered(p, map(str, call.context.reads))
        print("\n".join(f"  {line}" for line in reads), end="\n" if reads else "", flush=True)
        if after:
            print("  the step itself returned: what fails is keeping its result. --break stops at its first line.", flush=True)
        postmortem.enter(cast("TracebackType", error.__traceback__), Path(session.p.project.root))
        return 0


class _Covered:
    """A text without the secrets that this project and its environment hold."""

    def __init__(self, values: Any) -> None:
        self._values = values

    def __call__(self, text: str) -> str:
        return mask(text, values=self._values)


def _session(job: Mapping[str, Any]) -> Session:
    """The project as its steps see it: what they write goes into the copy of the journal and into memory."""
    settings = load_settings(Path(job["project"]), job["profile"])
    tables, blobs = cast("TableStore", built(settings, "table_store")), objects(settings)
    place = Path(job["place"])
    ports: dict[str, dict[str, object]] = {
        **settings.ports,
        "table_store": {"use": "memory"},
        "object_store": {"use": "memory"},
        "key_store": {"use": "memory"},
    }
    root = replace(settings.project, root=Path(job["code"]))
    aside = replace(settings, project=root, ports=ports, journal_url=f"sqlite:///{place}/journal.db", home=place / "home")
    session = open_with(aside)
    return replace(session, p=replace(session.p, table_store=ScratchTables(tables), object_store=ScratchObjects(blobs)))


def _environment(then: Mapping[str, JSON]) -> list[str]:
    was = Environment.from_json(then)
    if not was.facts:
        return []
    now = Environment.from_json(cast("Mapping[str, JSON]", asdict(capture_environment())))
    # Threads of a library that a run loads and that this step has not needed so far say nothing.
    lines = [line for line in differences(was, now) if not (line.startswith("thread ") and line.endswith("-> absent"))]
    more = [f"  and {len(lines) - _SHOWN} more"] if len(lines) > _SHOWN else []
    return [f"environment, since the run: {line}" for line in lines[:_SHOWN]] + more


def _called(call: Call, stop: bool) -> str:
    given = ", ".join(call.given)
    attempt = f", attempt {call.context.attempt}" if call.context.attempt > 1 else ""
    return f"calling {call.step.name}({given}){attempt}" + (", to stop at its first line" if stop else "")


def _made(call: Call, *, stop: bool) -> tuple[BaseException, bool] | None:
    """How the call failed, and whether only after the step had returned; None when it did not."""
    try:
        result = postmortem.stopped_in(call.step.fn, call.given) if stop else call.step.fn(**call.given)
    except postmortem.Quit:
        return None
    except (Exception, SystemExit) as error:  # noqa: BLE001  # whatever the step raises is what is looked at
        return error, False
    try:
        call.keep(result)
    except Exception as error:  # noqa: BLE001  # as above
        return error, True
    return None


def _came_through(
    error: Mapping[str, JSON], run: str, step: str, *, stopped: bool, differs: bool, covered: Callable[[str], str]
) -> int:
    if stopped:
        return 0
    said = f" (in the run: {covered(str(error.get('message')))})" if error else ""
    why = " Its environment is another one now." if differs and error else ""
    raise Failed(
        f"The step '{step}' does not fail this time{said}.{why}",
        code="debug-no-failure",
        hint=f"Stop at its first line: werk debug {run} {step} --break.",
    )


def _compared(error: BaseException, then: Mapping[str, JSON]) -> Iterator[str]:
    now = error.message if isinstance(error, WerkError) else f"{type(error).__name__}: {error}".rstrip(". ")
    yield f"failed: {now}"
    if then and str(then.get("message")).strip() != now.strip():
        yield f"  the run itself failed otherwise: {then.get('message')}"
    debugger = (os.environ.get("PYTHONBREAKPOINT") or "pdb").partition(".")[0]
    yield f"  {debugger}: w shows the stack, u and d move, p NAME prints, q or Ctrl-D leaves; nothing is recorded"


if __name__ == "__main__":
    importlib.invalidate_caches()
    sys.exit(main(sys.argv[1:]))
