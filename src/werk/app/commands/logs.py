"""What the steps of a run did and printed: `werk logs`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import cast

from werk.app.answers import Answer
from werk.app.commands.show import run_row, step_line, steps_of
from werk.app.step_memory import last_words
from werk.app.step_output import LOGS, attempts
from werk.app.wiring import opened
from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown

Printed = dict[str, dict[int, str]]
_EVERY_S = 0.2


def logs(run: str, step: str | None, attempt: int | None, project: Path | None, profile: str | None) -> Answer:
    """State, attempts, time and memory of each step and what it printed; of a failure the user's own traceback."""
    with opened(project, profile) as session:
        row = run_row(session.p.journal, run)
        steps = steps_of(session.p.journal, run)
        root = session.p.project.root
    printed = _printed(root, run)
    error = cast("dict[str, JSON] | None", row["error"])
    killed = last_words(root, run) if row["status"] == "running" else []
    record: dict[str, object] = {
        "run": run,
        "status": row["status"],
        "steps": steps,
        "error": error,
        "killed": killed,
        "output": printed,
    }
    if step is None:
        return Answer(record=record, text="\n".join(_told(record, error or {}, printed)))
    known = [str(one["step"]) for one in steps]
    if step not in [*known, *printed]:
        raise unknown(f"step of {run}", step, known, code="step-unknown")
    return Answer(record={**record, "output": printed.get(step, {})}, text=_of(printed.get(step, {}), step, attempt))


def follow(run: str, step: str | None, project: Path | None, profile: str | None) -> Answer:
    """Print what the steps print, from the beginning, until the run has ended; then what came of it."""
    with opened(project, profile) as session:
        root, read, shown = session.p.project.root, session.p.journal, dict[Path, int]()
        ended = False
        while not ended:
            ended = str(run_row(read, run)["status"]) != "running"
            for path in _files(root, run):
                if step is None or path.name.startswith(f"{step}."):
                    _show_more(path, shown)
            if not ended:
                time.sleep(_EVERY_S)
        row, steps = run_row(read, run), steps_of(read, run)
    error = cast("dict[str, JSON] | None", row["error"])
    record: dict[str, object] = {"run": run, "status": row["status"], "steps": steps, "error": error}
    return Answer(record=record, text="\n".join(_told(record, error or {}, {})))


def _show_more(path: Path, shown: dict[Path, int]) -> None:
    with path.open("rb") as file:
        file.seek(shown.get(path, 0))
        data = file.read()
    if path not in shown:
        print(f"--- {_named(path)}", file=sys.stderr, flush=True)
    shown[path] = shown.get(path, 0) + len(data)
    print(data.decode(errors="replace"), end="", flush=True)


def _named(path: Path) -> str:
    step, _, attempt = path.name.removesuffix(".log").rpartition(".")
    return step if attempt == "1" else f"{step}, attempt {attempt}"


def _files(root: Path, run: str) -> list[Path]:
    """In the order in which the steps began to print."""
    found = [(path.stat().st_mtime_ns, path) for path in (root / LOGS / run).glob("*.log")]
    return [path for _, path in sorted(found)]


def _printed(root: Path, run: str) -> Printed:
    names = dict.fromkeys(path.name.removesuffix(".log").rpartition(".")[0] for path in _files(root, run))
    return {name: {at: path.read_text(errors="replace") for at, path in attempts(root, run, name).items()} for name in names}


def _of(printed: Mapping[int, str], step: str, attempt: int | None) -> str:
    if attempt is not None and attempt not in printed:
        raise InputError(
            f"The step '{step}' printed nothing in attempt {attempt}.",
            code="attempt-unknown",
            hint=f"It printed in: {', '.join(map(str, printed)) or 'none'}.",
        )
    chosen = attempt if attempt is not None else max(printed, default=None)
    return "" if chosen is None else printed[chosen].rstrip("\n")


def _told(record: Mapping[str, object], error: Mapping[str, JSON], printed: Printed) -> Iterator[str]:
    yield f"{record['run']} {record['status']}"
    yield from (f"  {step_line(step)}" for step in cast("list[dict[str, object]]", record["steps"]))
    for step, tries in printed.items():
        for attempt, text in tries.items():
            yield f"--- {step}" if attempt == 1 else f"--- {step}, attempt {attempt}"
            yield text.rstrip("\n")
    yield from cast("list[str]", record.get("killed") or [])
    if error:
        yield f"{error.get('step')}: {error.get('message')} [{error.get('code')}]"
        yield str(error.get("traceback") or "").rstrip()
