"""Windows as they really arrive: broken, empty, late, of another type. None may crash and none may pass in silence."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest

from werk.core.canonical import canonical_json
from werk.core.errors import InputError
from werk.monitoring import MONITORS, Baseline, MonitorVerdict, Thresholds, baseline, check

RNG = np.random.default_rng(11)
ROWS = 3_000
COLUMNS = ("x", "c", "flag", "n", "constant", "void")
WEIGHTS = dict(zip(COLUMNS, (5.0, 2.0, 1.0, 1.0, 0.5, 0.5), strict=True))


def rows(n: int = ROWS) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    x = RNG.normal(0, 1, n)
    frame = pl.DataFrame(
        {
            "x": x,
            "c": RNG.choice(["AA", "UA", "DL"], n),
            "flag": RNG.random(n) < 0.3,
            "n": RNG.integers(0, 5, n),
            "constant": np.full(n, 7.0),
            "void": pl.Series([None] * n, dtype=pl.Float64),
        }
    )
    scores = 1 / (1 + np.exp(1.5 - x))
    return frame, scores, (RNG.random(n) < scores).astype(float)


def made(**more: object) -> Baseline:
    frame, scores, labels = rows()
    return baseline(features=frame, columns=COLUMNS, scores=scores, labels=labels, groups=frame["c"], importance=WEIGHTS, **more)  # type: ignore[arg-type]


BASE = made(per_window=ROWS, outcome="late", things="flights")


def said(frame: pl.DataFrame, scores: np.ndarray | None = None, **more: object) -> dict[str, MonitorVerdict]:
    given = RNG.choice(rows()[1], frame.height) if scores is None else scores
    verdicts = check(BASE, "July", features=frame, scores=given, **more)  # type: ignore[arg-type]
    assert [verdict.monitor for verdict in verdicts] == list(MONITORS[:-1])
    for verdict in verdicts:
        canonical_json(dict(verdict.values))
        assert verdict.sentence.startswith("July: ")
    return {verdict.monitor: verdict for verdict in verdicts}


Change = Callable[[pl.DataFrame], pl.DataFrame]
HALF = pl.int_range(pl.len()) % 2 == 0


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (lambda f: f.drop("x"), "the column x is missing"),
        (lambda f: f.with_columns(pl.col("x").cast(pl.String)), "x holds String where training had Float64"),
        (lambda f: f.with_columns(pl.lit(None).alias("x")), "x is missing in every row"),
        (lambda f: f.with_columns(pl.when(HALF).then("x").alias("x")), "x is missing in 50.0 %"),
        (lambda f: f.with_columns(pl.col("x") * 1.8 + 32), "of x lie outside"),
        (
            lambda f: f.with_columns(pl.when(HALF).then(float("inf")).otherwise("x").alias("x")),
            "x is not a finite number in 50.0 %",
        ),
        (
            lambda f: f.with_columns(pl.when(HALF).then(float("nan")).otherwise("x").alias("x")),
            "x is not a finite number in 50.0 %",
        ),
        (
            lambda f: f.with_columns(pl.when(HALF).then(pl.lit("ZZ")).otherwise("c").alias("c")),
            "50.0 % of c are values that training never",
        ),
        (lambda f: f.with_columns(constant=8.0), "100.0 % of constant lie outside"),
        (lambda f: f.with_columns(flag=pl.lit([1, 2])), "flag holds List"),
        (lambda f: f.head(1000), "1,000 flights arrived where about 3,000 are usual"),
        (lambda f: pl.concat([f, f, f]), "9,000 flights arrived where about 3,000 are usual"),
        (lambda f: f.head(0), "no flights arrived"),
    ],
)
def test_broken_data_is_a_violation_that_names_the_column(change: Change, names: str) -> None:
    verdict = said(change(rows()[0]))["data quality"]
    assert verdict.verdict == "violation"
    assert names in verdict.sentence


def test_whole_windows_are_ok_and_a_new_column_is_only_mentioned() -> None:
    verdict = said(rows()[0].with_columns(extra=1))["data quality"]
    assert verdict.verdict == "ok"
    assert "new columns the model does not use: extra" in verdict.sentence


@pytest.mark.parametrize("height", [0, 1, 40])
def test_too_few_rows_are_never_ok(height: int) -> None:
    frame, scores, labels = rows(height)
    answers = said(frame, scores, labels=labels, groups=frame["c"], importance=WEIGHTS)
    assert {answers[name].verdict for name in MONITORS[1:5]} == {"cannot say"}
    assert answers["data quality"].verdict == "violation"


def test_a_column_without_values_in_training_cannot_be_judged() -> None:
    verdict = said(rows()[0])["feature drift"]
    assert (verdict.verdict, verdict.values["unjudged"]) == ("ok", ["void"])
    assert "void cannot be compared" in verdict.sentence


def test_when_the_important_feature_cannot_be_judged_nobody_says_ok() -> None:
    assert said(rows()[0].drop("x"))["feature drift"].verdict == "cannot say"


def test_a_constant_that_changes_has_moved() -> None:
    assert said(rows()[0].with_columns(constant=8.0))["feature drift"].values["moved"] == ["constant"]


@pytest.mark.parametrize("broken", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers_are_a_violation(broken: float) -> None:
    frame, scores, labels = rows()
    scores[7] = broken
    answers = said(frame, scores, labels=labels)
    assert answers["prediction drift"].verdict == "violation"
    assert "1 predictions are not numbers" in answers["prediction drift"].sentence
    assert answers["model quality"].verdict == "ok"


@pytest.mark.parametrize(
    "labels",
    [
        None,
        np.full(ROWS, np.nan),
        np.array([None] * ROWS, dtype=object),
        np.where(np.arange(ROWS) < ROWS * 0.4, 1.0, np.nan),
        np.full(ROWS, 2.0),
        np.array(["late"] * ROWS),
    ],
)
def test_model_quality_waits_for_the_outcomes(labels: np.ndarray | None) -> None:
    assert said(rows()[0], labels=labels)["model quality"].verdict == "cannot say"


def test_outcomes_of_one_kind_only_cannot_be_ranked() -> None:
    frame, scores, _ = rows()
    verdict = said(frame, scores, labels=np.zeros(ROWS))["model quality"]
    assert verdict.verdict == "violation"
    assert "a ranking needs outcomes of both kinds" in verdict.sentence


def test_reversed_scores_are_clearly_worse() -> None:
    frame, scores, labels = rows()
    verdict = said(frame, 1 - scores, labels=labels)["model quality"]
    assert verdict.verdict == "violation"
    assert "clearly worse" in verdict.sentence


def test_a_group_that_is_newly_missed_is_found_by_name() -> None:
    frame, scores, labels = rows(12_000)
    scores[(frame["c"] == "UA").to_numpy()] *= 0.2
    verdict = said(frame, scores, labels=labels, groups=frame["c"])["bias"]
    assert verdict.verdict == "violation"
    assert "UA" in verdict.sentence


def test_rows_that_do_not_fit_together_are_refused_in_words() -> None:
    frame, scores, _ = rows()
    with pytest.raises(InputError, match="There are 2999 scores for 3000 rows"):
        said(frame, scores[1:])
    with pytest.raises(InputError, match="no column 'nope'"):
        baseline(features=frame, columns=["nope"], scores=scores, labels=None, groups=None, importance={})


@pytest.mark.parametrize("height", [0, 1])
def test_a_baseline_of_next_to_nothing_is_written_and_judges_nothing(height: int) -> None:
    frame, scores, labels = rows(height)
    small = baseline(features=frame, columns=COLUMNS, scores=scores, labels=labels, groups=frame["c"], importance={})
    assert Baseline.from_json(small.to_json()) == small
    frame, scores, labels = rows()
    answers = check(small, "July", features=frame, scores=scores, labels=labels, groups=frame["c"], importance=WEIGHTS)
    assert "ok" not in {v.verdict for v in answers if v.monitor not in ("data quality", "model quality")}


def test_the_same_rows_give_the_same_digest_and_others_another() -> None:
    frame, scores, labels = rows()
    first, again = (said(frame, scores, labels=labels)["bias"].values["input"] for _ in range(2))
    late = said(frame, scores, labels=1 - labels)["bias"].values["input"]
    assert first == again != late


def test_thresholds_are_the_callers() -> None:
    frame, scores, _ = rows()
    limits = Thresholds(psi=50.0)
    verdicts = check(BASE, "July", features=frame.with_columns(pl.col("x") + 1), scores=scores, thresholds=limits)
    assert verdicts[1].verdict == "ok"
