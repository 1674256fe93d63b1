"""Whether the module that was written holds what the notebook holds: compared, not assumed.

A cell may have been run out of order, edited and not run, or changed by a later one: then its text makes something else.
"""

from __future__ import annotations

import dis
import re
import sys
import types
from collections.abc import Iterator, Mapping
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from werk.app.code import CELLS
from werk.app.face.cells.sittings import Sitting
from werk.core.errors import InputError
from werk.workflow import Pipeline
from werk.workflow.step import Step

if TYPE_CHECKING:
    from werk.app.face.cells.gathering import Part

_DEEPEST = 60
_NULL = re.compile(r"NULL(\|self)? \+ | \+ NULL(\|self)?")
# What Python itself writes into a class, and where it was made.
_OF_ITSELF = frozenset(
    {"__dict__", "__weakref__", "__module__", "__doc__", "__dataclass_fields__", "__firstlineno__", "__static_attributes__"}
)


def check_alike(sitting: Sitting, parts: Mapping[str, Part], text: str) -> None:
    """Runs the module here, where it only defines, and compares. `InputError` names what differs."""
    made = _run(f"{CELLS}.{sitting.name}", text)
    alike = _Alike({sitting.module, f"{CELLS}.{sitting.name}"})
    for name in sorted(parts):
        if name in sitting.names and not alike.same(sitting.names[name], made.get(name), 0):
            if _reduced(live := sitting.names[name]) is None and not callable(live):
                raise only_here("", name, live)
            hint = "Run that cell again, then start again."
            raise InputError(f"'{name}' is not what its cell makes now.", code="cells-stale", hint=hint)


def only_here(user: str, name: str, value: object) -> InputError:
    """Of a value that nobody could make again."""
    kind = f"{type(value).__module__.partition('.')[0]} {type(value).__qualname__}".removeprefix("builtins ")
    who = f"'{user}' uses '{name}'" if user else f"The pipeline uses '{name}'"
    hint = "Give it to the step as an input, land it as a table, or make it inside the step."
    return InputError(f"{who}, a {kind} that only this notebook holds.", code="cells-unkept", hint=hint)


def same_code(one: Any, other: Any) -> bool:
    """Two functions' instructions and constants, wherever they stand."""
    if not isinstance(one, types.CodeType) or not isinstance(other, types.CodeType):
        return False
    named = ("co_names", "co_varnames", "co_freevars", "co_cellvars", "co_argcount", "co_kwonlyargcount")
    if any(getattr(one, name) != getattr(other, name) for name in named) or _does(one) != _does(other):
        return False
    constants = [[const for const in code.co_consts if isinstance(const, types.CodeType)] for code in (one, other)]
    return len(constants[0]) == len(constants[1]) and all(map(same_code, *constants))


def _does(code: types.CodeType) -> list[tuple[str, str]]:
    """Its instructions; how a method of an imported name is called depends on whether the import stands in the same cell."""
    found = [one for one in dis.get_instructions(code) if one.opname not in ("PUSH_NULL", "PRECALL", "CACHE", "EXTENDED_ARG")]
    jumps = {*dis.hasjrel, *dis.hasjabs}
    return [
        (
            one.opname.replace("LOAD_METHOD", "LOAD_ATTR"),
            "" if one.opcode in jumps or isinstance(one.argval, types.CodeType) else _NULL.sub("", one.argrepr),
        )
        for one in found
    ]


def _run(name: str, text: str) -> dict[str, Any]:
    module, before = types.ModuleType(name), sys.modules.get(name)
    sys.modules[name] = module  # dataclasses look for their module there
    try:
        exec(compile(text, f"{name.replace('.', '/')}.py", "exec", dont_inherit=True), module.__dict__)
    except Exception as wrong:
        raise InputError(
            f"What the pipeline needs of the cells cannot be run by itself: {type(wrong).__name__}: {wrong}.",
            code="cells-broken",
            hint="Run all cells in order; what then still fails, write into a file of the project.",
        ) from wrong
    finally:
        del sys.modules[name]
        if before is not None:
            sys.modules[name] = before
    return module.__dict__


