"""Rows whose prediction is known, and must stay near it.

```toml
[[point]]
name = "quiet-morning"
expected = 0.08            # the prediction wanted
tolerance = 0.05           # how far it may be off, on both sides
[point.inputs]             # features by name; one left out is missing, as null is to the server
carrier = "UA"             # a category is text
dep_hour = 6
```
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from werk.core.canonical import JSON
from werk.core.errors import unknown
from werk.core.ports.model_format import ModelFormat
from werk.models import declared
from werk.models.compiled import Model, ServedModel


@dataclass(frozen=True, slots=True)
class GoldenPoint:
    name: str
    inputs: Mapping[str, object]
    expected: float
    tolerance: float


def load_golden(path: Path) -> list[GoldenPoint]:
    """The points of a `golden.toml`."""
    return [_point(table) for table in declared.entries(path, "point")]


def check_golden(form: ModelFormat, model: Model, points: list[GoldenPoint]) -> list[dict[str, JSON]]:
    """Each point's prediction, asked as a server would ask."""
    for point in points:
        for name in point.inputs:
            if name not in model.features:
                raise unknown("feature", name, model.features, code="golden-feature-unknown")
    rows = [{name: point.inputs.get(name) for name in model.features} for point in points]
    values = ServedModel(model, form).predict_rows(rows)
    return [_verdict(point, float(value)) for point, value in zip(points, values, strict=True)]


def _verdict(point: GoldenPoint, value: float) -> dict[str, JSON]:
    passed = abs(value - point.expected) <= point.tolerance
    told: dict[str, JSON] = {"value": value, "expected": point.expected, "tolerance": point.tolerance}
    return {"name": point.name, "passed": passed, **told}


def _point(table: declared.Table) -> GoldenPoint:
    name = declared.word(table, "name", "golden.toml")
    declared.known_keys(table, ("name", "inputs", "expected", "tolerance"), name)
    inputs = table.get("inputs")
    if not isinstance(inputs, dict) or not inputs:
        raise declared.malformed(f"'{name}' has no [point.inputs]")
    tolerance = declared.number(table, "tolerance", name)
    if tolerance < 0:
        raise declared.malformed(f"'{name}' has a tolerance below zero")
    return GoldenPoint(name, inputs, declared.number(table, "expected", name), tolerance)
