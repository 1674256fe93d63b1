"""The monitors of a regression and of a model of classes: what they are silent about, and what they find."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.monitoring import Baseline, MonitorVerdict, Policy, baseline, check
from werk.monitoring.words import number, shared

ROWS = 3_000
NAMES = ("9", "10", "größer")


def window(task: str, seed: int, moved: float = 0.0, noise: float = 1.0, poor: str = "") -> dict[str, Any]:
    """`poor` is the group whose answers are ten times as far off."""
    rng = np.random.default_rng(seed)
    x, group = rng.normal(moved, 1, ROWS), rng.choice(["a", "b", "c"], ROWS)
    off = rng.normal(0, noise, ROWS) * np.where(group == poor, 10, 1)
    frame = pl.DataFrame({"x": x, "g": group})
    if task == "regression":
        scores: Any = 50 + 10 * x
        labels = scores + off
    else:
        truth = np.clip(np.floor(x + off / 4) + 1, 0, 2)
        guess = np.clip(np.floor(x) + 1, 0, 2).astype(int)
        scores, labels = np.full((ROWS, 3), 0.1) + 0.7 * np.eye(3)[guess], truth
    return {"features": frame, "scores": scores, "labels": labels, "groups": frame["g"], "importance": {"x": 1.0}}


def based(task: Any) -> Baseline:
    given = window(task, 1)
    words = {"outcome": "price" if task == "regression" else "kind", "things": "rows"}
    more = {"task": task, "classes": NAMES if task == "multiclass" else ()}
    return baseline(**given, columns=["x", "g"], **words, **more)


def found(verdicts: list[MonitorVerdict]) -> dict[str, MonitorVerdict]:
    return {one.monitor: one for one in verdicts}


TASKS = ["regression", "multiclass"]


@pytest.mark.parametrize("task", TASKS)
def test_rows_like_those_before_are_ok_everywhere_and_a_baseline_comes_through_json(task: str) -> None:
    kept = Baseline.from_json(json.loads(json.dumps(based(task).to_json())))
    assert kept == based(task)
    said = found(check(kept, "w", **window(task, 2)))
    assert {name: one.verdict for name, one in said.items()} == dict.fromkeys(said, "ok"), said
    assert not any(Policy().retrains(one) for one in said.values())


@pytest.mark.parametrize("task", TASKS)
def test_answers_further_off_are_found_and_start_a_retraining(task: str) -> None:
    said = found(check(based(task), "w", **window(task, 2, noise=3.0)))["model quality"]
    assert said.verdict == "violation"
    assert Policy().retrains(said)
    assert ("clearly further off" if task == "regression" else "clearly less often") in said.sentence


@pytest.mark.parametrize("task", TASKS)
def test_other_outcomes_and_other_answers_are_found(task: str) -> None:
    said = found(check(based(task), "w", **window(task, 2, moved=1.0)))
    assert (said["model quality"].verdict, said["prediction drift"].verdict) == ("violation", "violation")
    assert "a shift beyond the limit" in said["model quality"].sentence
    assert Policy().retrains(said["model quality"])
    assert not Policy(auc_below=None, label_h=None, error_above=None).retrains(said["model quality"])


@pytest.mark.parametrize("task", TASKS)
def test_a_group_whose_answers_are_worse_than_they_were_is_named(task: str) -> None:
    said = found(check(based(task), "w", **window(task, 2, poor="b")))["bias"]
    assert said.verdict == "violation"
    assert "b (right predictions, AD" in said.sentence


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("known", [0, 50])
def test_without_outcomes_quality_and_bias_cannot_be_told(task: str, known: int) -> None:
    given = window(task, 2)
    given["labels"] = np.where(np.arange(ROWS) < known, given["labels"], np.nan)
    said = found(check(based(task), "w", **given))
    assert (said["model quality"].verdict, said["bias"].verdict) == ("cannot say", "cannot say")
    assert (said["feature drift"].verdict, said["prediction drift"].verdict) == ("ok", "ok")


@pytest.mark.parametrize("task", TASKS)
def test_an_answer_that_is_no_number_is_a_violation(task: str) -> None:
    given = window(task, 2)
    given["scores"][0] = np.nan
    said = found(check(based(task), "w", **given))["prediction drift"]
    assert (said.verdict, said.values["broken"]) == ("violation", 1)


def test_classes_that_the_model_does_not_know_are_told_and_count_as_wrong() -> None:
    given = window("multiclass", 2)
    given["labels"][:100] = -1.0
    said = found(check(based("multiclass"), "w", **given))["model quality"]
    assert said.verdict == "violation"
    assert "3.3 % of the rows were of a class that the model does not know" in said.sentence


def test_an_outcome_that_never_varied_has_no_spread_to_move_by() -> None:
    frame = pl.DataFrame({"x": np.arange(200.0)})
    same: dict[str, Any] = {"features": frame, "scores": np.full(200, 7.0), "labels": np.full(200, 7.0), "groups": None}
    flat = baseline(**same, columns=["x"], importance={"x": 1.0}, task="regression", outcome="price")
    said = found(check(flat, "w", **{**same, "labels": np.full(200, 8.0)}))["model quality"]
    assert said.values["label_d"] is None
    assert "price was 8 on average, 7 at acceptance" in said.sentence


def test_a_binary_baseline_is_written_as_before() -> None:
    frame = pl.DataFrame({"x": np.arange(200.0)})
    scores = np.linspace(0, 1, 200)
    said = baseline(features=frame, columns=["x"], scores=scores, labels=(scores > 0.5), groups=None, importance={}).to_json()
    assert not {"task", "classes", "label_mean", "label_spread", "label_shares"} & set(said)


def test_numbers_and_names_are_read_as_a_person_says_them() -> None:
    assert shared(0.022, "rows", "Machine failure") == "Machine failure was true in 2.2 % of the rows"
    assert number(0.0) == "0"
