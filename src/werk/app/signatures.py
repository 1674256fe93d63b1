"""The Python that a project writes with: each public name with its signature and what its docstring promises."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import werk
from werk import testing
from werk.pipelines import steps
from werk.workflow import Step

# In the order a use case meets them; `werk.steps` are all its steps, in the order of their file.
STEPS_AND_PIPELINES = ("werk.step", "werk.pipeline", "werk.as_frame", "werk.StepContext", "werk.data.Pinned")
MODELS = (
    "werk.fit_lightgbm",
    "werk.fit_linear",
    "werk.fit_logistic",
    "werk.fit_per_key",
    "werk.Model",
    "werk.Report",
    "werk.Gate",
)
FEATURES = ("werk.FeatureView", "werk.Window", "werk.Features", "werk.Features.join")
NOTEBOOK = ("werk.open", *(f"werk.app.face.{of}" for of in ("Project", "table.Table", "run.Run", "run.StepOfRun", "model.Model")))
LEAKS = ("werk.features.leak.leak_check", "werk.features.leak.Known")
# How an author knows a type that has a short name inside werk.
_SPOKEN = {
    "Rows": "Frame",
    "Frames": "Mapping[str, pl.DataFrame]",
    "Build": "Callable[[Mapping[str, pl.DataFrame], datetime], pl.DataFrame]",
    "Entry": "Mapping[str, JSON]",
}
WIDTH = 110
FACE = "werk.app.face."
FACE_INSIDE = ("ask", "session")  # for the objects beside


def python_face() -> str:
    parts: Mapping[str, Sequence[str]] = {
        "Steps and pipelines": STEPS_AND_PIPELINES,
        "Built-in steps": [f"werk.steps.{name}" for name in built_in()],
        "Models": MODELS,
        "Features": (*FEATURES, *LEAKS),
        "Notebook": NOTEBOOK,
    }
    told = [f"### {title}\n\n" + "\n\n".join(map(_entry, names)) for title, names in parts.items()]
    return "\n\n".join([*told, f"### Promises of the ports\n\n{_suites()}"])


def built_in() -> dict[str, Step[..., Any]]:
    return {name: value for name, value in vars(steps).items() if isinstance(value, Step)}


def found(path: str) -> Any:
    """What a dotted path names: the longest part that is a module, then attributes of it."""
    module, _, rest = path.rpartition(".")
    if path == "werk":
        return werk
    try:
        return getattr(found(module), rest)
    except AttributeError:
        return importlib.import_module(path)


def _entry(path: str) -> str:
    named = found(path)
    said = (_documented(named).__doc__ or "").strip()
    if not said or said.startswith(f"{path.rpartition('.')[2]}("):  # what a dataclass writes itself
        raise ValueError(f"{path} says nothing of itself: write its docstring.")
    entry = f"#### {path}\n\n```py\n{_signature(path.rpartition('.')[2], named)}\n```\n\n{inspect.cleandoc(said)}"
    return "\n".join([entry, "", *_methods(named)]) if path.startswith(FACE) else entry


def _methods(cls: type) -> Iterator[str]:
    """What an object of a notebook offers, a line each."""
    for name, named in vars(cls).items():
        if (
            name.startswith("_")
            or name in FACE_INSIDE
            or not (inspect.isfunction(named) or isinstance(named, property))
            or not named.__doc__
        ):
            continue
        call = _signature(name, named).replace("self, ", "").replace("(self)", "()") if inspect.isfunction(named) else name
        yield f"- `{' '.join(call.split())}`: {' '.join(named.__doc__.split())}"


def _documented(named: Any) -> Any:
    return named.fn if isinstance(named, Step) else named


def _signature(name: str, named: Any) -> str:
    """On one line when it fits; a built-in step's resources are werk's own affair and left out."""
    signature = inspect.signature(_documented(named))
    given = named.resources if isinstance(named, Step) else ("self", "on_read")
    taken = [one for one in signature.parameters.values() if one.name not in given]
    words = list(_words(taken))
    returns = f" -> {_spoken(signature.return_annotation)}" if signature.return_annotation is not signature.empty else ""
    returns = "" if inspect.isclass(named) else returns
    line = f"{name}({', '.join(words)}){returns}"
    return line if len(line) <= WIDTH else f"{name}(\n" + "".join(f"    {word},\n" for word in words) + f"){returns}"


def _words(taken: Sequence[inspect.Parameter]) -> Iterator[str]:
    only = False
    for one in taken:
        if one.kind is one.KEYWORD_ONLY and not only:
            only = True
            yield "*"
        star = "*" if one.kind is one.VAR_POSITIONAL else "**" if one.kind is one.VAR_KEYWORD else ""
        yield f"{star}{one.name}: {_spoken(one.annotation)}{_default(one)}"
        only = only or star == "*"


def _default(one: inspect.Parameter) -> str:
    if one.default is one.empty:
        return ""
    told = repr(one.default).replace("datetime.", "")
    return " = ..." if told == "<factory>" else f" = {told}"


def _spoken(annotation: Any) -> str:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return re.sub(r"\b\w+\b", lambda word: _SPOKEN.get(word[0], word[0]), text)


def _suites() -> str:
    """Per port the suite or the functions that check what an adapter promises."""
    rows = []
    for port, module in suites().items():
        checks = [f"`{name}`" for name in checks_of(module)]
        what = inspect.getdoc(getattr(module, checks_of(module)[0])) if checks_of(module)[0].endswith("Suite") else None
        said = (what or "Call each in a test, with your adapter.").split("\n\n")[0].replace("\n", " ")
        rows.append(f"| `werk.testing.{port}` | {', '.join(checks)} | {said} |")
    return "\n".join(["| Module | Checks | How |", "| --- | --- | --- |", *rows])


def suites() -> dict[str, Any]:
    names = sorted(module.name for module in pkgutil.iter_modules(testing.__path__))
    return {name: importlib.import_module(f"werk.testing.{name}") for name in names}


def checks_of(module: Any) -> list[str]:
    """A module's `...Suite`, or its public functions when it has none."""
    own = [value for value in vars(module).values() if getattr(value, "__module__", "") == module.__name__]
    suites = [value.__name__ for value in own if inspect.isclass(value) and value.__name__.endswith("Suite")]
    return suites or [value.__name__ for value in own if inspect.isfunction(value) and not value.__name__.startswith("_")]
