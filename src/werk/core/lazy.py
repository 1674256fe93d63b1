"""A room's public names, each fetched when it is first used: whoever lists runs waits for no dataframe library."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from types import ModuleType


class _Room(ModuleType):
    """A package whose names live in its modules, also where a name is that of its module (`evaluate` in `evaluate`)."""

    __homes__: Mapping[str, str]

    def __getattr__(self, name: str) -> object:
        if name not in self.__homes__:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        return getattr(importlib.import_module(self.__homes__[name]), name)

    def __setattr__(self, name: str, value: object) -> None:
        """The import system sets a module it has loaded as an attribute: the name stays that of what lives in it."""
        if not (name in self.__homes__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


def fetched(package: str, homes: Mapping[str, Sequence[str]]) -> None:
    """Let `package` have the names of `homes`, by the module below it that each lives in.

    Called at the end of a package's `__init__`, which imports the same names under TYPE_CHECKING for type checkers.
    """
    room = sys.modules[package]
    room.__dict__["__homes__"] = {name: f"{package}.{module}" for module, names in homes.items() for name in names}
    room.__class__ = _Room
