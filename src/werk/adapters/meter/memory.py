"""A meter whose every reading is the same, for tests."""

from __future__ import annotations

from dataclasses import dataclass, field

from werk.core.nouns import Usage


@dataclass(frozen=True, slots=True)
class MemoryMeter:
    usage: Usage = field(default_factory=lambda: Usage(cpu_s=1.0, wall_s=2.0, peak_bytes=1_000_000, gb_s=0.002))

    def start(self) -> object:
        return object()

    def stop(self, mark: object) -> Usage:
        return self.usage
