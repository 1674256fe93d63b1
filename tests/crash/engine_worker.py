"""A process that forks drivers of a seven-step chain, to be killed by test_engine.py. Commands come as JSON lines.

The parent never opens a journal and stays single-threaded, so that a fork is as good as a new process and far cheaper.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from werk.core.errors import Lost, Transient
from werk.core.journal import Journal
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.journal import open_journal
from werk.workflow import PROJECTIONS, Engine, StepContext, pipeline, step

LOST, HELD = 40, 41
GIVEN: dict[str, Any] = {"pins": {}, "code": {}, "environment": {}, "fresh": True}


def leave(file: Path, *words: str) -> None:
    with file.open("ab", buffering=0) as lines:
        lines.write((" ".join(words) + "\n").encode())


class Trace:
    """The step's side effect outside werk: one line per execution, `run step pid`."""

    def __init__(self, folder: Path, context: StepContext, journal: Journal) -> None:
        self._folder, self._context, self._journal = folder, context, journal

    def note(self, number: int) -> int:
        run, step = self._context.run, self._context.step
        if any(self._journal.facts(dedupe_key=f"{run}/{step}")):  # begun although its result is there
            leave(self._folder / "redone", run, step)
        leave(self._folder / "executed", run, step, str(os.getpid()))
        self._misbehave(number)
        return number + 1

    def _misbehave(self, number: int) -> None:
        """A file named after the step's number says what happens in it, once: it dies, or waits for the file `go`."""
        for act in ("kill", "wait"):
            plan = self._folder / f"{act}-{number}"
            if plan.exists():
                plan.rename(self._folder / f"{act}ed-{number}")
                if act == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                while not (self._folder / "go").exists():
                    time.sleep(0.01)


@step("one")
def one(*, trace: Trace) -> int:
    return trace.note(1)


@step("two")
def two(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@step("three")
def three(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@step("four")
def four(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@step("five")
def five(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@step("six")
def six(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@step("seven")
def seven(n: int, *, trace: Trace) -> int:
    return trace.note(n)


@pipeline
def chain() -> None:
    seven(six(five(four(three(two(one()))))))


def platform(url: str, folder: Path, project: str) -> Platform:
    missing: Any = None
    made: Any = {
        "object_store": build("object_store", "file", {"path": folder / "objects"}),
        "meter": build("meter", "process", {}),
    }
    return Platform(
        project=Project(project, "crash", Path(__file__).parent),
        actor=Actor("act_crash", "crash", "local"),
        stage="test",
        journal=open_journal(url, project=project, actor="act_crash", projections=PROJECTIONS),
        table_store=missing,
        key_store=missing,
        identity=missing,
        model_format={},
        **made,
    )


def engine(p: Platform, folder: Path, lease_s: float) -> Engine:
    return Engine(p, {"trace": lambda bound, context: Trace(folder, context, bound.journal)}, lease_s=lease_s)


def drive(url: str, folder: str, project: str, run: str, lease_s: float, insist: bool) -> int:
    """`insist` waits for a run that another worker holds or has taken over, as a supervisor does."""
    try:
        made = engine(platform(url, Path(folder), project), Path(folder), lease_s)
        while (code := resumed(made, run)) in (HELD, LOST) and insist:
            if code == LOST:
                leave(Path(folder) / "fenced", run)
            time.sleep(0.02)
        return code
    except KeyboardInterrupt:
        return 130


def resumed(made: Engine, run: str) -> int:
    try:
        return 0 if made.resume(chain, run) == "finished" else 1
    except Lost:
        return LOST
    except Transient as held:
        return HELD if held.code == "run-held" else 1


def main() -> None:
    """`{"drive": {...}}` answers with a pid, `{"wait": pid}` with its exit code (negative: the signal that ended it)."""
    for line in sys.stdin:
        order = json.loads(line)
        if "wait" in order:
            print(os.waitstatus_to_exitcode(os.waitpid(order["wait"], 0)[1]), flush=True)
            continue
        pid = os.fork()
        if not pid:
            os._exit(drive(**order["drive"]))
        print(pid, flush=True)


if __name__ == "__main__":
    main()
