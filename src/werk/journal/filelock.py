"""One writer at a time, across threads and processes, in the order in which they came."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werk.core.errors import Failed, Transient

WAIT_S = 60.0  # a write takes milliseconds: whoever holds the lock longer has been stopped

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
        try:
            self._take(turn)
            self._take(main)
        except BaseException:
            self._forget()  # a thread may still wait for these very files, and would take the lock for nobody
            raise
        _unlock(turn)
        try:
            yield
        finally:
            _unlock(main)

    def _take(self, fd: int) -> None:
        try:
            _try(fd)
        except OSError:
            if not _queued(fd).wait(WAIT_S):
                raise _stuck(self._paths[-1]) from None

    def _opened(self) -> tuple[int, int]:
        turn, main = map(_open, self._paths)
        return turn, main

    def _forget(self) -> None:
        for fd in self._fds or ():
            os.close(fd)
        self._fds = None

    def close(self) -> None:
        with self._main:
            self._forget()


def _queued(fd: int) -> threading.Event:
    """Set when the lock is ours. The kernel keeps those who wait in line but lets none give up, so a thread waits.

    It waits with a copy of the descriptor: once the original is closed too, whatever it still gets is let go at once.
    """
    copy, taken = os.dup(fd), threading.Event()

    def wait() -> None:
        _lock(copy)
        os.close(copy)
        taken.set()

    threading.Thread(target=wait, name="werk-journal-lock", daemon=True).start()
    return taken


def _stuck(path: Path) -> Transient:
    holder = _holder(path)
    who = f"process {holder}" if holder else "another process"
    hint = f"`kill -CONT {holder}` lets it go on, `kill -9 {holder}` ends it" if holder else "Find and end it"
    return Transient(
        f"The journal's lock {path} has been held by {who} for {WAIT_S:g} s: it seems to be stopped.",
        code="journal-held",
        hint=f"{hint}; of what it has not finished nothing stays.",
    )


def _holder(path: Path) -> str:
    """The process that holds the lock, where the system tells."""
    try:
        told, inode = Path("/proc/locks").read_text(encoding="ascii"), path.stat().st_ino
    except OSError:
        return ""
    held = [parts for parts in map(str.split, told.splitlines()) if parts[1] == "FLOCK"]
    return next((parts[4] for parts in held if parts[5].endswith(f":{inode}")), "")
