"""Reading the tables of `golden.toml` and `behaviour.toml`, with an error that names the entry and the key."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from pathlib import Path

from werk.core.errors import InputError, unknown

Table = Mapping[str, object]


def entries(path: Path, section: str) -> list[Table]:
    """The `[[section]]` tables of a file; at least one, each with a `name` of its own."""
    try:
        whole = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise malformed(f"{path.name} is not TOML: {broken}") from None
    except FileNotFoundError:
        raise malformed(f"There is no {path}") from None
    for key in whole:
        if key != section:
            raise unknown(f"section of {path.name}", key, [section], code="declared-unknown")
    found = whole.get(section)
    if not isinstance(found, list) or not found or not all(isinstance(entry, dict) for entry in found):
        raise malformed(f"{path.name} has no [[{section}]]")
    names = [word(entry, "name", path.name) for entry in found]
    for name in names:
        if names.count(name) > 1:
            raise malformed(f"{path.name} has '{name}' twice")
    return found


def known_keys(table: Table, allowed: tuple[str, ...], where: str) -> None:
    for key in table:
        if key not in allowed:
            raise unknown(f"key of '{where}'", key, allowed, code="declared-unknown")


def word(table: Table, key: str, where: str, default: str | None = None) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise malformed(f"'{where}' needs the text '{key}'")
    return value


def number(table: Table, key: str, where: str, default: float | None = None) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise malformed(f"'{where}' needs the finite number '{key}'")
    return float(value)


def class_of(table: Table, where: str) -> str | None:
    """The class that an entry speaks of, spelled as the model spells it; None when it names none."""
    value = table.get("class")
    if value is not None and not isinstance(value, str | int):
        raise malformed(f"'{where}' needs text or a whole number as 'class'")
    return value if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def malformed(what: str) -> InputError:
    return InputError(f"{what}.", code="declared-malformed", hint="The format stands in the docstring of its module.")