class _Alike:
    """`modules` are the two names that the cells have as a module."""

    def __init__(self, modules: set[str]) -> None:
        self._modules = modules
        self._met: dict[tuple[int, int], object] = {}  # with what was met, so that no other takes its place

    def same(self, live: Any, made: Any, deep: int) -> bool:
        if live is made or (id(live), id(made)) in self._met:
            return True
        if deep > _DEEPEST or not self._same_type(type(live), type(made)):
            return False
        self._met[id(live), id(made)] = (live, made)
        match live:
            case Step():
                named = ("fn", "name", "retries", "cache", "files")
                return self._all([getattr(live, n) for n in named], [getattr(made, n) for n in named], deep)
            case Pipeline():
                return self._all((live.fn, live.name), (made.fn, made.name), deep)
            case types.FunctionType():
                return self._same_function(live, made, deep)
            case type():
                return self._same_type(live, made) and self._same_class(live, made, deep)
            case dict():
                return len(live) == len(made) and self._all(live.items(), made.items(), deep)
            case list() | tuple():
                return len(live) == len(made) and self._all(live, made, deep)
            case bool() | int() | float() | str() | bytes() | set() | frozenset():
                return bool(live == made) or live != live
            case _:
                return self._same_by_parts(live, made, deep)

    def _all(self, live: Any, made: Any, deep: int) -> bool:
        return all(self.same(a, b, deep + 1) for a, b in zip_longest(live, made))

    def _same_type(self, live: type, made: type) -> bool:
        """The same class, or one that the cells made both times."""
        ours = {live.__module__, made.__module__} <= self._modules
        return live is made or (ours and live.__qualname__ == made.__qualname__)

    def _same_function(self, live: types.FunctionType, made: types.FunctionType, deep: int) -> bool:
        return same_code(live.__code__, made.__code__) and self._all(_held(live), _held(made), deep)

    def _same_class(self, live: type, made: type, deep: int) -> bool:
        """The same names, methods and plain values; what a decorator has added has no text to be compared by."""
        if len(live.__bases__) != len(made.__bases__):
            return False
        own, now = _members(live), _members(made)
        return (
            own.keys() == now.keys()
            and self._all(live.__bases__, made.__bases__, deep)
            and self._all(own.values(), now.values(), deep)
        )

    def _same_by_parts(self, live: Any, made: Any, deep: int) -> bool:
        """By what pickle would make each again from; what has no such parts is only ever like itself."""
        if isinstance(inner := getattr(live, "__wrapped__", None), types.FunctionType):
            return self.same(inner, made.__wrapped__, deep + 1)
        taken = [_reduced(one) for one in (live, made)]
        return taken[0] is not None and taken[1] is not None and self._all(taken[0], taken[1], deep)


def _members(cls: type) -> dict[str, Any]:
    found = {name: value for name, value in vars(cls).items() if name not in _OF_ITSELF}
    return {name: _member(value) for name, value in found.items()}


def _member(value: Any) -> Any:
    """A method by its function, a plain value by itself, all else by the name of its type."""
    for name in ("fget", "func", "__func__"):
        value = getattr(value, name, None) or value
    if isinstance(value, types.FunctionType):
        return value.__code__.co_name if value.__code__.co_filename == "<string>" else value
    return value if isinstance(value, bool | int | float | str | bytes | tuple | list | dict | None) else type(value).__qualname__


def _held(fn: types.FunctionType) -> Iterator[Any]:
    """The values that a function was made with."""
    yield from (fn.__defaults__, fn.__kwdefaults__, getattr(fn, "__wrapped__", None))
    yield from (cell.cell_contents for cell in fn.__closure__ or ())


def _reduced(value: Any) -> list[Any] | None:
    try:
        found = value.__reduce_ex__(4)
    except (TypeError, AttributeError, ValueError, NotImplementedError):
        return None
    return [found] if isinstance(found, str) else [list(p) if isinstance(p, Iterator) else p for p in found]
