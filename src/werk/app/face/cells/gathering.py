"""What a pipeline needs of a notebook: every name that it reaches, each with the text that makes it again."""

from __future__ import annotations

import ast
import builtins
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from types import FunctionType, ModuleType
from typing import Any

from werk.app.face.cells.alike import only_here, same_code
from werk.app.face.cells.sittings import Sitting, source_lines
from werk.app.face.cells.statements import Definition, Statement, bound, statements, uses
from werk.core.errors import InputError
from werk.workflow import Pipeline
from werk.workflow.step import Step
from werk.workflow.types import frame_kind

LONGEST = 20_000
_MAGIC = "get_ipython"
_PLAIN = (bool, int, float, str, bytes, type(None))


@dataclass(frozen=True, slots=True)
class Part:
    """One name as the module writes it; `needs` are other names of the notebook, and `imports` says that it is one."""

    text: str
    needs: frozenset[str] = frozenset()
    imports: bool = False


def gathered(sitting: Sitting, name: str, value: object) -> dict[str, Part]:
    """By name, everything that `name` reaches. `InputError` names what cannot be written down, and who uses it."""
    return _Gathering(sitting).of(name, value)


class _Gathering:
    def __init__(self, sitting: Sitting) -> None:
        self._sitting = sitting
        self._parts: dict[str, Part] = {}

    @cached_property
    def _binding(self) -> Mapping[str, list[Statement]]:
        """For each name the statements that bind it, the last one that ran first."""
        found: dict[str, list[Statement]] = {}
        for statement in reversed(statements(self._sitting.cells)):
            for name in statement.binds:
                found.setdefault(name, []).append(statement)
        return found

    def of(self, name: str, value: object) -> dict[str, Part]:
        waiting: list[tuple[str, object, str]] = [(name, value, "")]
        while waiting:
            name, value, user = waiting.pop()
            if name in self._parts:
                continue
            part = self._parts[name] = self._part(name, value, user)
            waiting += [(needed, found, name) for needed, found in self._needed(name, part)]
        return self._parts

    def _needed(self, user: str, part: Part) -> Iterator[tuple[str, object]]:
        for name in sorted(part.needs):
            if name in self._sitting.names and name != _MAGIC:
                yield name, self._sitting.names[name]
            elif name == _MAGIC:
                raise _refused(user, "a %magic or !shell line", "Write it in Python, or in a cell of its own.")
            elif isinstance(found := getattr(builtins, name, None), FunctionType) and found.__module__ in sys.modules:
                yield name, found  # a notebook's own, such as `display`
            elif not hasattr(builtins, name) and not _dunder(name):
                raise _refused(user, f"'{name}'", "No cell has made it: run the one that does, then start again.")

    def _part(self, name: str, value: object, user: str) -> Part:
        if (made := self._definition(name, value)) is not None:
            return made
        if (line := self._import(name, value)) is not None:
            return Part(line, imports=True)
        if (text := _literal(value)) is not None:
            if len(text) > LONGEST:
                raise only_here(user, name, value)
            return Part(f"{name} = {text}")
        if frame_kind(type(value)) or type(value).__module__.startswith("werk.app."):
            raise only_here(user, name, value)
        assigned = next((s for s in self._binding.get(name, ()) if s.assigns == name), None)
        if assigned is None or any(isinstance(part, ast.Await) for part in ast.walk(assigned.node)):
            raise only_here(user, name, value)
        if _MAGIC in (needs := uses(assigned.text)):
            raise _refused(user, f"'{name}', made by a %magic or !shell line", "Make it in Python.")
        return Part(assigned.text, needs - {name})

    # --- functions and classes ---

    def _definition(self, name: str, value: object) -> Part | None:
        if not self._is_defined_here(name, value):
            return None
        code = _code(value)
        for statement in self._candidates(name, code):
            if code is None or same_code(code, _compiled(statement.text, name)):
                return Part(statement.text, uses(statement.text) - {name})
        if isinstance(value, type) and not code:
            return None
        hint = "Run its cell again, or write it into a file of the project."
        raise InputError(f"The text of '{name}' as it is now is kept nowhere.", code="cells-text", hint=hint)

    def _is_defined_here(self, name: str, value: object) -> bool:
        if isinstance(value, Step | Pipeline):
            value = value.fn
        known = getattr(value, "__module__", None) == self._sitting.module and getattr(value, "__name__", None) == name
        return known and getattr(value, "__qualname__", name) == name and (isinstance(value, type) or _code(value) is not None)

    def _candidates(self, name: str, code: Any) -> Iterator[Statement]:
        held = statements([source_lines(code)]) if code is not None else []
        for statement in (*reversed(held), *self._binding.get(name, ())):
            if isinstance(statement.node, Definition) and statement.node.name == name:
                yield statement

    # --- imports ---

    def _import(self, name: str, value: object) -> str | None:
        """As a cell wrote it, where that still gives the same; else by where the value says that it comes from."""
        lines = [line for s in self._binding.get(name, ()) if (line := _imported(s, name, value))]
        if lines and isinstance(value, ModuleType) and name == value.__name__:
            return "\n".join(dict.fromkeys(reversed(lines)))  # `import a.b` and `import a.c` both give `a`
        if lines:
            return lines[0]
        if isinstance(value, ModuleType):
            return f"import {value.__name__} as {name}" if sys.modules.get(value.__name__) is value else None
        module, attribute = getattr(value, "__module__", None), getattr(value, "__qualname__", None)
        if not isinstance(module, str) or not isinstance(attribute, str) or module == self._sitting.module:
            return None
        if getattr(sys.modules.get(module), attribute, None) is not value:
            return None
        return f"from {module} import {attribute}" + (f" as {name}" if name != attribute else "")


