"""A report says the same for the same rows in any order, and null where rows cannot tell."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy.stats import mannwhitneyu

from werk import models
from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.core.canonical import canonical_json
from werk.core.errors import InputError
from werk.models.compiled import Model
from werk.models.metrics import auc, auc_difference

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat()}, project=SimpleNamespace(name="delay"))

GOLDEN = """
[[point]]
name = "far right"
expected = 1.0
tolerance = 0.1
[point.inputs]
a = 2.5
c = "x"
"""

MISSING = GOLDEN.replace('c = "x"', "").replace("[point.inputs]", 'missing = ["c"]\n[point.inputs]')

BEHAVIOUR = """
[[test]]
name = "more-a"
kind = "direction"
column = "a"
change = 0.5
expect = "not fall"
[[test]]
name = "less-a"
kind = "direction"
column = "a"
change = 0.5
expect = "not rise"
[[test]]
name = "place"
kind = "invariance"
column = "c"
values = ["x", "y"]
tolerance = 1.0
[[test]]
name = "good-at-x"
kind = "minimum"
column = "c"
value = "x"
metric = "auc"
min = 0.9
"""


def rows(n: int = 1500, seed: int = 0) -> pl.DataFrame:
    rng = np.random.default_rng(seed)
    frame = pl.DataFrame({"id": range(n), "a": rng.normal(size=n), "c": [["x", "y", None][at] for at in rng.integers(0, 3, n)]})
    return frame.with_columns(y=(pl.col("a") + pl.Series(rng.normal(size=n)) * 0.2 > 0).cast(pl.Int8))


def fit(frame: pl.DataFrame, rounds: int = 20, **params: object) -> Model:
    return models.fit_lightgbm(frame, target="y", key=["id"], features=["a", "c"], categories=["c"], rounds=rounds, params=params)


def said(report: models.Report) -> str:
    """All of a report but the one thing that is measured with a clock."""
    return canonical_json({name: value for name, value in report.to_json().items() if name != "latency"})


def against(champion: models.Champion, holdout: pl.DataFrame) -> dict[str, Any]:
    found = models.evaluate(P, fit(rows()), holdout, champion=champion).champion
    assert found is not None
    return dict(found)


def declared(folder: Path, text: str) -> Path:
    path = folder / "declared.toml"
    path.write_text(text)
    return path


def test_shuffled_rows_give_the_same_report(tmp_path: Path) -> None:
    model, champion, holdout = (
        fit(rows()),
        models.Champion("delay:1", fit(rows(), rounds=1), rows().select("id")[:0]),
        rows(seed=1),
    )
    golden = declared(tmp_path, GOLDEN)
    mixed = holdout.sample(fraction=1, shuffle=True, seed=3)
    first, second = (
        models.evaluate(P, model, frame, golden=golden, slices=["c"], champion=champion) for frame in (holdout, mixed)
    )
    assert said(first) == said(second)
    assert set(first.latency) == set(second.latency)
    assert models.Report.from_json(first.to_json()).to_json() == first.to_json()
    assert [entry["name"] for entry in first.slices] == ["c=x", "c=y", "c=null"]
    assert sum(int(str(entry["n"])) for entry in first.slices) == first.n
    assert first.champion is not None
    assert sum(first.importance.values()) == pytest.approx(1)


def test_auc_is_the_share_of_pairs_in_order() -> None:
    rng = np.random.default_rng(4)
    scores, labels = rng.normal(size=400).round(1), rng.integers(0, 2, 400).astype(float)
    wins = mannwhitneyu(scores[labels == 1], scores[labels == 0]).statistic
    assert auc(scores, labels).value == pytest.approx(wins / ((labels == 1).sum() * (labels == 0).sum()), abs=1e-12)


def test_the_interval_of_auc_holds_what_resampling_gives() -> None:
    rng = np.random.default_rng(5)
    labels = rng.integers(0, 2, 600).astype(float)
    scores = labels + rng.normal(size=600)
    found = auc(scores, labels)
    again = [auc(scores[at], labels[at]).value for at in rng.integers(0, 600, (400, 600))]
    assert found.low is not None
    np.testing.assert_allclose([found.low, found.high], np.quantile(np.array(again, float), [0.025, 0.975]), atol=0.01)


def test_a_model_does_not_differ_from_itself() -> None:
    labels = np.array([0.0, 1, 0, 1, 1])
    scores = np.array([0.1, 0.9, 0.5, 0.4, 0.7])
    same = auc_difference(scores, scores, labels)
    assert (same.value, same.low, same.high) == (0.0, 0.0, 0.0)
    other = models.compare(P, fit(rows()), fit(rows(), rounds=1, num_leaves=2), rows(seed=1))
    assert float(str(other["low"])) > 0


def test_one_class_cannot_be_ranked_and_does_not_crash() -> None:
    report = models.evaluate(P, fit(rows()), rows(seed=1).filter(pl.col("y") == 1), slices=["c"])
    assert report.metrics["auc"] == {"value": None, "low": None, "high": None}
    assert all("auc" not in entry["metrics"] for entry in report.slices)  # type: ignore[operator]


def test_an_outcome_that_is_unknown_is_refused() -> None:
    frame = rows(seed=1).with_columns(y=pl.when(pl.col("id") > 3).then(pl.col("y")))
    with pytest.raises(InputError, match="4 rows"):
        models.evaluate(P, fit(rows()), frame)


def test_golden_points_and_behaviour_say_what_they_saw(tmp_path: Path) -> None:
    model, holdout = fit(rows()), rows(seed=1)
    point = models.evaluate(P, model, holdout, golden=declared(tmp_path, GOLDEN)).golden[0]
    assert (point["name"], point["passed"]) == ("far right", True)
    without = models.evaluate(P, model, holdout, golden=declared(tmp_path, MISSING)).golden[0]
    asked = pl.DataFrame({"id": [0], "a": [2.5], "c": [None]}, schema_overrides={"c": pl.String})
    assert without["value"] == models.predict(P, model, asked)[0]
    tests = models.evaluate(P, model, holdout, behaviour=declared(tmp_path, BEHAVIOUR)).behaviour
    assert [(test["name"], test["passed"]) for test in tests] == [
        ("more-a", True),
        ("less-a", False),
        ("place", True),
        ("good-at-x", True),
    ]
    assert "of 1,500 rows" in str(tests[0]["sentence"])


@pytest.mark.parametrize(
    ("kind", "text", "said"),
    [
        ("golden", GOLDEN.replace("a = 2.5", "aa = 2.5"), "Did you mean 'a'"),
        ("golden", GOLDEN.replace("tolerance", "tolerence"), "Did you mean 'tolerance'"),
        ("golden", GOLDEN + GOLDEN, "twice"),
        ("golden", GOLDEN.replace('c = "x"', ""), "'far right' says nothing of the model's features c"),
        ("golden", MISSING.replace("a = 2.5", ""), "no \\[point.inputs"),
        ("golden", MISSING.replace('["c"]', '["c", "a"]'), "gives 'a' a value and says that it is missing"),
        ("golden", MISSING.replace('["c"]', '["d"]'), "There is no feature 'd'"),
        ("golden", MISSING.replace('["c"]', '"c"'), "list of features"),
        ("golden", GOLDEN.replace("0.1", "nan"), "finite number 'tolerance'"),
        ("golden", GOLDEN.replace('c = "x"', "c = 1.5"), "needs text"),
        ("golden", "", "no \\[\\[point"),
        ("golden", "[[", "not TOML"),
        ("behaviour", BEHAVIOUR.replace("not fall", "not fail"), "Did you mean 'not fall'"),
        ("behaviour", BEHAVIOUR.replace('"minimum"', '"minimun"'), "Did you mean 'minimum'"),
        ("behaviour", BEHAVIOUR.replace('metric = "auc"', 'metric = "auk"'), "Did you mean 'auc'"),
        ("behaviour", BEHAVIOUR.replace('column = "a"', 'column = "c"'), "Nothing can be added"),
        ("behaviour", BEHAVIOUR.replace("change = 0.5", "change = 0"), "other than 0"),
    ],
)
def test_a_wrong_declaration_is_named(tmp_path: Path, kind: str, text: str, said: str) -> None:
    path = declared(tmp_path, text)
    asked: dict[str, Any] = {kind: path}
    with pytest.raises(InputError, match=said):
        models.evaluate(P, fit(rows(200), rounds=2), rows(200, seed=1), **asked)


def test_regression_and_classes_have_their_own_metrics() -> None:
    frame = rows().with_columns(y=pl.col("a") * 2)
    report = models.evaluate(P, fit(frame, objective="regression"), frame)
    assert set(report.metrics) == {"mae", "rmse", "r2", "mape", "baseline_mae", "baseline_rmse"}
    assert report.base_rate is None
    many = rows().with_columns(y=(pl.col("a") > -0.5).cast(pl.Int8) + (pl.col("a") > 0.5).cast(pl.Int8))
    report = models.evaluate(P, fit(many, objective="multiclass", num_class=3), many)
    assert set(report.metrics) == {"log_loss", "accuracy", "macro_f1", "auc", "ece", "baseline_accuracy"}
    assert float(str(report.metrics["accuracy"]["value"])) > 0.9


def test_rows_the_champion_was_trained_on_are_left_out_and_counted() -> None:
    holdout, model = rows(seed=1), fit(rows(), rounds=1)
    keys = holdout.filter(pl.col("id") % 3 == 0).select("id").sample(fraction=1, shuffle=True, seed=1)
    some = against(models.Champion("delay:1", model, keys), holdout)
    fair = against(models.Champion("delay:1", model, keys[:0]), holdout.filter(pl.col("id") % 3 > 0))
    assert (some["version"], some["n"], some["seen"], some["why"]) == ("delay:1", 1000, 500, None)
    assert (some["metrics"], some["differences"]) == (fair["metrics"], fair["differences"])


def test_a_champion_that_knows_every_row_cannot_be_compared_with() -> None:
    holdout = rows(seed=1)
    all_of_them = against(models.Champion("delay:1", fit(rows(), rounds=1), holdout.select("id")), holdout)
    assert (all_of_them["n"], all_of_them["seen"], all_of_them["differences"]) == (0, 1500, {})
    assert "delay:1 was trained on all 1,500 rows" in all_of_them["why"]


def test_a_champion_whose_rows_are_not_known_is_compared_and_that_is_said() -> None:
    unknown = against(models.Champion("delay:1", fit(rows(), rounds=1), None), rows(seed=1))
    assert (unknown["n"], unknown["seen"], unknown["why"]) == (1500, None, None)


def test_a_champion_that_asks_for_other_columns_does_not_stop_the_evaluation() -> None:
    wide = rows().with_columns(gone=pl.col("a") * 2)
    other = models.fit_lightgbm(wide, target="y", key=["id"], features=["gone"], rounds=2)
    told = against(models.Champion("delay:1", other, None), rows(seed=1))
    assert told["differences"] == {}
    assert "gone" in told["why"]
    retargeted = models.fit_lightgbm(
        wide, target="gone", key=["id"], features=["a"], rounds=2, params={"objective": "regression"}
    )
    assert "another question" in against(models.Champion("delay:1", retargeted, None), rows(seed=1))["why"]


def test_a_model_of_many_trees_answers_more_slowly_and_its_size_is_told() -> None:
    quick, slow = (models.evaluate(P, fit(rows(), rounds=rounds), rows(n=200, seed=1)).latency for rounds in (5, 3000))
    assert (quick["rows"], quick["rounds"], slow["rounds"]) == (200, 5, 3000)
    assert float(str(slow["p50_ms"])) > float(str(quick["p50_ms"])) > 0
    assert float(str(slow["p95_ms"])) >= float(str(slow["p50_ms"]))
    assert int(str(slow["size_bytes"])) > 100 * int(str(quick["size_bytes"])) / 5
