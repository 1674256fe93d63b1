"""What a process may hold in memory, what it has held, and whether the kernel has killed for want of it.

Read from `/proc` and the control group's files (Linux: proc(5), cgroups(7), kernel documentation cgroup-v2 and memcg); elsewhere
nothing is known, and nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

_GROUPS = "sys/fs/cgroup"
_UNBOUNDED = 1 << 60  # what version 1 writes for no limit, and more than any machine has


@dataclass(frozen=True, slots=True)
class Limit:
    """`size_bytes` is the smallest of all that hold; `of` says whose it is."""

    size_bytes: int
    of: str

    def __str__(self) -> str:
        return f"{size(self.size_bytes)} ({self.of})"


@dataclass(frozen=True, slots=True)
class Memory:
    """The files of one machine, `root` being its `/`."""

    root: Path = Path("/")

    def peak_bytes(self, pid: int | str = "self") -> int | None:
        """The most that the process has held at once since it began."""
        found = re.search(r"^VmHWM:\s+(\d+) kB$", self._text("proc", str(pid), "status"), re.MULTILINE)
        return int(found[1]) * 1024 if found else None

    def limit(self) -> Limit | None:
        """The smallest of what holds for this process: its own limits, its control groups', the machine's memory."""
        known = [*self._own(), *self._of_groups(), *self._of_machine()]
        return min(known, key=lambda limit: limit.size_bytes) if known else None

    def kills(self) -> dict[str, int]:
        """How many processes the kernel has killed for want of memory so far, by who counted them; of no use by itself."""
        counted = {"this machine": _counted(self.root / "proc" / "vmstat")}
        for name, path in islice(self._groups(), 1):  # its own: what is killed in it is counted there, whoever ran out
            files = (_counted(path / file) for file in ("memory.events", "memory.oom_control"))
            counted[f"its control group {name}"] = next((n for n in files if n is not None), None)
        return {by: n for by, n in counted.items() if n is not None}

    def boot(self) -> str:
        return self._text("proc", "sys", "kernel", "random", "boot_id").strip()

    def began(self, pid: int | str = "self") -> str:
        """When a process began, in ticks since the boot: with its id, the one process it names. Empty when it is gone."""
        after = self._text("proc", str(pid), "stat").rpartition(")")[2].split()
        return after[19] if len(after) > 19 and after[0] not in ("Z", "X") else ""

    def _own(self) -> Iterator[Limit]:
        for line in self._text("proc", "self", "limits").splitlines():
            found = re.match(r"Max (address space|data size)\s+(\d+)\s", line)
            if found:
                yield Limit(int(found[2]), f"its limit of {found[1]}, ulimit")

    def _of_groups(self) -> Iterator[Limit]:
        for name, path in self._groups():
            for file in ("memory.max", "memory.limit_in_bytes"):
                said = _read(path / file).strip()
                if said.isdigit() and int(said) < _UNBOUNDED:
                    yield Limit(int(said), f"its control group {name}")

    def _of_machine(self) -> Iterator[Limit]:
        found = re.search(r"^MemTotal:\s+(\d+) kB$", self._text("proc", "meminfo"), re.MULTILINE)
        if found:
            yield Limit(int(found[1]) * 1024, "this machine's memory")

    def _groups(self) -> Iterator[tuple[str, Path]]:
        """The control group of this process and those around it, in version 2's one tree or in version 1's for memory."""
        for line in self._text("proc", "self", "cgroup").splitlines():
            _, kinds, name = line.split(":", 2)
            if kinds and "memory" not in kinds.split(","):
                continue
            top = self.root / _GROUPS / ("memory" if kinds else "")
            parts = [part for part in name.split("/") if part not in ("", "..")]
            for depth in range(len(parts), -1, -1):
                yield "/" + "/".join(parts[:depth]), top.joinpath(*parts[:depth])

    def _text(self, *names: str) -> str:
        return _read(self.root.joinpath(*names))


def _counted(path: Path) -> int | None:
    found = re.search(r"^oom_kill (\d+)$", _read(path), re.MULTILINE)
    return int(found[1]) if found else None


def _read(path: Path) -> str:
    """Empty where it is not there, is a folder, or nobody may look."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def size(count: int) -> str:
    """
    >>> size(812_000_000), size(2_147_483_648)
    ('812 MB', '2.1 GB')
    """
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"


def told(peak_bytes: int | None, limit: str, seen: Literal["at most", "at least"]) -> str:
    """What a process has held and might hold, as far as that is known; `at least` of one that was looked at a while before."""
    said = [f"it held {size(peak_bytes)} {seen}"] if peak_bytes else []
    return ", ".join([*said, *([f"and might hold {limit}"] if limit else [])])


def out_of_memory(memory: Memory | None = None) -> str:
    """Of this very process: the end of a sentence about a `MemoryError`, empty where nothing is known."""
    memory = memory or Memory()
    return told(memory.peak_bytes(), str(memory.limit() or ""), "at most")
