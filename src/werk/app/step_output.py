"""What each step prints, kept per attempt: from Python, from a library in C, from processes it starts.

While a step works, standard output and error are files without a name; a thread of ours reads them, passes every byte on to
where it was meant for, and keeps it, secrets covered, below `.werk/logs`. Not a pipe: a library that prints while it holds the
interpreter would wait for us, and we for it.
"""

from __future__ import annotations

import codecs
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from werk.workflow import StepContext

LOGS = ".werk/logs"
HEAD = TAIL = 1 << 20  # bytes kept of the beginning and of the end
_HELD_BACK = 4096  # letters of an unfinished line: a secret may have come only in part
_EVERY_S = 0.05
_AT_ONCE = 1 << 20
_ONE = threading.Lock()


def attempts(root: Path, run: str, step: str) -> dict[int, Path]:
    """The kept output of a step by its attempt; one that has printed nothing has none."""
    found = {path.name[len(step) + 1 : -len(".log")]: path for path in (root / LOGS / run).glob(f"{step}.*.log")}
    return {int(number): found[number] for number in sorted(found, key=lambda text: text.zfill(9)) if number.isdigit()}


def keeper(root: Path, mask: Callable[[str], str]) -> Callable[[StepContext], AbstractContextManager[None]]:
    """What the engine does a step's work in."""
    return lambda context: _kept(root / LOGS / context.run / f"{context.step}.{context.attempt}.log", mask)


@contextmanager
def _kept(path: Path, mask: Callable[[str], str]) -> Iterator[None]:
    with ExitStack() as end:
        if _ONE.acquire(blocking=False):  # else another step of this process has the two descriptors
            end.callback(_ONE.release)
            with suppress(OSError):  # no room or no right to keep it: the step goes on
                _divert(path, mask, end)
        yield


def _divert(path: Path, mask: Callable[[str], str], end: ExitStack) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    end.callback(_remove_empty, path.parent)
    with ExitStack() as files:
        out, err = (files.enter_context(tempfile.TemporaryFile(dir=path.parent)) for _ in range(2))
        end.push(files.pop_all())
    log = Log(path, mask)
    end.callback(log.close)
    end.enter_context(_Diverted([_Stream(1, out, log.part()), _Stream(2, err, log.part())]))


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()


class _Diverted:
    """The descriptors lead to the files and back again; what was written meanwhile has been passed on when it ends."""

    def __init__(self, streams: list[_Stream]) -> None:
        self._streams = streams
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, name="werk-step-output", daemon=True)

    def __enter__(self) -> None:
        _flush()
        for stream in self._streams:
            stream.divert()
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        _flush()
        self._ended.set()
        self._thread.join()
        for stream in self._streams:
            stream.restore()

    def _pass_on(self) -> None:
        while not self._ended.wait(_EVERY_S):
            for stream in self._streams:
                stream.pass_on()


class _Stream:
    """One descriptor, the file that stands in for it, and where its bytes go."""

    def __init__(self, number: int, held: IO[bytes], keep: Callable[[bytes], None]) -> None:
        self._number = number
        self._held = held.fileno()
        self._keep = keep
        self._read = 0
        self._meant_for = -1

    def divert(self) -> None:
        self._meant_for = os.dup(self._number)
        os.dup2(self._held, self._number)

    def restore(self) -> None:
        os.dup2(self._meant_for, self._number)
        self.pass_on()
        os.close(self._meant_for)

    def pass_on(self) -> None:
        while data := os.pread(self._held, _AT_ONCE, self._read):
            self._read += len(data)
            with suppress(OSError):  # nobody looks any more: the step goes on, and its output is kept
                sent = 0
                while sent < len(data):
                    sent += os.write(self._meant_for, data[sent:])
            self._keep(data)


class Log:
    """A file of at most `HEAD` bytes from the beginning and `TAIL` from the end; it is made with the first byte."""

    def __init__(self, path: Path, mask: Callable[[str], str]) -> None:
        self._path = path
        self._mask = mask
        self._parts: list[_Covered] = []
        self._file: int | None = None
        self._written = 0
        self._rest = bytearray()
        self._left_out = 0

    def part(self) -> Callable[[bytes], None]:
        """One of the streams that are kept here, in the order in which they come."""
        covered = _Covered(self._mask)
        self._parts.append(covered)
        return lambda data: self._keep(covered.take(data))

    def close(self) -> None:
        for part in self._parts:
            self._keep(part.end())
        if self._left_out:
            self._write(f"\n... {self._left_out:,} bytes left out ...\n".encode())
        self._write(bytes(self._rest))
        if self._file is not None:
            os.close(self._file)

    def _keep(self, text: str) -> None:
        data = text.encode(errors="replace")
        room = max(HEAD - self._written, 0)
        self._write(data[:room])
        self._rest += data[room:]
        if len(self._rest) > 2 * TAIL:
            self._shorten()

    def _shorten(self) -> None:
        over = len(self._rest) - TAIL
        self._left_out += over
        del self._rest[:over]

    def _write(self, data: bytes) -> None:
        if not data:
            return
        with suppress(OSError):  # a full disk stops no step
            if self._file is None:
                self._file = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._written += os.write(self._file, data)


class _Covered:
    """Bytes as text without secrets, line by line, so that none is missed because it came in two parts."""

    def __init__(self, mask: Callable[[str], str]) -> None:
        self._mask = mask
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._pending = ""

    def take(self, data: bytes) -> str:
        text = self._mask(self._pending + self._decode(data))
        end = max(text.rfind("\n") + 1, len(text) - _HELD_BACK)
        self._pending = text[end:]
        return text[:end]

    def end(self) -> str:
        return self._mask(self._pending + self._decode(b"", True))


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
