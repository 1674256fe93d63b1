"""What a prediction must do when an input changes, whatever its value (Ribeiro et al. 2020, CheckList).

```toml
[[test]]
name = "more-rain-is-later"
kind = "direction"         # in at least `share` of the holdout rows, adding `change` to `column` moves the prediction so
column = "precip"
change = 0.5
expect = "not fall"        # or "not rise"
share = 0.9                # default 0.9

[[test]]
name = "tail-number-does-not-matter"
kind = "invariance"        # whichever of `values` the column takes, no prediction moves by more than `tolerance`
column = "origin"
values = ["EWR", "JFK"]
tolerance = 0.01           # default 0

[[test]]
name = "good-enough-at-jfk"
kind = "minimum"           # `metric` of the holdout rows where `column` is `value` (both left out: of all rows)
column = "origin"
value = "JFK"
metric = "auc"
min = 0.65                 # or `max`, for a metric that is better when lower (mae, rmse, log_loss)
```
Of a multiclass model, direction and invariance say `class = "setosa"`: the prediction is the probability of that class.
Rows whose `column` is null are left out of a direction test. A test that finds no row does not pass.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, assert_never

import numpy as np
import polars as pl

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.models import declared
from werk.models.compiled import Model
from werk.models.fit import predict
from werk.models.golden import column_of
from werk.models.metrics import Floats, metrics

Expect = Literal["not fall", "not rise"]


@dataclass(frozen=True, slots=True)
class Direction:
    name: str
    column: str
    change: float
    expect: Expect
    share: float = 0.9
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Invariance:
    name: str
    column: str
    values: tuple[str | float | bool, ...]
    tolerance: float = 0.0
    of: str | None = None


@dataclass(frozen=True, slots=True)
class Minimum:
    name: str
    column: str
    value: str
    metric: str
    min: float | None
    max: float | None = None


BehaviourTest = Direction | Invariance | Minimum


@dataclass(frozen=True, slots=True)
class Holdout:
    """Rows the model has not seen, sorted by key, with what it said and what came true."""

    rows: pl.DataFrame
    task: str
    scores: Floats
    labels: Floats
    target: str = ""
    classes: tuple[str, ...] = ()


def load_behaviour(path: Path) -> list[BehaviourTest]:
    """The tests of a `behaviour.toml`."""
    return [_test(table) for table in declared.entries(path, "test")]


def check_behaviour(p: Platform, model: Model, holdout: Holdout, tests: list[BehaviourTest]) -> list[dict[str, JSON]]:
    """One verdict a test, in the file's order."""
    return [_verdict(p, model, holdout, test) for test in tests]


def _verdict(p: Platform, model: Model, holdout: Holdout, test: BehaviourTest) -> dict[str, JSON]:
    match test:
        case Direction():
            kind, (passed, value, sentence) = "direction", _direction(p, model, holdout, test)
        case Invariance():
            kind, (passed, value, sentence) = "invariance", _invariance(p, model, holdout, test)
        case Minimum():
            kind, (passed, value, sentence) = "minimum", _minimum(holdout, test)
        case _:
            assert_never(test)
    return {"name": test.name, "kind": kind, "passed": passed, "value": value, "sentence": sentence}


def _direction(p: Platform, model: Model, holdout: Holdout, test: Direction) -> tuple[bool, float | None, str]:
    _check_feature(model, test.column)
    if test.column in model.categories:
        raise InputError(
            f"Nothing can be added to the category '{test.column}'.", code="behaviour-column", hint="Use invariance."
        )
    there = holdout.rows[test.column].is_not_null()
    rows, before = holdout.rows.filter(there), _of(model, test, holdout.scores[there.to_numpy()])
    if not len(rows):
        return False, None, f"No row of the holdout has '{test.column}'."
    changed = rows.with_columns(pl.col(test.column).cast(pl.Float64) + test.change)
    moved = _of(model, test, predict(p, model, changed)) - before
    share = float((moved >= 0 if test.expect == "not fall" else moved <= 0).mean())
    told = f"With {test.column} {test.change:+g} the prediction does {test.expect} in {share:.1%} of {len(rows):,} rows"
    return share >= test.share, share, f"{told} (needed {test.share:.1%})."