def _refused(user: str, what: str, hint: str) -> InputError:
    return InputError(f"'{user}' uses {what}, which no run of its own finds.", code="cells-missing", hint=hint)


def _imported(statement: Statement, name: str, value: object) -> str | None:
    """The one line of an import that gives the value."""
    node = statement.node
    if not isinstance(node, ast.Import | ast.ImportFrom):
        return None
    for alias in node.names:
        if bound(alias, node) != name:
            continue
        renamed = f" as {alias.asname}" if alias.asname else ""
        if isinstance(node, ast.Import):
            module = sys.modules.get(alias.name if alias.asname else alias.name.partition(".")[0])
            return f"import {alias.name}{renamed}" if module is value else None
        found = sys.modules.get(node.module or "")
        held = getattr(found, alias.name, sys.modules.get(f"{node.module}.{alias.name}"))
        return f"from {node.module} import {alias.name}{renamed}" if held is value and not node.level else None
    return None


def _code(value: object) -> Any:
    """The code of a function, whatever has been wrapped around it; of a class that of a method of its own."""
    value = value.fn if isinstance(value, Step | Pipeline) else value
    while (inner := getattr(value, "__wrapped__", None)) is not None and not isinstance(value, type):
        value = inner
    return value.__code__ if isinstance(value, FunctionType) else None


def _compiled(text: str, name: str) -> Any:
    found = compile(text, "cell", "exec", dont_inherit=True)
    return next((const for const in found.co_consts if getattr(const, "co_name", None) == name), None)


def _literal(value: object) -> str | None:
    """The value as Python writes it, None for what has no such text."""
    kind = type(value)
    if kind is float:
        return repr(value) if math.isfinite(value) else f"float({str(value)!r})"  # type: ignore[arg-type]
    if kind in _PLAIN:
        return repr(value)
    if kind in (list, tuple, set, frozenset, dict) and len(value) < LONGEST:  # type: ignore[arg-type]
        return _of_parts(value)
    return None


def _of_parts(value: Any) -> str | None:
    if isinstance(value, dict):
        pairs = [(_literal(key), _literal(part)) for key, part in value.items()]
        return None if any(None in pair for pair in pairs) else "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    texts = [_literal(part) for part in value]
    if any(text is None for text in texts):
        return None
    inner = ", ".join(sorted(map(str, texts)) if isinstance(value, set | frozenset) else map(str, texts))
    match value:
        case list():
            return f"[{inner}]"
        case tuple():
            return f"({inner},)" if texts else "()"
        case _:
            return f"{type(value).__name__}([{inner}])"


def _dunder(name: str) -> bool:
    return name.startswith("__") and name.endswith("__")
