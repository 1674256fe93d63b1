"""A folder written beside its place and moved there when it is whole; what a killed process has left goes with the next."""

from __future__ import annotations

import glob
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from werk.journal.filelock import alone

_LOCK = ".lock"


@dataclass(frozen=True, slots=True)
class Leftovers:
    """`removed` had a maker that is dead; of `left` nobody can tell, or it could not be removed."""

    removed: tuple[str, ...]
    left: tuple[str, ...]

    def said(self) -> Iterator[str]:
        yield from (f"  removed what a killed one had left: {name}" for name in self.removed)
        yield from (f"  unfinished, of unknown age; remove it if nobody is writing it: {name}" for name in self.left)


@contextmanager
def unfinished(target: Path, mode: int = 0o777) -> Iterator[Path]:
    """A folder that becomes `target` at the end, or goes away; killed, it stays beside an unchanged `target`.

    The lock beside it is taken before the folder is there, and a process that dies lets go of it.
    """
    folder = target.with_name(f"{_stem(target)}{secrets.token_hex(4)}")
    lock = folder.with_name(folder.name + _LOCK)
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        with alone(lock):
            yield from _moved(folder, target, mode)
    finally:
        lock.unlink(missing_ok=True)


def _moved(folder: Path, target: Path, mode: int) -> Iterator[Path]:
    try:
        folder.mkdir(mode=mode)
        yield folder
        os.sync() if hasattr(os, "sync") else None
        if target.exists():
            target.rmdir()
        folder.rename(target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swept(target: Path) -> Leftovers:
    """Remove the unfinished folders of `target` whose makers are dead, never one that is being written."""
    found = [path for path in target.parent.glob(f"{glob.escape(_stem(target))}*") if path.suffix != _LOCK]
    there = {path: _is_dead(path) for path in sorted(found)}
    for path in (path for path, dead in there.items() if dead):
        shutil.rmtree(path, ignore_errors=True)
        path.with_name(path.name + _LOCK).unlink(missing_ok=True)
    removed = tuple(str(path) for path, dead in there.items() if dead and not path.exists())
    lost = (path for path, dead in there.items() if path.exists() and dead is not False)
    return Leftovers(removed, tuple(map(str, lost)))


def _is_dead(folder: Path) -> bool | None:
    """None where nobody can tell: no lock lies beside it, or not one that this user may ask."""
    lock = folder.with_name(folder.name + _LOCK)
    if folder.is_symlink() or not lock.is_file():
        return None
    try:
        with alone(lock) as free:
            return free
    except OSError:
        return None


def _stem(target: Path) -> str:
    return f".{target.name}.unfinished-"
