from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.core.errors import InputError, StepFailed, WerkError
from werk.core.spec import FromParam, FromStep, Spec
from werk.workflow.pipeline import parse_params, pipeline
from werk.workflow.step import step


@dataclass(frozen=True, slots=True)
class Fit:
    learning_rate: float = 0.5
    rounds: int = 10


@step("load")
def load(start: date, *, tables: object) -> pl.LazyFrame:
    return pl.LazyFrame({"day": [start]})


@step("split")
def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    return rows, len(rows.columns)


@step("count")
def count(n: int) -> int:
    return n + 1


@pipeline
def chain(start: date, fit: Fit = Fit()) -> None:
    _, n = split(load(start))
    count(count(n))


def test_a_step_is_its_function_outside_a_pipeline() -> None:
    assert count(1) == 2


def test_tracing_gives_typed_nodes_without_resources_and_survives_json() -> None:
    spec = chain.spec()
    assert [node.id for node in spec.nodes] == ["load", "split", "count", "count-2"]
    assert spec.node("load").inputs == {"start": FromParam("start")}
    assert spec.node("count").inputs == {"n": FromStep("split", 1)}
    assert Spec.from_json(spec.to_json()) == spec


def test_wrong_types_fail_when_composed_naming_both() -> None:
    @pipeline
    def wrong(start: date) -> None:
        count(load(start))

    with pytest.raises(InputError, match="Step 'count' takes int as 'n', but step 'load' gives LazyFrame"):
        wrong.spec()


def test_missing_and_unknown_inputs_and_branches_are_refused() -> None:
    @pipeline
    def missing() -> None:
        count()

    @pipeline
    def misspelt() -> None:
        count(m=1)

    @pipeline
    def branching(start: date) -> None:
        if load(start):
            count(1)

    for made, code in ((missing, "input-missing"), (misspelt, "input-unknown"), (branching, "trace-value")):
        with pytest.raises(InputError) as caught:
            made.spec()
        assert caught.value.code == code
    assert count(1) == 2, "a failed trace must not leave tracing on"


USES: dict[str, Callable[[Any], object]] = {
    "adds": lambda x: x + 1,
    "adds from the right": lambda x: 1 + x,
    "negates": lambda x: -x,
    "divides": lambda x: 2 // x,
    "adds in place": lambda x: operator.iadd(x, 1),
    "equals": lambda x: x == 1,
    "differs": lambda x: x != 1,
    "compares": lambda x: x < 1,
    "takes the larger": lambda x: max(1, x),
    "decides": lambda x: 1 if x else 2,
    "negates truth": lambda x: not x,
    "formats": lambda x: f"{x}",
    "formats with a width": lambda x: f"{x:>4}",
    "shows": lambda x: f"{x!r}",
    "writes out": str,
    "joins": lambda x: "month " + x,
    "fills in": "{}".format,
    "measures": len,
    "iterates": list,
    "unpacks": lambda x: [*x],
    "indexes": lambda x: x[0],
    "sets an item": lambda x: operator.setitem(x, 0, 1),
    "looks in": lambda x: 1 in x,
    "is looked for": lambda x: x in {1: 2},
    "is a key": lambda x: {x: 1},
    "is an index": lambda x: [1, 2][x],
    "converts": int,
    "converts to float": float,
    "rounds": round,
    "counts": range,
    "calls": lambda x: x(),
    "asks a method": lambda x: x.split("-"),
    "asks a field": lambda x: x.origin,
    "asks another field": lambda x: x.source,
    "opens": Path,
    "reads a date": date.fromisoformat,
    "changes a field": lambda x: replace(x, rounds=3),
    "puts into a list": lambda x: count([x]),
    "puts into a table": lambda x: count({"n": [x]}),
    "puts into a dataclass": lambda x: count(Fit(x)),
}


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("of", ["a parameter", "a step"])
def test_what_exists_only_when_it_runs_is_not_computed_with(use: str, of: str) -> None:
    """One sentence that names the pipeline and the line, and the way out: never a wrong value, never a traceback of ours."""

    @pipeline
    def early(n: int) -> None:
        USES[use](n if of == "a parameter" else count(n))

    line = early.fn.__code__.co_firstlineno + 2
    with pytest.raises(WerkError) as caught:
        early.spec()
    assert "'early'" in caught.value.message
    assert f"test_pipeline.py, line {line}" in caught.value.message
    assert "step" in caught.value.hint
    assert "Ref" not in caught.value.message
    assert count(1) == 2, "a failed trace must not leave tracing on"


def test_a_mistake_in_a_pipelines_body_is_shown_as_its_authors() -> None:
    @pipeline
    def mistaken() -> None:
        count({}["absent"])  # type: ignore[misc]  # the mistake

    with pytest.raises(StepFailed) as caught:
        mistaken.spec()
    assert "'mistaken'" in caught.value.message
    assert "absent" in caught.value.user_traceback
    assert "werk/workflow" not in caught.value.user_traceback


def test_what_a_pipeline_calls_is_its_body_too() -> None:
    def next_one(n: int) -> int:
        return n + 1

    @pipeline
    def through_another(n: int) -> None:
        count(next_one(n))

    with pytest.raises(InputError, match=f"line {through_another.fn.__code__.co_firstlineno + 2}"):
        through_another.spec()


def test_params_are_read_by_annotation() -> None:
    values = parse_params(chain, {"start": "2013-01-01", "fit.learning_rate": "0.1"})
    assert values == {"start": date(2013, 1, 1), "fit": Fit(0.1, 10)}


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"strat": "2013-01-01"}, "param-unknown"),
        ({}, "param-missing"),
        ({"start": "yesterday"}, "param-unreadable"),
        ({"start": "2013-01-01", "fit.learning_rte": "1"}, "param-unknown"),
        ({"start": "2013-01-01", "fit": "1", "fit.rounds": "1"}, "param-fields"),
    ],
)
def test_wrong_params_say_what_to_do(given: dict[str, str], code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_params(chain, given)
    assert caught.value.code == code
