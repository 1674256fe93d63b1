"""A step is a plain typed function with a name, traced when a pipeline calls it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import cached_property, update_wrapper
from typing import Any, Generic, ParamSpec, Protocol, TypeVar, cast, get_args, get_origin, get_type_hints

from werk.core.errors import InputError
from werk.core.nouns import check_name
from werk.workflow.project_files import check_declared

P = ParamSpec("P")
R = TypeVar("R")


class Tracer(Protocol):
    """Whoever records step calls instead of running them."""

    def call(self, step: Step[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> object: ...


# Only set while a pipeline function is traced, and only in the context that traces it.
tracing: ContextVar[Tracer | None] = ContextVar("werk_tracing", default=None)


class Step(Generic[P, R]):
    """Calls its function as it is; inside a pipeline being traced it becomes a node instead."""

    def __init__(self, name: str, fn: Callable[P, R], *, retries: int = 0, cache: bool = True, files: Sequence[str] = ()) -> None:
        self.name = check_name("step", name)
        self.fn = fn
        self.retries = retries
        self.cache = cache
        self.files = tuple(files)
        update_wrapper(self, fn)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        tracer = tracing.get()
        if tracer is None:
            return self.fn(*args, **kwargs)
        return cast("R", tracer.call(self, args, dict(kwargs)))

    @property
    def target(self) -> str:
        return f"{self.fn.__module__}:{self.fn.__qualname__}"

    @cached_property
    def signature(self) -> inspect.Signature:
        return inspect.signature(self.fn)

    @cached_property
    def types(self) -> dict[str, Any]:
        """Resolved annotations of inputs and `return`; what is not annotated is absent."""
        return hints_of(self.fn, f"step '{self.name}'")

    @cached_property
    def inputs(self) -> dict[str, inspect.Parameter]:
        return {n: p for n, p in self.signature.parameters.items() if n not in self.resources}

    @cached_property
    def resources(self) -> tuple[str, ...]:
        """Keyword-only parameters without a default: given by the engine, never traced."""
        found = self.signature.parameters.values()
        return tuple(p.name for p in found if p.kind is p.KEYWORD_ONLY and p.default is p.empty)

    @cached_property
    def returns(self) -> tuple[Any, ...]:
        """The type of each output; a tuple of known length gives several, everything else gives one."""
        result = self.types.get("return", Any)
        parts = get_args(result)
        if get_origin(result) is tuple and parts and parts[-1] is not Ellipsis:
            return parts
        return (result,)


def step(name: str, *, retries: int = 0, cache: bool = True, files: Sequence[str] = ()) -> Callable[[Callable[P, R]], Step[P, R]]:
    """Name a function as a step: runs, lineage and the cache call it so.

    Outside a pipeline the function is called as it is. Every input and the result carry a type: frames (of polars, pandas,
    Arrow, numpy, DuckDB: what `as_frame` takes), JSON values, dates, frozen dataclasses, a `Model`; `tuple[A, B]` gives two
    outputs. Keyword-only parameters without a default are resources, given by werk.

    - `retries`: how often it is tried again after an error. A wrong input or a refusal is not tried again.
    - `cache`: False for a step with effects outside werk; it is run every time.
    - `files`: those of the project that it reads, there or not: `golden.toml`, or `{gate}` for the one its input `gate` names.
      A kept result is used only while they hold the same.

    ```python
    from werk import step


    @step("double", retries=1)
    def double(value: int) -> int:
        return 2 * value


    assert double(21) == 42
    ```
    """
    if retries < 0:
        raise InputError(f"Step '{name}' asks for {retries} retries.", code="retries-negative", hint="Use 0 or more.")
    return lambda fn: _checked(Step(name, fn, retries=retries, cache=cache, files=files))


def hints_of(fn: Callable[..., object], what: str) -> dict[str, Any]:
    try:
        return get_type_hints(fn)
    except NameError as missing:
        raise InputError(
            f"An annotation of {what} names '{missing.name}', which cannot be found.",
            code="annotation-unknown",
            hint="Import the type at the top of the module.",
        ) from missing


def _checked(made: Step[P, R]) -> Step[P, R]:
    for parameter in made.signature.parameters.values():
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise InputError(
                f"Step '{made.name}' takes '*{parameter.name}', which has no name or type of its own.",
                code="step-signature",
                hint="Name every input.",
            )
    check_declared(made.name, made.files, made.inputs)
    return made
