from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import polars as pl
import pytest

from werk.core.errors import InputError
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

    for made, code in ((missing, "input-missing"), (misspelt, "input-unknown"), (branching, "trace-branch")):
        with pytest.raises(InputError) as caught:
            made.spec()
        assert caught.value.code == code
    assert count(1) == 2, "a failed trace must not leave tracing on"


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
    ],
)
def test_wrong_params_say_what_to_do(given: dict[str, str], code: str) -> None:
    with pytest.raises(InputError) as caught:
        parse_params(chain, given)
    assert caught.value.code == code
