"""The most memory that this process and those it has started held at one time."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType

if sys.platform != "win32":
    import resource

PROC = Path("/proc")
_EVERY_S = 0.05


class Footprint:
    """Looks at the resident sizes every 50 ms while it is open; pages that two processes share count twice.

    Where the system does not list them (macOS) it is this process's own highest size plus that of its largest ended child,
    on Windows 0.
    """

    def __init__(self) -> None:
        self._peak_bytes = 0
        self._end = threading.Event()
        self._watch = threading.Thread(target=self._look, daemon=True)

    def __enter__(self) -> Footprint:
        self._watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._end.set()
        self._watch.join()

    @property
    def peak_gb(self) -> float:
        return max(self._peak_bytes, _high_bytes()) / 1e9

    def _look(self) -> None:
        while _listed() and not self._end.wait(_EVERY_S):
            self._peak_bytes = max(self._peak_bytes, sum(map(_resident_bytes, _tree(os.getpid()))))


def _tree(pid: int) -> Iterator[int]:
    """A process and those below it, as far as they still live."""
    yield pid
    for listed in PROC.glob(f"{pid}/task/*/children"):
        for child in _text(listed).split():
            yield from _tree(int(child))


def _resident_bytes(pid: int) -> int:
    pages = _text(PROC / str(pid) / "statm").split()
    return int(pages[1]) * os.sysconf("SC_PAGE_SIZE") if pages else 0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:  # it has ended
        return ""


def _high_bytes() -> int:
    if sys.platform == "win32":
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    # A child's own figure starts at its parent's size on Linux, so it counts only where the children cannot be watched.
    whose = (resource.RUSAGE_SELF,) if _listed() else (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return sum(resource.getrusage(who).ru_maxrss for who in whose) * unit


def _listed() -> bool:
    return (PROC / "self" / "statm").exists()
