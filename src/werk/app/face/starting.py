"""Runs started from a notebook: in a process of their own, by the command that anybody would give."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

from werk.app.step_memory import newest_words
from werk.core import errors
from werk.core.errors import Failed, InputError, StepFailed, WerkError

# A step may print what is no text; that is no reason to stop its run.
_TEXT: dict[str, Any] = {"encoding": "utf-8", "errors": "replace"}
_KINDS: Mapping[int, type[WerkError]] = {2: errors.InputError, 3: errors.Refused}


def started(root: Path, profile: str | None, pipeline: str, params: Mapping[str, object], *, fresh: bool) -> str:
    """The id of the run, when it has finished."""
    given = [word for name, text in _texts(params) for word in ("-p", f"{name}={text}")]
    return str(_called(root, profile, ["run", pipeline, *given, *(["--fresh"] if fresh else [])])["run"])


def resumed(root: Path, profile: str | None, run: str) -> None:
    _called(root, profile, ["resume", run])


def _called(root: Path, profile: str | None, words: Iterable[str]) -> dict[str, Any]:
    """What the command answers; its signs of life are passed on, its error is raised here."""
    command = [sys.executable, "-m", "werk.app.cli", *words, "--json", "--project", str(root)]
    command += ["--profile", profile] if profile else []
    # A file for the answer: a pipe nobody reads while the other is read would hold up a command that says much.
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as out,
        subprocess.Popen(command, cwd=root, env=_environment(), stdout=out, stderr=subprocess.PIPE, **_TEXT) as process,
    ):
        try:
            last = _passed_on(process)
            process.wait()
        finally:
            if process.poll() is None:  # the notebook's stop button: the run is left as Ctrl-C leaves it, to be resumed
                process.terminate()
                process.communicate()
        out.seek(0)
        if process.returncode:
            raise _error(process.returncode, last, root)
        answer: dict[str, Any] = json.load(out)
    return answer


def _environment() -> dict[str, str]:
    """Without what makes a notebook's own process: a hook for its backend of plots would only fail there."""
    return {name: value for name, value in os.environ.items() if name != "MPLBACKEND"}


def _passed_on(process: subprocess.Popen[str]) -> str:
    """Prints what the command says of its progress, and keeps the line of its error."""
    assert process.stderr is not None
    last = ""
    for line in process.stderr:
        if line.startswith('{"error"'):
            last = line
        else:
            print(line, end="", flush=True)
    return last


def _error(code: int, line: str, root: Path) -> WerkError:
    if not line:
        known = "".join(f" {sentence}" for sentence in newest_words(root)) if code < 0 else ""
        hint = "`runs()` shows what can be resumed."
        return Failed(f"The process of the run ended with {code}.{known}", code="run-ended", hint=hint)
    said = json.loads(line)
    told = {name: said[name] for name in ("code", "hint")}
    traceback = said.get("traceback")
    error = (
        StepFailed(said["error"], **told, user_traceback=traceback)
        if traceback
        else _KINDS.get(code, Failed)(said["error"], **told)
    )
    for note in filter(None, (traceback, error.hint and f"next: {error.hint}")):
        error.add_note(note)  # what a notebook shows below the sentence
    return error


def _texts(params: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Parameters as the command line writes them; fields of a dataclass as `name.field`."""
    for name, value in params.items():
        if is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        if isinstance(value, Mapping):
            yield from ((f"{name}.{field}", _text(f"{name}.{field}", inner)) for field, inner in value.items())
        else:
            yield name, _text(name, value)


def _text(name: str, value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, str | int | float):
        return str(value)
    if isinstance(value, date):  # and times, which are dates too
        return value.isoformat()
    hint = "Give text, a number, a truth value, a date, a time or None; for a dataclass a mapping of its fields."
    raise InputError(f"'{name}' is a {type(value).__name__}, which no parameter takes.", code="param-unreadable", hint=hint)
