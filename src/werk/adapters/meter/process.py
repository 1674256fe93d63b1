"""What this process and its ended children took, as the operating system counts it.

CPU seconds are exact. `peak_bytes` is the highest resident size since the process began, not since the mark.
`gb_s` is an upper estimate: that peak times the wall seconds. Without `resource` (Windows) memory reads 0.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass

from werk.core.nouns import Usage

if sys.platform != "win32":
    import resource


@dataclass(frozen=True, slots=True)
class _Mark:
    cpu_s: float
    wall_s: float


class ProcessMeter:
    def start(self) -> object:
        return _Mark(_cpu_s(), time.monotonic())

    def stop(self, mark: object) -> Usage:
        if not isinstance(mark, _Mark):
            raise TypeError("stop() takes the mark that start() returned")
        wall = max(0.0, time.monotonic() - mark.wall_s)
        peak = _peak_bytes()
        return Usage(cpu_s=max(0.0, _cpu_s() - mark.cpu_s), wall_s=wall, peak_bytes=peak, gb_s=peak / 1e9 * wall)


def _cpu_s() -> float:
    took = os.times()
    return took.user + took.system + took.children_user + took.children_system


def _peak_bytes() -> int:
    if sys.platform == "win32":
        return 0
    unit = 1 if sys.platform == "darwin" else 1024
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    return max(resource.getrusage(who).ru_maxrss for who in whose) * unit
