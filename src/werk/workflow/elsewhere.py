"""Code that is neither the project's, nor Python's own, nor installed: found by the import path alone, and kept by nobody."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from werk.workflow.capture import is_installed

_WERK = Path(__file__).resolve().parents[1]
_SITES = frozenset({"site-packages", "dist-packages"})


def is_elsewhere(found: Path) -> bool:
    """Of a module's file, or a folder of modules, as the import path tells it. An editable install is elsewhere: its RECORD
    names a pointer and no code."""
    real = _real(found)
    return not (real.is_relative_to(_WERK) or _is_pythons(real) or is_installed(found, real))


def named(file: Path) -> str:
    """A file's name below the folder that it is imported from: the same wherever that folder lies."""
    top = file.parent
    while (top / "__init__.py").is_file():
        top = top.parent
    entries = [entry for entry in map(_real, _entries()) if top.is_relative_to(entry)]
    return file.relative_to(max(entries, key=lambda entry: len(entry.parts), default=top)).as_posix()


def importable(project: Path) -> Iterator[Path]:
    """The modules and packages from elsewhere that could be asked for by name: a folder without `__init__.py` is none here."""
    for entry in dict.fromkeys(map(_real, _entries())):
        if entry.is_dir() and not entry.is_relative_to(project) and not _known(entry):
            yield from (place for place in sorted(entry.iterdir()) if _is_module(place))
        elif entry.is_file() and not _is_pythons(entry):
            yield entry


def archive(file: Path) -> Path | None:
    """The file that holds a module: itself, or the archive that its path leads into."""
    return next((place for place in (file, *file.parents) if place.is_file()), None)


def _is_module(place: Path) -> bool:
    return place.suffix == ".py" or (place / "__init__.py").is_file()


def _known(entry: Path) -> bool:
    """Folders of Python, of installed packages, of programs and of werk."""
    programs = _real(Path(sysconfig.get_path("scripts")))
    return entry.name in _SITES or entry in (programs, _WERK.parent) or _is_pythons(entry) or any(entry.glob("*.dist-info"))


def _entries() -> list[Path]:
    return [Path(entry) for entry in sys.path if os.path.exists(entry or ".")]


def _is_pythons(path: Path) -> bool:
    return any(path.is_relative_to(folder) for folder in _pythons()) and _SITES.isdisjoint(path.parts)


@cache
def _pythons() -> tuple[Path, ...]:
    folders = {_real(Path(sysconfig.get_path(name))) for name in ("stdlib", "platstdlib")}
    zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    return tuple(sorted({*folders, *(folder.parent / zipped for folder in folders)}))


@cache
def _real(path: Path) -> Path:
    return path.resolve()
