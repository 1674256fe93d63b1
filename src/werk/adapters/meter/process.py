"""What this process and its ended children took, as the operating system counts it.

CPU seconds are exact. `peak_bytes` is exact when the work set a new high for the process or an ended child; below an older
high the system keeps no record, and the larger of the resident sizes at start and stop is given: a lower bound, where
there is no such size (macOS) the old high. `gb_s` is `peak_bytes` times the wall seconds. On Windows memory reads 0.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from werk.core.errors import InputError
from werk.core.nouns import Usage

if sys.platform != "win32":
    import resource

STATM = Path("/proc/self/statm")


@dataclass(slots=True)
class _Mark:
    cpu_s: float
    wall_s: float
    high_bytes: int
    resident_bytes: int
    stopped: bool = False


class ProcessMeter:
    def start(self) -> object:
        return _Mark(_cpu_s(), time.monotonic(), _high_bytes(), _resident_bytes())

    def stop(self, mark: object) -> Usage:
        if not isinstance(mark, _Mark) or mark.stopped:
            raise InputError("stop() takes a mark of start() that was not stopped yet.", code="mark-unknown")
        mark.stopped = True
        wall, peak = max(0.0, time.monotonic() - mark.wall_s), _peak_bytes(mark)
        return Usage(cpu_s=max(0.0, _cpu_s() - mark.cpu_s), wall_s=wall, peak_bytes=peak, gb_s=peak / 1e9 * wall)


def _cpu_s() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system


def _peak_bytes(since: _Mark) -> int:
    high = _high_bytes()
    return high if high > since.high_bytes else max(since.resident_bytes, _resident_bytes()) or high


def _high_bytes() -> int:
    if sys.platform == "win32":
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * unit


def _resident_bytes() -> int:
    if not STATM.exists():
        return 0
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
