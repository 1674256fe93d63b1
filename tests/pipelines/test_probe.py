"""How far two models lie apart, and what a verdict makes of it."""

from dataclasses import replace
from typing import Any

import pytest

from werk.pipelines.probe import TOLERANCE, distance
from werk.pipelines.rebuild import Done, Trained, comparable, judged, unexplained
from werk.workflow.capture import Environment

FACTS: dict[str, Any] = {"machine": {"architecture": "x86_64"}, "threads": {"openblas": 1}}
STEPS = (Done("load", "c1", ("rows",), ("raw.rows@0",)), Done("train", "c2", ("model",), ()))
RECORDED = Trained("werk-canon/1:lightgbm:aa", Environment("", FACTS), STEPS, 1, {"num_threads": 1}, {"k1": [0.5], "k2": [0.25]})
OTHER = replace(
    RECORDED,
    identity="werk-canon/1:lightgbm:bb",
    steps=(STEPS[0], replace(STEPS[1], outputs=("other",))),
    probe={"k1": [0.9], "k2": [0.25]},
)


@pytest.mark.parametrize(
    ("one", "other", "within"),
    [
        ({"k": [0.5]}, {"k": [0.5 + 0.9e-6]}, True),
        ({"k": [0.5]}, {"k": [0.5 + 1.1e-6]}, False),
        ({"k": [2000.0]}, {"k": [2000.001]}, True),
        ({"k": [2000.0]}, {"k": [2000.01]}, False),
        ({"k": [0.2, 0.8]}, {"k": [0.2, 0.8]}, True),
        ({"k": [0.2, 0.8]}, {"k": [0.2]}, False),
        ({"k": [0.5]}, {"j": [0.5]}, False),
        ({}, {}, False),
    ],
)
def test_predictions_are_held_against_the_tolerance_row_by_row(one: Any, other: Any, within: bool) -> None:
    """Other rows, or none at all, are no measurement and never within."""
    assert distance(one, other, TOLERANCE).within is within


def test_a_wider_tolerance_than_the_recorded_one_is_not_taken() -> None:
    assert judged("m:1", RECORDED, OTHER, tolerance=TOLERANCE).outcome == "different"
    near = replace(OTHER, probe={"k1": [0.5000001], "k2": [0.25]})
    assert judged("m:1", RECORDED, near, tolerance=TOLERANCE).outcome == "equivalent"
    assert judged("m:1", RECORDED, near, tolerance=0.0).outcome == "different"


@pytest.mark.parametrize(
    ("changed", "cause"),
    [
        ({"environment": Environment("", {**FACTS, "threads": {"openblas": 2}})}, "environment: thread openblas: 1 -> 2"),
        ({"steps": (replace(STEPS[0], code="c9"), STEPS[1])}, "code: that of step 'load' is not what ran"),
        ({"seed": 2}, "seed: 1 -> 2"),
        ({"params": {"num_threads": 4}}, "parameter num_threads: 1 -> 4"),
    ],
)
def test_an_input_that_differs_is_named_first_and_never_identical(changed: dict[str, Any], cause: str) -> None:
    same = judged("m:1", RECORDED, replace(RECORDED, **changed), tolerance=TOLERANCE)
    assert (same.outcome, same.hashes_equal, same.causes) == ("equivalent", True, (cause,))
    other = judged("m:1", RECORDED, replace(OTHER, **{"steps": OTHER.steps, **changed}), tolerance=TOLERANCE)
    assert (other.outcome, other.causes[0]) == ("different", cause)


def test_what_no_input_explains_is_tried_once_more() -> None:
    assert unexplained(RECORDED, OTHER)
    assert not unexplained(RECORDED, RECORDED)
    assert not unexplained(RECORDED, replace(OTHER, seed=2))


def test_changed_data_is_told_from_a_step_that_does_not_repeat_itself() -> None:
    other = replace(RECORDED, steps=(replace(STEPS[0], outputs=("others",)), STEPS[1]))
    repeats = judged("m:1", RECORDED, other, tolerance=TOLERANCE, second=other)
    assert (repeats.outcome, repeats.causes[0]) == ("equivalent", "data: raw.rows@0 no longer holds what step 'load' read")
    again = judged("m:1", RECORDED, OTHER, tolerance=TOLERANCE, second=replace(OTHER, steps=STEPS))
    assert again.causes == ("the training does not repeat itself: step 'train' gives another result each time",)


def test_an_altered_installed_file_is_an_input() -> None:
    found = judged("m:1", RECORDED, RECORDED, tolerance=TOLERANCE, altered=["toy 1.0: toy.py is missing"])
    assert (found.outcome, found.causes) == ("equivalent", ("installed file: toy 1.0: toy.py is missing",))


@pytest.mark.parametrize("identity", ["werk-canon/2:lightgbm:aa", "werk-canon/1:sklearn:aa"])
def test_another_kind_of_hash_is_not_comparable(identity: str) -> None:
    assert judged("m:1", RECORDED, replace(RECORDED, identity=identity), tolerance=TOLERANCE).outcome == "not comparable"


def test_another_architecture_is_not_comparable() -> None:
    assert comparable(RECORDED.environment, "x86_64") == ""
    assert comparable(RECORDED.environment, "aarch64") == "machine architecture: 'x86_64' -> 'aarch64'"
    assert comparable(Environment("", {}), "aarch64") == ""