def _invariance(p: Platform, model: Model, holdout: Holdout, test: Invariance) -> tuple[bool, float | None, str]:
    _check_feature(model, test.column)
    if not len(holdout.rows):
        return False, None, "The holdout is empty."
    asked = (holdout.rows.with_columns(pl.lit(value).alias(test.column)) for value in test.values)
    said = np.stack([_of(model, test, predict(p, model, rows)) for rows in asked])
    widest = float((said.max(axis=0) - said.min(axis=0)).max())
    told = f"Whichever of {len(test.values)} values {test.column} takes, a prediction moves by at most {widest:.4g}"
    return widest <= test.tolerance, widest, f"{told} (allowed {test.tolerance:g})."


def _minimum(holdout: Holdout, test: Minimum) -> tuple[bool, float | None, str]:
    if test.column and test.column not in holdout.rows.columns:
        raise unknown("column", test.column, holdout.rows.columns, code="column-unknown")
    here = (holdout.rows[test.column].cast(pl.String) == test.value).fill_null(False).to_numpy() if test.column else slice(None)
    found = metrics(holdout.task, holdout.scores[here], holdout.labels[here])
    if test.metric not in found:
        raise unknown("metric", test.metric, found, code="metric-unknown")
    value, where = found[test.metric].value, f" where {test.column} is {test.value}" if test.column else ""
    if value is None:
        return False, None, f"The rows{where} cannot tell {test.metric}."
    needed = [f"{word}{end:g}" for word, end in (("", test.min), ("at most ", test.max)) if end is not None]
    passed = (test.min is None or value >= test.min) and (test.max is None or value <= test.max)
    return passed, value, f"{test.metric}{where} is {value:.4g} (needed {' and '.join(needed)})."


def _of(model: Model, test: Direction | Invariance, scores: Floats) -> Floats:
    """One number a row: of a multiclass model the probability of the class that the test names."""
    at = column_of(model, test.of, f"The behaviour test '{test.name}'")
    return scores if at is None else scores[:, at]


def _check_feature(model: Model, column: str) -> None:
    if column not in model.features:
        raise unknown("feature", column, model.features, code="behaviour-feature-unknown")


def _test(table: declared.Table) -> BehaviourTest:
    name = declared.word(table, "name", "behaviour.toml")
    parsers = {"direction": _read_direction, "invariance": _read_invariance, "minimum": _read_minimum}
    kind = declared.word(table, "kind", name)
    if kind not in parsers:
        raise unknown(f"kind of test for '{name}'", kind, parsers, code="behaviour-kind-unknown")
    return parsers[kind](name, table)


def _read_direction(name: str, table: declared.Table) -> BehaviourTest:
    declared.known_keys(table, ("name", "kind", "column", "change", "expect", "share", "class"), name)
    said = declared.word(table, "expect", name)
    if said != "not fall" and said != "not rise":
        raise unknown(f"expectation of '{name}'", said, ("not fall", "not rise"), code="behaviour-expect-unknown")
    change, share = declared.number(table, "change", name), declared.number(table, "share", name, 0.9)
    if not change or not 0 < share <= 1:
        raise declared.malformed(f"'{name}' needs a change other than 0 and a share above 0 up to 1")
    column, of = declared.word(table, "column", name), declared.class_of(table, name)
    return Direction(name, column, change, said, share, of)  # type: ignore[arg-type]  # narrowed above


def _read_invariance(name: str, table: declared.Table) -> BehaviourTest:
    declared.known_keys(table, ("name", "kind", "column", "values", "tolerance", "class"), name)
    values = table.get("values")
    if not isinstance(values, list) or len(values) < 2 or not all(isinstance(v, str | int | float) for v in values):
        raise declared.malformed(f"'{name}' needs at least two 'values', numbers or text")
    column, tolerance = declared.word(table, "column", name), declared.number(table, "tolerance", name, 0.0)
    return Invariance(name, column, tuple(values), tolerance, declared.class_of(table, name))


def _read_minimum(name: str, table: declared.Table) -> BehaviourTest:
    declared.known_keys(table, ("name", "kind", "column", "value", "metric", "min", "max"), name)
    if ("column" in table) != ("value" in table):
        raise declared.malformed(f"'{name}' needs both 'column' and 'value', or neither")
    column, value = declared.word(table, "column", name, ""), table.get("value", "")
    if not isinstance(value, str | int):
        raise declared.malformed(f"'{name}' needs text or a whole number as 'value'")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    least = declared.number(table, "min", name) if "min" in table or "max" not in table else None
    most = declared.number(table, "max", name) if "max" in table else None
    return Minimum(name, column, text, declared.word(table, "metric", name), least, most)
