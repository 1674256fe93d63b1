"""Every answered prediction, written before the answer leaves: JSON lines that survive the death of the server."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from werk.core.errors import Tampered, Transient

SEGMENT_BYTES = 64 * 1024 * 1024


class PredictionLog:
    """Appends to segments of its own process, so that no line ever continues another's torn one.

    1. When `append` returns, the lines are with the operating system: they survive kill -9 of the process (not a power
       cut: there is no fsync per request).
    2. A short write is never continued: its segment is left and all lines go to a fresh one.
    3. When nothing can be written `append` raises `Transient`, and the caller must not acknowledge.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0

    def append(self, lines: bytes) -> None:
        for _attempt in (1, 2):
            try:
                if self._file is None or self._size + len(lines) > self._segment_bytes:
                    self._next_segment()
                if self._written(lines):
                    return
            except OSError:
                pass
            self.close()
        raise Transient("The prediction log cannot be written.", code="log-unavailable", hint="Check the disk's free space.")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _written(self, lines: bytes) -> bool:
        assert self._file is not None
        self._size += len(lines)
        return os.write(self._file, lines) == len(lines)

    def _next_segment(self) -> None:
        self.close()
        self._directory.mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        self._file = os.open(self._directory / name, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        self._size = 0


def read_log(directory: Path) -> Iterator[dict[str, Any]]:
    """Every logged prediction, oldest segment first; a torn last line was never acknowledged and is left out."""
    for segment in sorted(directory.glob("*.jsonl")):
        yield from _lines(segment)


def _lines(segment: Path) -> Iterator[dict[str, Any]]:
    with segment.open("rb") as file:
        for at, line in enumerate(file, start=1):
            if not line.endswith(b"\n"):
                return
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError as damage:
                raise Tampered(
                    f"Line {at} of {segment.name} is not what the server wrote.",
                    code="log-damaged",
                    hint="Restore it from a backup.",
                ) from damage
