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
min = 0.65
```
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
from werk.models.metrics import Floats, metrics

Expect = Literal["not fall", "not rise"]


@dataclass(frozen=True, slots=True)
class Direction:
    name: str
    column: str
    change: float
    expect: Expect
    share: float = 0.9


@dataclass(frozen=True, slots=True)
class Invariance:
    name: str
    column: str
    values: tuple[str | float | bool, ...]
    tolerance: float = 0.0


@dataclass(frozen=True, slots=True)
class Minimum:
    name: str
    column: str
    value: str
    metric: str
    min: float


BehaviourTest = Direction | Invariance | Minimum


@dataclass(frozen=True, slots=True)
class Holdout:
    """Rows the model has not seen, sorted by key, with what it said and what came true."""

    rows: pl.DataFrame
    task: str
    scores: Floats
    labels: Floats
    target: str = ""


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
    rows, before = holdout.rows.filter(there), holdout.scores[there.to_numpy()]
    if not len(rows):
        return False, None, f"No row of the holdout has '{test.column}'."
    moved = predict(p, model, rows.with_columns(pl.col(test.column).cast(pl.Float64) + test.change)) - before
    share = float((moved >= 0 if test.expect == "not fall" else moved <= 0).mean())
    told = f"With {test.column} {test.change:+g} the prediction does {test.expect} in {share:.1%} of {len(rows):,} rows"
    return share >= test.share, share, f"{told} (needed {test.share:.1%})."


def _invariance(p: Platform, model: Model, holdout: Holdout, test: Invariance) -> tuple[bool, float | None, str]:
    _check_feature(model, test.column)
    if not len(holdout.rows):
        return False, None, "The holdout is empty."
    said = np.stack([predict(p, model, holdout.rows.with_columns(pl.lit(value).alias(test.column))) for value in test.values])
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
    return value >= test.min, value, f"{test.metric}{where} is {value:.4g} (needed {test.min:g})."


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
    declared.known_keys(table, ("name", "kind", "column", "change", "expect", "share"), name)
    said = declared.word(table, "expect", name)
    if said != "not fall" and said != "not rise":
        raise unknown(f"expectation of '{name}'", said, ("not fall", "not rise"), code="behaviour-expect-unknown")
    change, share = declared.number(table, "change", name), declared.number(table, "share", name, 0.9)
    if not change or not 0 < share <= 1:
        raise declared.malformed(f"'{name}' needs a change other than 0 and a share above 0 up to 1")
    return Direction(name, declared.word(table, "column", name), change, said, share)  # type: ignore[arg-type]  # narrowed above


def _read_invariance(name: str, table: declared.Table) -> BehaviourTest:
    declared.known_keys(table, ("name", "kind", "column", "values", "tolerance"), name)
    values = table.get("values")
    if not isinstance(values, list) or len(values) < 2 or not all(isinstance(v, str | int | float) for v in values):
        raise declared.malformed(f"'{name}' needs at least two 'values', numbers or text")
    return Invariance(name, declared.word(table, "column", name), tuple(values), declared.number(table, "tolerance", name, 0.0))


def _read_minimum(name: str, table: declared.Table) -> BehaviourTest:
    declared.known_keys(table, ("name", "kind", "column", "value", "metric", "min"), name)
    if ("column" in table) != ("value" in table):
        raise declared.malformed(f"'{name}' needs both 'column' and 'value', or neither")
    column, value = declared.word(table, "column", name, ""), table.get("value", "")
    if not isinstance(value, str | int):
        raise declared.malformed(f"'{name}' needs text or a whole number as 'value'")
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return Minimum(name, column, text, declared.word(table, "metric", name), declared.number(table, "min", name))
