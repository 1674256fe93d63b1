"""What can be said of this machine before any project is opened: libraries, git, disks and the rights on folders."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

from werk.core.errors import WerkError

LIBRARIES = ("deltalake", "polars", "duckdb", "sqlalchemy", "lightgbm", "scikit-learn", "cryptography", "numpy", "pyarrow")
EXTRAS = {"psycopg": "postgres", "obstore": "s3", "pandas": "pandas", "keyring": "keyring"}
LEAST_BYTES, LITTLE_BYTES = 200_000_000, 2_000_000_000

State = Literal["ok", "warning", "broken", "not checked"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what it found, in `says`, and unless all is well what to do about it, in `next`."""

    check: str
    state: State
    says: str
    next: str = ""


def tried(check: str, work: Callable[[], Finding | str]) -> Finding:
    """What `work` finds; its error is a finding too, so that the other checks go on."""
    try:
        found = work()
    except WerkError as error:
        return failed(check, error)
    except OSError as closed:
        what = closed.filename or "this machine"
        return Finding(check, "broken", f"{what}: {closed.strerror}", "Check that path, its owner and its rights.")
    return found if isinstance(found, Finding) else Finding(check, "ok", found)


def failed(check: str, error: WerkError) -> Finding:
    return Finding(check, "broken", error.message, error.hint or f"See `werk help {error.code}`.")


def versions() -> dict[str, str]:
    """Of the main libraries, and of the extras that are installed."""
    found = {name: _version(name) for name in (*LIBRARIES, *EXTRAS)}
    return {name: number for name, number in found.items() if number}


def of_machine(home: Path) -> Iterator[Finding]:
    """`home` is WERK_HOME."""
    yield _libraries()
    yield tried("git", _git)
    yield tried("disk of the keys", lambda: space("disk of the keys", home))
    yield tried("rights of WERK_HOME", lambda: _rights_of_home(home))


def of_project(root: Path) -> Iterator[Finding]:
    """`root` is the project's folder."""
    yield tried("disk of the project", lambda: space("disk of the project", root))
    yield tried("rights of the project", lambda: _rights_of_project(root))


def space(check: str, path: Path) -> Finding:
    free = shutil.disk_usage(_there(path)).free
    state: State = "broken" if free < LEAST_BYTES else "warning" if free < LITTLE_BYTES else "ok"
    advice = "" if state == "ok" else f"Make room on the disk of {path}."
    return Finding(check, state, f"{free / 1e9:.1f} GB free", advice)


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return ""


def _libraries() -> Finding:
    absent = [name for name in LIBRARIES if not _version(name)]
    if absent:
        return Finding("libraries", "broken", f"not installed: {', '.join(absent)}", "Install werk again: pip install werk")
    extras = [extra for library, extra in EXTRAS.items() if not _version(library)]
    return Finding("libraries", "ok", f"all there; extras not installed: {', '.join(extras) or 'none'}")


def _git() -> Finding | str:
    found = shutil.which("git")
    if found is None:
        return Finding("git", "broken", "git is not installed, so the code of a run cannot be kept.", "Install git.")
    return subprocess.run([found, "--version"], capture_output=True, text=True, check=False).stdout.strip()


def _rights_of_home(home: Path) -> Finding | str:
    check = "rights of WERK_HOME"
    there = _there(home)
    if not there.is_dir():
        return Finding(check, "broken", f"{there} is not a folder.", "Set WERK_HOME to a folder of your own.")
    if not os.access(there, os.W_OK | os.X_OK):
        return Finding(check, "broken", f"{there} cannot be written.", f"Let its owner do: chmod u+rwx {there}")
    if there != home:
        return f"{home} is not there yet; it can be made"
    if _others_write(home):
        said = f"Others can write in {home}, so they can replace keys and signed heads."
        return Finding(check, "broken", said, f"chmod o-w {home}")
    return f"only its owner and group can write in {home}"


def _rights_of_project(root: Path) -> Finding | str:
    check = "rights of the project"
    if not os.access(root, os.W_OK | os.X_OK):
        return Finding(check, "broken", f"{root} cannot be written, so nothing can run here.", f"chmod u+rwx {root}")
    if _others_write(root):
        said = f"Others can write in {root}, so they can change what your runs do."
        return Finding(check, "warning", said, f"chmod o-w {root}")
    return f"only its owner and group can write in {root}"


def _others_write(folder: Path) -> bool:
    return bool(folder.stat().st_mode & stat.S_IWOTH)


def _there(path: Path) -> Path:
    """The path, or the nearest above it that there is."""
    return next(folder for folder in (path, *path.parents) if folder.exists())
