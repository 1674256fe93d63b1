"""Rows whose prediction is known, and must stay near it.

```toml
[[point]]
name = "quiet-morning"
expected = 0.08            # the prediction wanted
tolerance = 0.05           # how far it may be off, on both sides
missing = ["temp"]         # features whose value is missing on purpose, as null is to the server
[point.inputs]             # every other feature of the model by name: one left out is an error
carrier = "UA"             # a category is text
dep_hour = 6
```
Of a multiclass model a point says `class = "setosa"` as well: `expected` is the probability of that class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.ports.model_format import ModelFormat
from werk.models import declared
from werk.models.compiled import Model, ServedModel


@dataclass(frozen=True, slots=True)
class GoldenPoint:
    """`missing` are the features whose value is missing on purpose; every other one of the model's is in `inputs`.

    `of` is the class whose probability is expected.
    """

    name: str
    inputs: Mapping[str, object]
    expected: float
    tolerance: float
    missing: tuple[str, ...] = ()
    of: str | None = None


def load_golden(path: Path) -> list[GoldenPoint]:
    """The points of a `golden.toml`."""
    return [_point(table) for table in declared.entries(path, "point")]


def check_golden(form: ModelFormat, model: Model, points: list[GoldenPoint]) -> list[dict[str, JSON]]:
    """Each point's prediction, asked as a server would ask."""
    for point in points:
        _check_features(point, model.features)
        column_of(model, point.of, f"The golden point '{point.name}'")
    rows = [{name: point.inputs.get(name) for name in model.features} for point in points]
    values = ServedModel(model, form).predict_rows(rows)
    asked = [column_of(model, point.of, point.name) for point in points]
    said = [value if at is None else value[at] for at, value in zip(asked, values, strict=True)]
    return [_verdict(point, float(value)) for point, value in zip(points, said, strict=True)]


def column_of(model: Model, name: str | None, who: str) -> int | None:
    """Which of a multiclass model's answers is meant; None for a model with one answer a row."""
    if name is None and model.classes:
        hint = f'Write class = "{model.classes[0]}", or another of: {", ".join(model.classes[:8])}.'
        raise InputError(f"{who} does not say which class it speaks of.", code="declared-class-missing", hint=hint)
    if name is None:
        return None
    if name not in model.classes:
        hint = "" if model.classes else f"A {model.kind} model has none: leave 'class' out."
        raise unknown("class", name, model.classes, code="declared-class-unknown", hint=hint)
    return model.classes.index(name)


def _check_features(point: GoldenPoint, features: Sequence[str]) -> None:
    for name in (*point.inputs, *point.missing):
        if name not in features:
            raise unknown("feature", name, features, code="golden-feature-unknown")
    left_out = [name for name in features if name not in point.inputs and name not in point.missing]
    if left_out:
        raise InputError(
            f"The golden point '{point.name}' says nothing of the model's features {', '.join(left_out)}.",
            code="golden-feature-missing",
            hint='Give each a value below [point.inputs], or name those missing on purpose above it: missing = ["..."].',
        )


def _verdict(point: GoldenPoint, value: float) -> dict[str, JSON]:
    passed = abs(value - point.expected) <= point.tolerance
    told: dict[str, JSON] = {"value": value, "expected": point.expected, "tolerance": point.tolerance}
    return {"name": point.name, "passed": passed, **told}


def _point(table: declared.Table) -> GoldenPoint:
    name = declared.word(table, "name", "golden.toml")
    declared.known_keys(table, ("name", "inputs", "expected", "tolerance", "missing", "class"), name)
    inputs = table.get("inputs")
    if not isinstance(inputs, dict) or not inputs:
        raise declared.malformed(f"'{name}' has no [point.inputs]")
    tolerance = declared.number(table, "tolerance", name)
    if tolerance < 0:
        raise declared.malformed(f"'{name}' has a tolerance below zero")
    expected, missing = declared.number(table, "expected", name), _missing(table, name, inputs)
    return GoldenPoint(name, inputs, expected, tolerance, missing, declared.class_of(table, name))


def _missing(table: declared.Table, name: str, inputs: Mapping[str, object]) -> tuple[str, ...]:
    found = table.get("missing", [])
    if not isinstance(found, list) or not all(isinstance(feature, str) for feature in found):
        raise declared.malformed(f"'{name}' needs a list of features as 'missing'")
    for feature in found:
        if feature in inputs:
            raise declared.malformed(f"'{name}' gives '{feature}' a value and says that it is missing")
    return tuple(found)
