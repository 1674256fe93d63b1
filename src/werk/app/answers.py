"""What a command says: a table or a record on the terminal, the same as JSON with --json."""

from __future__ import annotations

import ctypes
import errno
import json
import math
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field

from werk.core.errors import Failed, InputError, StepFailed, WerkError, disk_full

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows` or `record` is what --json prints; `text` replaces the plain rendering where it reads better."""

    rows: Sequence[Row] | None = None
    record: Row | None = None
    text: str = ""
    columns: Sequence[str] = field(default=())
    exit_code: int = 0


@contextmanager
def aside() -> Iterator[None]:
    """What is printed meanwhile goes to stderr, by whomever: Python, a thread, a C library, a process that a step starts.

    So with --json nothing but the answer stands on stdout.
    """
    with redirect_stdout(sys.stderr):
        if sys.__stdout__ is None or sys.__stderr__ is None:  # closed by the caller: their numbers may be other files by now
            yield
            return
        _flush()
        kept = os.dup(1)
        os.dup2(2, 1)
        try:
            yield
        finally:
            _flush()
            os.dup2(kept, 1)
            os.close(kept)


def _flush() -> None:
    """What waits in a buffer is told where it was meant to go: Python's, and C's, which else would come at the very end."""
    for stream in (sys.__stdout__, sys.stdout):
        if stream is not None and not stream.closed:
            stream.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


def show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        value = answer.rows if answer.rows is not None else answer.record if answer.record is not None else {}
        print(json.dumps(finite(value), indent=2, ensure_ascii=False, default=str))
    elif answer.text:
        print(answer.text)
    elif answer.rows is not None:
        print(table_of(answer.rows, answer.columns))
    elif answer.record is not None:
        print("\n".join(f"{name:<16} {cell(value)}" for name, value in answer.record.items()))


def of_system(error: OSError | RuntimeError) -> WerkError:
    """What no room has put into words: the operating system's own, with the file it is about."""
    if isinstance(error, RuntimeError):
        return InputError(f"{error}.", code="link-circular", hint="Name the folder or file itself, or mend its symbolic link.")
    what = str(error.filename) if error.filename else "what was to be written"
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return disk_full(what)
    reason = error.strerror or str(error) or type(error).__name__
    hint = "Check that file or folder; `werk --debug ...` shows where it was asked for."
    return Failed(f"The operating system refused {what}: {reason}.", code="system-refused", hint=hint)


def show_error(error: WerkError, *, as_json: bool) -> None:
    """One sentence, the next step and the code; a user's own traceback comes first."""
    if as_json:
        said = {"error": error.message, "code": error.code, "hint": error.hint}
        if isinstance(error, StepFailed) and error.user_traceback:
            said["traceback"] = error.user_traceback
        print(json.dumps(said, ensure_ascii=False), file=sys.stderr)
        return
    if isinstance(error, StepFailed) and error.user_traceback:
        print(error.user_traceback.rstrip(), file=sys.stderr)
    print(f"{_who(error)}: {error.message} [{error.code}]", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)
    if sys.stderr.isatty():  # for a person, not for a log
        print(f"  more: werk help {error.code}", file=sys.stderr)


def _who(error: WerkError) -> str:
    return {2: "input", 3: "refused"}.get(error.exit_code, "failed")


def table_of(rows: Sequence[Row], columns: Sequence[str]) -> str:
    if not rows:
        return "(nothing yet)"
    names = list(columns) or list(rows[0])
    cells = [[cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(one.ljust(width) for one, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def finite(value: object) -> object:
    """JSON has no NaN and no infinity: they are written as text, so that every reader can read the rest."""
    if isinstance(value, float):
        return value if math.isfinite(value) else {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}[str(value)]
    if isinstance(value, Mapping):
        return {name: finite(item) for name, item in value.items()}
    return [finite(item) for item in value] if isinstance(value, list | tuple) else value


def cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
