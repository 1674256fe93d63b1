"""Names become objects: adapters are found by entry point, ours by the same path as a stranger's."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any

from werk.core.errors import InputError, unknown


def known(port: str) -> dict[str, EntryPoint]:
    """The adapters installed for a port, by name."""
    points: EntryPoints = _installed(tuple(sys.path)).select(group=f"werk.{port}")
    return {point.name: point for point in points}


@lru_cache(maxsize=8)
def _installed(_path: tuple[str, ...]) -> Any:
    """Read once for an import path and all ports. A mapping before Python 3.12, EntryPoints since: both can `select`."""
    return entry_points()


def adapter(port: str, use: str) -> type:
    """The adapter class a setting names: an installed name (`delta`) or `package.module:Class`.

    Raises `InputError` naming the known adapters, or the missing library and its extra.
    """
    if ":" in use:
        module, _, attribute = use.partition(":")
        return _checked(port, use, lambda: getattr(importlib.import_module(module), attribute))
    points = known(port)
    if use not in points:
        raise unknown(f"{port} adapter", use, points, code="adapter-unknown")
    return _checked(port, use, points[use].load)


def build(port: str, use: str, settings: Mapping[str, object]) -> object:
    """An adapter built from its settings: the constructor's keywords are its settings."""
    cls = adapter(port, use)
    accepted = inspect.signature(cls).parameters
    open_ended = any(p.kind is p.VAR_KEYWORD for p in accepted.values())
    for name in settings:
        if name not in accepted and not open_ended:
            raise unknown(f"setting of {port} '{use}'", name, accepted, code="setting-unknown")
    missing = [n for n, p in accepted.items() if p.default is p.empty and p.kind is not p.VAR_KEYWORD and n not in settings]
    if missing:
        raise InputError(
            f"{port} '{use}' needs the setting '{missing[0]}'.",
            code="setting-missing",
            hint=f"Add it under [{port}] in werk.toml.",
        )
    built: object = cls(**settings)
    return built


def _checked(port: str, use: str, load: Callable[[], object]) -> type:
    try:
        cls = load()
    except ModuleNotFoundError as missing:
        extra = use if ":" not in use else ""
        fix = f"pip install 'werk[{extra}]'" if extra else f"pip install {missing.name}"
        raise InputError(
            f"{port} '{use}' needs '{missing.name}', which is not installed.", code="library-missing", hint=fix
        ) from missing
    except (AttributeError, ImportError, TypeError, ValueError, SyntaxError) as absent:
        raise InputError(
            f"{port} '{use}' cannot be found: {absent}.", code="adapter-unknown", hint="Check the module and class name."
        ) from absent
    if not isinstance(cls, type):
        raise _unfit(port, use, f"it is no class but a {type(cls).__name__}")
    lacking = [name for name in _promised(port) if not callable(getattr(cls, name, None))]
    if lacking:
        raise _unfit(port, use, f"it has no method '{lacking[0]}'")
    return cls


def _promised(port: str) -> list[str]:
    """The methods of a port: its Protocol is the class named like its module."""
    protocol = getattr(importlib.import_module(f"werk.core.ports.{port}"), port.title().replace("_", ""))
    return [name for name, member in vars(protocol).items() if inspect.isfunction(member) and not name.startswith("_")]


def _unfit(port: str, use: str, why: str) -> InputError:
    hint = f"Name a class that keeps the promises of werk.core.ports.{port}, or one of: {', '.join(sorted(known(port)))}."
    return InputError(f"{port} '{use}' is no adapter: {why}.", code="adapter-unfit", hint=hint)
