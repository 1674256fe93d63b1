"""Regression and classes: metrics against scikit-learn, outcomes that no model can learn, and what a gate asks of either."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as theirs

from werk import models, registry
from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.adapters.model_format.sklearn import SklearnFormat
from werk.core.errors import InputError
from werk.models.compiled import model_json, restored
from werk.models.metrics import differences, metrics
from werk.models.task import in_order, numbered

P: Any = SimpleNamespace(
    model_format={"lightgbm": LightGBMFormat(), "sklearn": SklearnFormat()}, project=SimpleNamespace(name="kinds")
)
N = 400
NAMES = {
    "numbers": [9, 10, -1],
    "text": ["b", "a", "c"],
    "numerals": ["10", "9", "2"],
    "unicode": ["größer", "猫", "a b | c"],
    "booleans": [True, False, True],
    "whole": [1.0, 2.0, 3.0],
}


def frame(outcome: Any, seed: int = 0) -> pl.DataFrame:
    """`outcome` makes the target of `a`, which tells it; `b` does not."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=N), rng.normal(size=N)
    return pl.DataFrame({"id": range(N), "a": a, "b": b, "y": outcome(a)})


def thirds(names: list[Any]) -> Any:
    return lambda a: [names[int(value > -0.4) + int(value > 0.4)] for value in a]


def fit(rows: pl.DataFrame, task: Any, **more: Any) -> models.Model:
    given = {"rounds": 10, "params": {"min_data_in_leaf": 5}, **more}
    return models.fit_lightgbm(rows, target="y", key=["id"], features=["a", "b"], task=task, **given)


def noisy(kinds: int = 3) -> tuple[Any, Any, Any]:
    """Labels and two models' answers to them."""
    rng = np.random.default_rng(5)
    labels = rng.integers(0, kinds, N).astype(float)
    ours, other = (rng.dirichlet(np.ones(kinds), N) + np.eye(kinds)[labels.astype(int)] * pull for pull in (0.5, 0.2))
    return labels, ours / ours.sum(axis=1, keepdims=True), other / other.sum(axis=1, keepdims=True)


def test_the_metrics_of_a_regression_are_those_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    y = rng.normal(50, 10, N)
    said = y + rng.normal(1, 4, N)
    found = metrics("regression", said, y)
    wanted = {
        "mae": theirs.mean_absolute_error(y, said),
        "rmse": theirs.root_mean_squared_error(y, said),
        "r2": theirs.r2_score(y, said),
        "mape": theirs.mean_absolute_percentage_error(y, said),
        "baseline_mae": theirs.mean_absolute_error(y, np.full(N, np.median(y))),
        "baseline_rmse": theirs.root_mean_squared_error(y, np.full(N, y.mean())),
    }
    assert {name: one.value for name, one in found.items()} == pytest.approx(wanted)
    for name in ("mae", "rmse", "r2", "mape"):
        assert found[name].low < found[name].value < found[name].high  # type: ignore[operator]  # all are told here


def test_the_metrics_of_classes_are_those_of_scikit_learn() -> None:
    labels, ours, _ = noisy()
    found = metrics("multiclass", ours, labels)
    said = ours.argmax(axis=1)
    wanted = {
        "accuracy": theirs.accuracy_score(labels, said),
        "log_loss": theirs.log_loss(labels, ours),
        "macro_f1": theirs.f1_score(labels, said, average="macro"),
        "auc": theirs.roc_auc_score(labels, ours, multi_class="ovr", average="macro"),
    }
    assert {name: found[name].value for name in wanted} == pytest.approx(wanted)
    assert found["baseline_accuracy"].value == pytest.approx(np.bincount(labels.astype(int)).max() / N)


@pytest.mark.parametrize("metric", ["accuracy", "log_loss", "macro_f1", "auc"])
def test_an_interval_is_as_wide_as_that_of_many_samples(metric: str) -> None:
    labels, ours, other = noisy()
    told, gap = metrics("multiclass", ours, labels)[metric], differences("multiclass", ours, other, labels)[metric]
    rng = np.random.default_rng(2)
    drawn = [rng.integers(0, N, N) for _ in range(300)]
    again = [metrics("multiclass", ours[rows], labels[rows])[metric].value for rows in drawn]
    gaps = [differences("multiclass", ours[rows], other[rows], labels[rows])[metric].value for rows in drawn]
    for one, spread in ((told, np.std(again)), (gap, np.std(gaps))):  # type: ignore[arg-type]  # all are told here
        assert (one.high - one.low) / 2 / 1.96 == pytest.approx(float(spread), rel=0.2)  # type: ignore[operator]


