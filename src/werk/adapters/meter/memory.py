"""A meter whose every reading is the same, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from werk.core.errors import InputError
from werk.core.nouns import Usage


@dataclass(frozen=True, slots=True)
class MemoryMeter:
    usage: Usage = field(default_factory=lambda: Usage(cpu_s=1.0, wall_s=2.0, peak_bytes=1_000_000, gb_s=0.002))
    running: set[object] = field(default_factory=set)

    def start(self) -> object:
        mark = object()
        self.running.add(mark)
        return mark

    def stop(self, mark: object) -> Usage:
        if mark not in self.running:
            raise InputError("stop() takes a mark of start() that was not stopped yet.", code="mark-unknown")
        self.running.remove(mark)
        return self.usage
