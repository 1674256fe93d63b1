"""One writer at a time, across threads and processes, in the order in which they came."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werk.core.errors import Failed

if sys.platform == "win32":
    import msvcrt

    def _lock(fd: int) -> None:
        while True:
            try:
                msvcrt.locking(fd, msvcrt.LK_LOCK, 1)
                return
            except OSError:  # LK_LOCK gives up after ten seconds; we do not
                continue

    def _try(fd: int) -> None:
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

    def _unlock(fd: int) -> None:
        os.lseek(fd, 0, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX)

    def _try(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(fd: int) -> None:
        fcntl.flock(fd, fcntl.LOCK_UN)


LOCK_FILES = ("-turn", "-lock")


@contextmanager
def alone(path: Path) -> Iterator[bool]:
    """Whether this process is the only one in such a block; a process that dies leaves it at once, and so does a refused one."""
    fd = _open(path)
    try:
        try:
            _try(fd)
        except OSError:
            yield False
            return
        yield True
    finally:
        os.close(fd)


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o666)


class WriteLock:
    """An exclusive lock on a path, for threads and processes alike; taken twice by one thread it raises instead of hanging.

    Both halves are turnstiles: whoever holds the turn is the only one waiting for the lock itself, so that a writer in
    a tight loop queues behind those already waiting instead of taking the lock again and again.
    """

    def __init__(self, path: Path) -> None:
        self._paths = tuple(path.with_name(path.name + suffix) for suffix in LOCK_FILES)
        self._fresh()

    def _fresh(self) -> None:
        self._pid = os.getpid()
        self._turn, self._main = threading.Lock(), threading.Lock()
        self._owner = 0
        self._fds: tuple[int, int] | None = None

    @contextmanager
    def held(self) -> Iterator[None]:
        if self._pid != os.getpid():  # a forked child shares its parent's open files, and with them the parent's lock
            self._fresh()
        if self._owner == threading.get_ident():
            raise Failed(
                "A journal write was begun inside another one of the same thread.",
                code="journal-write-nested",
                hint="Use the writer that `write()` gave instead of the journal.",
            )
        with self._turn:
            self._main.acquire()
        try:
            self._owner = threading.get_ident()
            with self._held_by_process():
                yield
        finally:
            self._owner = 0
            self._main.release()

    @contextmanager
    def _held_by_process(self) -> Iterator[None]:
        turn, main = self._fds = self._fds or self._opened()
        _lock(turn)
        try:
            _lock(main)
        finally:
            _unlock(turn)
        try:
            yield
        finally:
            _unlock(main)

    def _opened(self) -> tuple[int, int]:
        turn, main = map(_open, self._paths)
        return turn, main

    def close(self) -> None:
        with self._main:
            for fd in self._fds or ():
                os.close(fd)
            self._fds = None
