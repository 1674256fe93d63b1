"""What is known of a step whose process was killed: it left no word, but a file in which its memory was written down as it grew.

`.werk/logs/RUN/STEP.ATTEMPT.memory` is there only while the step works, and after a process that could not end it.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path

from werk.app.step_output import LOGS
from werk.workflow import StepContext
from werk.workflow.memory import Memory, told

_EVERY_S = 0.2
_DIGITS = 20  # of the peak, always as wide, so that it is written over in place


def watcher(root: Path, memory: Memory | None = None) -> Callable[[StepContext], AbstractContextManager[None]]:
    return lambda context: _watched(_path(root, context.run, context.step, context.attempt), memory or Memory())


def _path(root: Path, run: str, step: str, attempt: int) -> Path:
    return root / LOGS / run / f"{step}.{attempt}.memory"


@contextmanager
def _watched(path: Path, memory: Memory) -> Iterator[None]:
    written = _begin(path, memory)
    if written is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_write_peaks, args=(written, memory, ended), name="werk-step-memory", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        os.close(written)
        with suppress(OSError):
            path.unlink()
            path.parent.rmdir()  # empty, where nothing was printed


def _begin(path: Path, memory: Memory) -> int | None:
    """None where it cannot be written, or nothing is known of memory: the step works all the same."""
    if memory.peak_bytes() is None:
        return None
    known = {
        "pid": os.getpid(),
        "began": memory.began(),
        "boot": memory.boot(),
        "limit": str(memory.limit() or ""),
        "kills": memory.kills(),
    }
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        os.write(file, f"{memory.peak_bytes():0{_DIGITS}d}\n{json.dumps(known)}\n".encode())
    except OSError:
        return None
    return file


def _write_peaks(file: int, memory: Memory, ended: threading.Event) -> None:
    while not ended.wait(_EVERY_S):
        with suppress(OSError):
            os.pwrite(file, f"{memory.peak_bytes() or 0:0{_DIGITS}d}".encode(), 0)


def last_words(root: Path, run: str, memory: Memory | None = None) -> list[str]:
    """A sentence for each step of the run whose process is gone without having ended it."""
    memory = memory or Memory()
    return [sentence for path in sorted((root / LOGS / run).glob("*.memory")) if (sentence := _sentence(path, memory))]


def newest_words(root: Path) -> list[str]:
    """Of the run that worked here last, for who has only seen its process end."""
    left = sorted((root / LOGS).glob("run_*/*.memory"), key=lambda path: path.stat().st_mtime_ns)
    return last_words(root, left[-1].parent.name) if left else []


def _sentence(path: Path, memory: Memory) -> str:
    try:
        peak, line = path.read_text(encoding="utf-8").splitlines()
        known = json.loads(line)
        step = path.name.removesuffix(".memory").rpartition(".")[0]
        return "" if _goes_on(known, memory) else f"The process of '{step}' was killed: {_why(int(peak), known, memory)}."
    except (OSError, ValueError, KeyError, TypeError):
        return ""  # cut off while it was written: nothing is known


def _goes_on(known: dict[str, str], memory: Memory) -> bool:
    return memory.boot() == known["boot"] and memory.began(known["pid"]) == known["began"]


def _why(peak: int, known: dict[str, object], memory: Memory) -> str:
    held = told(peak, str(known["limit"]), "at least")
    before, now = known["kills"], memory.kills()
    assert isinstance(before, dict)
    if memory.boot() != known["boot"]:
        return f"{held}; the machine has been started again since, or is another one"
    more = {by: now[by] - count for by, count in before.items() if by in now}
    if not more:
        return f"{held}; whether for want of memory, this system does not tell"
    by, killed = max(more.items(), key=lambda item: (item[1] > 0, item[0] != "this machine"))
    if killed <= 0:
        return f"{held}; the kernel has killed nothing for want of memory since it began, so something else ended it"
    one = "a process" if killed == 1 else f"{killed} processes"
    return f"{held}; the kernel has killed {one} of {by} for want of memory since it began"
