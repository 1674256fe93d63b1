"""Every answered prediction, written before the answer leaves: JSON lines that survive the death of the server."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

from werk.core.errors import Tampered, Transient

FOLDER = "predictions"  # in the folder that the server answers from
SEGMENT_BYTES = 64 * 1024 * 1024
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT)
_ID = re.compile(r"prd_[0-9a-f]{20}")


class PredictionLog:
    """Appends to segments of its own process, so that no line ever continues another's torn one.

    1. When `append` returns, the lines are with the operating system: they survive kill -9 of the process (not a power
       cut: there is no fsync per request).
    2. A short write is taken back; where that fails, its segment is never continued.
    3. When nothing can be written `append` raises `Transient`, and the caller must not acknowledge. It leaves no file.
    """

    def __init__(self, directory: Path, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._directory = directory
        self._segment_bytes = segment_bytes
        self._file: int | None = None
        self._size = 0

    def append(self, lines: bytes) -> None:
        try:
            if self._continued(lines) or self._begun(lines):
                return
        except OSError:
            pass
        raise Transient("The prediction log cannot be written.", code="log-unavailable", hint="Check the disk's free space.")

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _continued(self, lines: bytes) -> bool:
        """False where a fresh segment may do: this one is full, or as large as a file may be."""
        if self._file is None or self._size + len(lines) > self._segment_bytes:
            return False
        try:
            fitted = os.write(self._file, lines) == len(lines)
        except OSError as failed:
            if failed.errno in _DISK_FULL:
                raise  # no other file would fit either
            return False
        if fitted:
            self._size += len(lines)
        else:
            self._taken_back()
        return fitted

    def _taken_back(self) -> None:
        assert self._file is not None
        try:
            os.ftruncate(self._file, self._size)  # whole lines that fitted would be there a second time
        except OSError:
            self.close()

    def _begun(self, lines: bytes) -> bool:
        """A fresh segment, which follows the one before only when the lines fit."""
        self._directory.mkdir(parents=True, exist_ok=True)
        path = self._directory / f"{time.time_ns():020d}-{os.getpid()}-{secrets.token_hex(3)}.jsonl"
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        fitted = False
        try:
            fitted = os.write(file, lines) == len(lines)
        finally:
            if not fitted:
                os.close(file)
                path.unlink()
        if fitted:
            self.close()
            self._file, self._size = file, len(lines)
        return fitted


def read_log(directory: Path) -> Iterator[dict[str, Any]]:
    """Every logged prediction, oldest segment first; a torn last line was never acknowledged and is left out."""
    for segment in sorted(directory.glob("*.jsonl")):
        yield from _lines(segment)


def whole_lines(directory: Path) -> Iterator[tuple[str, bytes]]:
    """Each segment's name and its lines so far, for a copy while servers go on answering; a torn last line is left out."""
    for segment in sorted(directory.glob("*.jsonl")):
        text = _text(segment)
        yield segment.name, text[: text.rfind(b"\n") + 1]


def find(directory: Path, id: str) -> dict[str, Any] | None:
    """The logged prediction with this id; None when there is none, also when its line is torn: nobody was ever told that id.

    Ids have no order, so every segment is searched: as bytes, half a gigabyte a second, and needs
    no index that could be lost or say something else. `Tampered` when its line is damaged or another says otherwise.
    """
    if not _ID.fullmatch(id):
        return None
    found = {line: segment for segment in sorted(directory.glob("*.jsonl")) for line in _holding(segment, id)}
    if len(found) > 1:
        raise _damaged(f"Two lines of the prediction log say different things about {id}.")
    for line, segment in found.items():
        return _parsed(line, f"The line of {id} in {segment.name} is not what the server wrote.")
    return None


def _holding(segment: Path, id: str) -> Iterator[bytes]:
    """Whole lines that begin with the id: within a line a caller's own text may look the same."""
    rare, start = id.removeprefix("prd_").encode(), b'{"id":"prd_'  # what no other line has is searched for fastest
    text = _text(segment)
    at = text.find(rare)
    while at >= 0:
        begin, end = text.rfind(b"\n", 0, at) + 1, text.find(b"\n", at)
        if end >= 0 and text.startswith(start + rare + b'"', begin) and at == begin + len(start):
            yield text[begin:end]
        at = text.find(rare, at + 1)


def _parsed(line: bytes, damage: str) -> dict[str, Any]:
    try:
        record: dict[str, Any] = orjson.loads(line)
    except orjson.JSONDecodeError as broken:
        raise _damaged(damage) from broken
    return record


def _damaged(message: str) -> Tampered:
    return Tampered(message, code="log-damaged", hint="Restore it from a backup.")


def _text(segment: Path) -> bytes:
    try:
        return segment.read_bytes()
    except FileNotFoundError:
        return b""  # a server has just taken it away again, because nothing could be written


def _lines(segment: Path) -> Iterator[dict[str, Any]]:
    for at, line in enumerate(io.BytesIO(_text(segment)), start=1):
        if line.endswith(b"\n"):
            yield _parsed(line, f"Line {at} of {segment.name} is not what the server wrote.")