def test_what_the_rows_cannot_tell_is_null_and_no_zero() -> None:
    flat = metrics("regression", np.array([1.0, 2.0]), np.array([3.0, 3.0]))
    assert (flat["r2"].value, flat["mae"].value) == (None, 1.5)
    assert metrics("regression", np.array([1.0, 2.0]), np.array([0.0, 3.0]))["mape"].value is None
    one = metrics("multiclass", np.eye(3)[[0, 0]], np.array([0.0, 0.0]))
    assert (one["auc"].value, one["accuracy"].value, one["macro_f1"].value) == (None, 1.0, 1.0)
    for task, nothing in (("regression", np.empty(0)), ("multiclass", np.empty((0, 3)))):
        assert {one.value for one in metrics(task, nothing, np.empty(0)).values()} == {None}


@pytest.mark.parametrize("names", NAMES.values(), ids=NAMES)
def test_classes_keep_their_names_through_a_stored_model(names: list[Any]) -> None:
    rows = frame(thirds(names))
    model = fit(rows, "multiclass")
    assert model.kind == "multiclass"
    assert len(model.classes) == len({str(name) for name in names})
    again = restored(model_json(model), model.estimator)
    assert again == model
    report = models.evaluate(P, again, rows)
    assert float(str(report.metrics["accuracy"]["value"])) > 0.9
    told = [entry for entry in report.slices if str(entry["name"]).endswith("(class)")]
    assert [entry["value"] for entry in told] == list(model.classes)
    assert all(entry["n"] for entry in told)


def test_whole_numbers_are_sorted_by_size_and_spelled_once() -> None:
    assert in_order(["10", "9", "-1"]) == ("-1", "9", "10")
    assert numbered(pl.Series([9.0, None, float("nan"), 11.0]), "multiclass", ("9", "10")).tolist()[::3] == [0.0, -1.0]


def test_other_classes_make_another_model_and_a_binary_one_says_nothing_of_classes() -> None:
    a, b = (fit(frame(thirds(names)), "multiclass") for names in (["a", "b", "c"], ["a", "b", "d"]))
    assert models.canonical_hash(P.model_format["lightgbm"], a) != models.canonical_hash(P.model_format["lightgbm"], b)
    binary = fit(frame(lambda a: (a > 0).astype(int)), "binary")
    assert (binary.kind, binary.classes) == ("binary", ())
    assert b"classes" not in model_json(binary)


