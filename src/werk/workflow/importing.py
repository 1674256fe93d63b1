"""Where a module's source lies, found without importing anything."""

from __future__ import annotations

import ast
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Place:
    """`file` is None for what has none (built in, a folder of modules); modules below it are looked for in `folders`.

    `found` is the file as the import path names it, before links are followed.
    """

    file: Path | None = None
    folders: tuple[str, ...] = ()
    found: Path | None = None


class Finder:
    """Asks as Python would, and remembers the answers: one lives as long as one walk over the code."""

    def __init__(self) -> None:
        self._found: dict[str, Place | None] = {}

    def find(self, module: str) -> Place | None:
        """None when there is no such module."""
        if module not in self._found:
            self._found[module] = _loaded(module) if module in sys.modules else self._spec(module)
        return self._found[module]

    def _spec(self, module: str) -> Place | None:
        parent, _, _ = module.rpartition(".")
        above = self.find(parent) if parent else None
        if not module or (parent and (above is None or not above.folders)):
            return None
        folders = list(above.folders) if above else None
        for finder in sys.meta_path:
            try:
                spec = finder.find_spec(module, folders)
            except (AttributeError, ImportError, ValueError):
                continue
            if spec is not None:
                return _place(spec.origin if spec.has_location else None, spec.submodule_search_locations)
        return None


def absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that `from ... import` names in a module of the package."""
    if not node.level:
        return node.module or ""
    try:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return ""


def _loaded(module: str) -> Place:
    # Not `getattr`: a module may answer itself to names it does not hold.
    held = getattr(sys.modules[module], "__dict__", {})
    return _place(held.get("__file__"), held.get("__path__"))


def _place(file: str | None, folders: Sequence[str] | None) -> Place:
    told = tuple(folders) if folders is not None else ()
    return Place(_real(file), told, Path(file).absolute()) if file else Place(None, told)


@cache
def _real(file: str) -> Path:
    return Path(file).resolve()
