"""A pipeline is a function of steps, traced once into a spec."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from traceback import walk_tb
from types import FunctionType
from typing import Any, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError, StepFailed, WerkError, unknown
from werk.core.spec import Const, FromParam, FromStep, Node, Param, Source, Spec
from werk.workflow.failure import user_traceback
from werk.workflow.params import parse_value, to_json
from werk.workflow.ref import HINT, Early, Ref, refs_in
from werk.workflow.step import Step, hints_of, tracing
from werk.workflow.types import fits, text_of


class Pipeline:
    """Named after its function; `spec()` is the same data in every process."""

    def __init__(self, fn: Callable[..., object]) -> None:
        self.name = fn.__name__
        self.fn = fn
        self.__doc__ = fn.__doc__
        self.__module__ = fn.__module__

    @cached_property
    def types(self) -> dict[str, Any]:
        return hints_of(self.fn, f"pipeline '{self.name}'")

    @cached_property
    def params(self) -> dict[str, inspect.Parameter]:
        return dict(inspect.signature(self.fn).parameters)

    @property
    def steps(self) -> Mapping[str, Step[..., Any]]:
        """The step behind each node of the spec."""
        return self._traced.steps

    def spec(self) -> Spec:
        return Spec(self.name, tuple(self._traced.nodes), tuple(self._param(p) for p in self.params.values()))

    @cached_property
    def _traced(self) -> _Trace:
        given = {n: Ref(FromParam(n), self.types.get(n, Any), f"parameter '{n}'") for n in self.params}
        trace = _Trace()
        token = tracing.set(trace)
        try:
            self.fn(**given)
        except Early as early:
            raise InputError(
                f"The pipeline '{self.name}' {early.does}, which exists only when it runs ({self._line(early)}).",
                code="trace-value",
                hint=early.hint,
            ) from early
        except WerkError:
            raise
        except Exception as wrong:
            raise StepFailed(
                f"The pipeline '{self.name}' cannot be composed ({self._line(wrong)}): {_what(wrong)}.",
                code="pipeline-broken",
                hint=HINT,
                user_traceback=user_traceback(wrong),
            ) from wrong
        finally:
            tracing.reset(token)
        return trace

    def _line(self, error: Exception) -> str:
        """Where in the pipeline's body it was raised."""
        code = cast("FunctionType", self.fn).__code__
        at = next((line for frame, line in walk_tb(error.__traceback__) if frame.f_code is code), code.co_firstlineno)
        return f"{Path(code.co_filename).name}, line {at}"

    def _param(self, parameter: inspect.Parameter) -> Param:
        required = parameter.default is parameter.empty
        default = None if required else to_json(parameter.default)
        return Param(parameter.name, text_of(self.types.get(parameter.name, Any)), default, required)


def pipeline(fn: Callable[..., object]) -> Pipeline:
    """Make a pipeline of a function that calls steps; it is called once, to record which step feeds which.

    Its parameters are the pipeline's (`werk run NAME -p key=value`): text, numbers, booleans, dates, frozen dataclasses
    (`-p params.rounds=40`). A default such as "NAME@champion" is turned into NAME:VERSION before the run starts. `InputError`
    when types do not fit (`type-mismatch`), or when the function branches on what only a run knows (`trace-branch`).

    ```python
    from werk import pipeline, step


    @step("double")
    def double(value: int) -> int:
        return 2 * value


    @pipeline
    def twice(value: int = 1):
        double(double(value))


    assert [node.id for node in twice.spec().nodes] == ["double", "double-2"]
    ```
    """
    return Pipeline(fn)


def parse_params(target: Pipeline, given: Mapping[str, str]) -> dict[str, object]:
    """Values for a pipeline's parameters from text; `params.learning_rate` reaches into a frozen dataclass.

    Defaults fill what is not given. Raises `InputError` for an unknown, missing or unreadable one.
    """
    nested: dict[str, dict[str, str]] = {}
    plain: dict[str, str] = {}
    for key, text in given.items():
        name, dot, rest = key.partition(".")
        if name not in target.params:
            raise unknown("parameter", name, target.params, code="param-unknown")
        if dot:
            nested.setdefault(name, {})[rest] = text
        else:
            plain[name] = text
    for name in plain.keys() & nested.keys():
        raise InputError(
            f"The parameter '{name}' is given whole and in parts.", code="param-fields", hint=f"Give {name}=VALUE or its fields."
        )
    return {
        name: parse_value(name, target.types.get(name, Any), parameter.default, plain.get(name), nested.get(name, {}))
        for name, parameter in target.params.items()
    }


@dataclass(slots=True)
class _Trace:
    nodes: list[Node] = field(default_factory=list)
    steps: dict[str, Step[..., Any]] = field(default_factory=dict)

    def call(self, step: Step[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> object:
        id = self._free_id(step.name)
        bound = _bind(step, args, kwargs)
        inputs = {name: _source(step, name, value) for name, value in bound.items()}
        types = {name: text_of(kind) for name, kind in step.types.items() if name not in step.resources}
        self.nodes.append(Node(id, step.target, inputs, len(step.returns), retries=step.retries, types=types))
        self.steps[id] = step
        return _refs(id, step)

    def _free_id(self, name: str) -> str:
        id, count = name, 1
        while id in self.steps:
            count += 1
            id = f"{name}-{count}"
        return id


def _bind(step: Step[..., Any], args: tuple[object, ...], kwargs: dict[str, object]) -> dict[str, object]:
    for name in kwargs:
        if name not in step.inputs:
            raise unknown(f"input of step '{step.name}'", name, step.inputs, code="input-unknown")
    signature = inspect.Signature(list(step.inputs.values()))
    try:
        bound = signature.bind(*args, **kwargs)
    except TypeError as wrong:
        raise InputError(
            f"Step '{step.name}' cannot be called so: {wrong}.", code="input-missing", hint=f"It takes {signature}."
        ) from wrong
    bound.apply_defaults()
    return dict(bound.arguments)


def _source(step: Step[..., Any], name: str, value: object) -> Source:
    wanted = step.types.get(name, Any)
    if not isinstance(value, Ref):
        return Const(_constant(step, name, value))
    origin = value.ref_origin
    if not fits(value.ref_type, wanted):
        raise InputError(
            f"Step '{step.name}' takes {text_of(wanted)} as '{name}', but {origin} gives {text_of(value.ref_type)}.",
            code="type-mismatch",
            hint="Change one of the two annotations, or convert in a step between them.",
        )
    return value.ref_source


def _constant(step: Step[..., Any], name: str, value: object) -> JSON:
    if isinstance(value, tuple) and any(isinstance(part, Ref) for part in value):
        raise InputError(
            f"Step '{step.name}' is given several outputs as '{name}'.",
            code="outputs-unpacked",
            hint="Unpack them first: a, b = step(...).",
        )
    for ref in refs_in(value):
        does = f"gives step '{step.name}' a {type(value).__qualname__} as '{name}' that holds {ref.ref_origin}"
        raise Early(does, hint="Give it as an input of its own, and put it together inside the step.")
    return to_json(value)


def _what(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".rstrip(". ")


def _refs(id: str, step: Step[..., Any]) -> Ref | tuple[Ref, ...]:
    origin = f"step '{id}'"
    if len(step.returns) == 1:
        return Ref(FromStep(id), step.returns[0], origin)
    return tuple(Ref(FromStep(id, i), kind, f"output {i} of {origin}") for i, kind in enumerate(step.returns))