REFUSED = {
    "one class": (lambda a: ["x"] * N, "multiclass", "is 'x' in every row"),
    "too many classes": (lambda a: [f"n{at}" for at in range(N)], "multiclass", "has 400 classes"),
    "fractions as classes": (lambda a: a, "multiclass", "fractions"),
    "infinite class": (lambda a: [1.0, np.inf] * (N // 2), "multiclass", "fractions"),
    "missing class": (lambda a: [1.0, np.nan] * (N // 2), "multiclass", "200 rows that are not a number"),
    "NaN": (lambda a: [1.5, np.nan] * (N // 2), "regression", "200 rows that are no finite number"),
    "infinity": (lambda a: [1.5, np.inf] * (N // 2), "regression", "no finite number, such as inf"),
    "text as a number": (lambda a: ["x", "y"] * (N // 2), "regression", "is no number"),
    "null": (lambda a: [1.5, None] * (N // 2), "regression", "have no 'y'"),
}


@pytest.mark.parametrize(("outcome", "task", "said"), REFUSED.values(), ids=REFUSED)
def test_an_outcome_that_cannot_be_learnt_is_refused_by_both_libraries(outcome: Any, task: str, said: str) -> None:
    rows = frame(outcome)
    linear: Any = models.fit_linear if task == "regression" else models.fit_logistic
    more = {} if task == "regression" else {"task": task}
    with pytest.raises(InputError, match=said):
        fit(rows, task)
    with pytest.raises(InputError, match=said):
        linear(rows, target="y", key=["id"], features=["a", "b"], **more)


def test_a_class_that_was_in_no_row_of_the_training_is_named() -> None:
    model = fit(frame(thirds(["a", "b", "c"])), "multiclass")
    with pytest.raises(InputError, match="rows that are no multiclass outcome, such as d"):
        models.evaluate(P, model, frame(thirds(["a", "b", "d"])))


def test_a_constant_number_is_learnt_and_explains_nothing() -> None:
    rows = frame(lambda a: np.full(N, 7.0))
    report = models.evaluate(P, fit(rows, "regression"), rows)
    assert report.metrics["r2"]["value"] is None
    assert report.metrics["rmse"]["value"] == pytest.approx(0, abs=1e-6)


def test_an_objective_of_another_task_is_refused() -> None:
    rows = frame(lambda a: a)
    assert fit(rows, "regression", params={"objective": "huber"}).kind == "regression"
    with pytest.raises(InputError, match="objective"):
        fit(rows, "regression", params={"objective": "multiclass"})
    with pytest.raises(InputError, match="num_class"):
        fit(frame(thirds(["a", "b", "c"])), "multiclass", params={"num_class": 5})
    with pytest.raises(InputError, match="no task 'classification'"):
        fit(rows, "classification")


def test_the_linear_models_answer_every_task_alike() -> None:
    many, number = frame(thirds(["a", "b", "c"])), frame(lambda a: 3 * a)
    two = frame(lambda a: ["up" if value > 0 else "down" for value in a])
    for rows in (many, two):
        model = models.fit_logistic(rows, target="y", key=["id"], features=["a", "b"], task="multiclass")
        said = models.predict(P, model, rows)
        assert said.shape == (N, len(model.classes))
        assert said.sum(axis=1) == pytest.approx(np.ones(N))
        assert float(str(models.evaluate(P, model, rows).metrics["accuracy"]["value"])) > 0.9
    line = models.fit_linear(number, target="y", key=["id"], features=["a", "b"])
    assert float(str(models.evaluate(P, line, number).metrics["r2"]["value"])) > 0.99


def test_attributions_are_told_for_every_class_and_add_up() -> None:
    rows = frame(thirds(["a", "b", "c"]))
    model = fit(rows, "multiclass")
    added = models.explain(P, model, rows)
    assert added.shape == (N, 3, 3)
    margins = np.exp(added.sum(axis=2))
    assert margins / margins.sum(axis=1, keepdims=True) == pytest.approx(models.predict(P, model, rows))
    assert models.evaluate(P, model, rows).importance["a"] > 0.8


GATES = {
    "error small enough": ("regression", {"metrics": {"rmse": {"max": 5.0}}}, True),
    "error too large": ("regression", {"metrics": {"rmse": {"max": 0.0001}}}, False),
    "explains enough": ("regression", {"metrics": {"r2": {"min": 0.5, "on": "low"}}}, True),
    "class told apart": ("multiclass", {"slices": {"recall": {"min": 0.5}}, "metrics": {"macro_f1": {"min": 0.5}}}, True),
    "not a measure of it": ("regression", {"metrics": {"auc": {"min": 0.7}}}, False),
}


@pytest.mark.parametrize(("task", "rules", "passed"), GATES.values(), ids=GATES)
def test_a_gate_judges_the_measures_of_the_task(task: str, rules: Any, passed: bool) -> None:
    rows = frame((lambda a: 3 * a) if task == "regression" else thirds(["a", "b", "c"]))
    report = models.evaluate(P, fit(rows, task, rounds=50), rows).to_json()
    decision = registry.decide(registry.Gate.of(rules), report)
    assert decision.passed is passed, decision.rules
    if "auc" in rules.get("metrics", {}):
        assert "'auc' is no measure of a regression model; it has baseline_mae, baseline_rmse, mae," in decision.rules[0].sentence


@pytest.mark.parametrize("metric", ["rmse", "mae", "r2"])
def test_a_worse_challenger_does_not_pass_whichever_way_its_measure_points(metric: str) -> None:
    rows, other = frame(lambda a: 3 * a), frame(lambda a: 3 * a, seed=1)
    good, poor = fit(rows, "regression", rounds=60), fit(rows, "regression", rounds=3)
    gate = registry.Gate.of({"champion": {"metric": metric, "tolerance": 0.01}})
    for model, against, passed in ((good, poor, True), (poor, good, False)):
        report = models.evaluate(P, model, other, champion=models.Champion("kinds:1", against, None)).to_json()
        assert registry.decide(gate, report).passed is passed


def test_a_champion_of_other_classes_cannot_be_compared_with() -> None:
    rows = frame(thirds(["a", "b", "c"]))
    before = models.Champion("kinds:1", fit(frame(thirds(["a", "b", "d"])), "multiclass"), None)
    found = models.evaluate(P, fit(rows, "multiclass"), rows, champion=before).champion
    assert found is not None
    assert found["why"] == "kinds:1 knows other classes (a, b, d)."


HARMLESS = [{"rmse": {"min": 0.0}}, {"mae": {"min": -1}}, {"macro_f1": {"max": 1.5}}, {"r2": {"max": 1.0}}]


@pytest.mark.parametrize("metrics", HARMLESS, ids=["rmse", "mae", "macro_f1", "r2"])
def test_a_bound_that_nothing_can_miss_is_refused(metrics: Any) -> None:
    with pytest.raises(InputError, match="let every model pass"):
        registry.Gate.of({"metrics": metrics})


POINT = """[[point]]
name = "left"
expected = 1.0
tolerance = 0.2
{}
[point.inputs]
a = -2.0
b = 0.0
"""
TESTS = """[[test]]
name = "more-a"
kind = "direction"
column = "a"
change = 1.0
expect = "not fall"
share = 0.7
class = "c"
[[test]]
name = "b-does-not-matter"
kind = "invariance"
column = "b"
values = [-1.0, 1.0]
tolerance = 0.9
class = "c"
[[test]]
name = "loss"
kind = "minimum"
metric = "log_loss"
max = 0.5
"""


def test_golden_points_and_behaviour_tests_speak_of_a_class(tmp_path: Path) -> None:
    rows, golden, behaviour = frame(thirds(["a", "b", "c"])), tmp_path / "golden.toml", tmp_path / "behaviour.toml"
    model = fit(rows, "multiclass", rounds=60)
    golden.write_text(POINT.format('class = "a"'))
    behaviour.write_text(TESTS)
    report = models.evaluate(P, model, rows, golden=golden, behaviour=behaviour)
    assert [entry["passed"] for entry in (*report.golden, *report.behaviour)] == [True] * 4, report.behaviour
    golden.write_text(POINT.format('class = "z"'))
    with pytest.raises(InputError, match="no class 'z'"):
        models.evaluate(P, model, rows, golden=golden)
    golden.write_text(POINT.format(""))
    with pytest.raises(InputError, match="does not say which class"):
        models.evaluate(P, model, rows, golden=golden)


@pytest.mark.parametrize("offset", [1e15, -3e12])
def test_an_amount_that_float32_cannot_tell_apart_is_refused_and_not_learnt_wrongly(offset: float) -> None:
    x = np.sin(np.arange(400))
    rows = pl.DataFrame({"id": range(400), "x": x, "cost": offset + 1e4 * x})
    with pytest.raises(InputError, match="differs only beyond the seventh digit") as refused:
        models.fit_lightgbm(rows, target="cost", key=["id"], features=["x"], task="regression")
    assert refused.value.code == "target-precision"
    near = rows.with_columns(pl.col("cost") - offset)
    assert models.fit_lightgbm(near, target="cost", key=["id"], features=["x"], task="regression").task == "regression"


def test_a_constant_and_small_amounts_are_taken() -> None:
    for cost in (0.1, 1e-9):
        rows = pl.DataFrame({"id": range(400), "x": range(400), "cost": [cost * (1 + at % 2) for at in range(400)]})
        models.fit_lightgbm(rows, target="cost", key=["id"], features=["x"], task="regression")
        models.fit_lightgbm(rows.with_columns(cost=pl.lit(cost)), target="cost", key=["id"], features=["x"], task="regression")
