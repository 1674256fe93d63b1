"""What stands in a pipeline's body for a value that exists only when the pipeline runs."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass
from typing import Any, NoReturn

from werk.core.spec import FromParam, FromStep

HINT = "A pipeline only passes on its parameters and what its steps return: compute with them inside a step."


class Early(Exception):
    """The pipeline's body works with a value that it can only pass on: `does` says how, and with which."""

    def __init__(self, does: str, hint: str = HINT) -> None:
        super().__init__(does)
        self.does = does
        self.hint = hint


class Ref:
    """Passed from step to step; whatever else is done with it is refused, because its answer would be a wrong one.

    The names of its own fields are such that no field of the value it stands for is hidden by them.
    """

    __slots__ = ("ref_origin", "ref_source", "ref_type")

    def __init__(self, source: FromStep | FromParam, type: Any, origin: str) -> None:
        self.ref_source = source
        self.ref_type = type
        self.ref_origin = origin

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):
            raise AttributeError(name)  # so that a library may ask what it is
        raise Early(f"asks '{name}' of {self.ref_origin}")


def refs_in(value: object) -> Iterator[Ref]:
    """Those that a list, a table or a dataclass holds, at any depth."""
    if isinstance(value, Ref):
        yield value
    elif isinstance(value, dict):
        yield from refs_in([*value.keys(), *value.values()])
    elif isinstance(value, list | tuple | set | frozenset):
        yield from (ref for part in value for ref in refs_in(part))
    elif is_dataclass(value) and not isinstance(value, type):
        yield from refs_in([getattr(value, field.name) for field in fields(value)])


def _refusing(does: str) -> Callable[..., NoReturn]:
    def refuse(self: Ref, *_: object) -> NoReturn:
        raise Early(f"{does} {self.ref_origin}")

    return refuse


_BINARY = ("add", "sub", "mul", "matmul", "truediv", "floordiv", "mod", "divmod", "pow", "lshift", "rshift", "and", "xor", "or")
_REFUSED = {
    "computes with": [
        *_BINARY,
        *(f"r{name}" for name in _BINARY),
        "neg",
        "pos",
        "abs",
        "invert",
        "round",
        "trunc",
        "floor",
        "ceil",
    ],
    "compares": ["eq", "ne", "lt", "le", "gt", "ge", "hash"],
    "converts": ["int", "float", "complex", "index", "bytes", "fspath"],
    "writes out": ["str", "repr", "format"],
    "branches on": ["bool"],
    "iterates over": ["iter", "next", "reversed", "aiter", "await"],
    "measures": ["len"],
    "looks into": ["getitem", "setitem", "delitem", "contains", "enter", "aenter"],
    "calls": ["call"],
}
for _does, _names in _REFUSED.items():
    for _name in _names:
        setattr(Ref, f"__{_name}__", _refusing(_does))
