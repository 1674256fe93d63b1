import numpy as np
import polars as pl
import pytest

from werk.monitoring import Baseline, MonitorVerdict, baseline, check
from werk.monitoring.explanation import check_explanation, ndcg

RNG = np.random.default_rng()
ROWS = 4_000
IMPORTANCE = {"x": 3.0, "c": 1.0, "junk": 0.01}


@pytest.fixture(autouse=True)
def the_same_rows_in_any_order_of_tests() -> None:
    """One window in a hundred is to alarm by chance alone: which one must not depend on the tests before."""
    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state


def rows(n: int = ROWS, moved: float = 0.0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray]:
    x = RNG.normal(moved, 1, n)
    frame = pl.DataFrame({"x": x, "c": RNG.choice(["AA", "UA", "DL"], n), "junk": RNG.normal(0, 1, n)})
    scores = 1 / (1 + np.exp(-(x - 1.5)))
    return frame, scores, (RNG.random(n) < scores).astype(float)


def based(frame: pl.DataFrame | None = None) -> Baseline:
    made, scores, labels = rows()
    frame = made if frame is None else frame
    return baseline(
        features=frame, columns=list(IMPORTANCE), scores=scores, labels=labels, groups=frame["c"], importance=IMPORTANCE
    )


def by_name(verdicts: list[MonitorVerdict]) -> dict[str, MonitorVerdict]:
    return {verdict.monitor: verdict for verdict in verdicts}


def test_the_same_kind_of_rows_is_ok_everywhere() -> None:
    frame, scores, labels = rows()
    said = check(based(), "July", features=frame, scores=scores, labels=labels, groups=frame["c"], importance=IMPORTANCE)
    assert [(v.monitor, v.verdict) for v in said] == [
        (name, "ok")
        for name in ("data quality", "feature drift", "prediction drift", "model quality", "bias", "explanation drift")
    ]


def test_a_useless_feature_that_moves_is_no_incident_and_a_useful_one_is() -> None:
    frame, scores, _ = rows()
    useless = by_name(check(based(), "July", features=frame.with_columns(pl.col("junk") + 3), scores=scores))["feature drift"]
    useful = by_name(check(based(), "July", features=frame.with_columns(pl.col("x") + 1), scores=scores))["feature drift"]
    assert (useless.verdict, useless.values["moved"]) == ("ok", ["junk"])
    assert (useful.verdict, useful.values["moved"]) == ("violation", ["x"])


def test_drift_names_what_moved_furthest_and_how_far_however_little_the_model_leans_on_it() -> None:
    frame, scores, _ = rows()
    slight, wild = frame.with_columns(pl.col("x") + 0.8), frame.with_columns(pl.col("x") + 0.8, pl.col("junk") + 9)
    one, both = (by_name(check(based(), "July", features=moved, scores=scores))["feature drift"] for moved in (slight, wild))
    psi = both.values["psi"]
    assert isinstance(psi, dict)
    assert both.values["moved"] == ["x", "junk"]
    assert f"junk (PSI {psi['junk']:.3g}) and x (PSI {psi['x']:.3g}) moved" in both.sentence
    assert "junk" not in one.sentence


def test_golden_attribution_drift() -> None:
    then, now = {"a": 0.70, "b": 0.50, "c": 0.05}, {"a": 0.10, "b": 0.20, "c": 0.70}
    assert ndcg(then, now) == pytest.approx(0.69, abs=0.005)
    assert check_explanation("July", then, now).verdict == "violation"
    assert check_explanation("July", then, then).verdict == "ok"
    assert check_explanation("July", then, {}).verdict == "cannot say"


def test_a_season_in_what_the_model_hardly_uses_is_told_and_no_alarm() -> None:
    frame, scores, _ = rows()
    summer = frame.with_columns(junk=pl.when(pl.int_range(pl.len()) % 3 == 0).then(pl.lit(9.0)).otherwise("junk"))
    said = by_name(check(based(), "July", features=summer, scores=scores))["data quality"]
    assert said.verdict == "ok"
    assert "33.4 % of junk lie outside" in said.sentence
    assert "of what the model leans on" in said.sentence


def test_the_same_season_in_what_it_leans_on_is_an_alarm() -> None:
    frame, scores, _ = rows()
    summer = frame.with_columns(x=pl.when(pl.int_range(pl.len()) % 30 == 0).then(pl.lit(9.0)).otherwise("x"))
    said = by_name(check(based(), "July", features=summer, scores=scores))["data quality"]
    assert (said.verdict, "3.4 % of x lie outside" in said.sentence) == ("violation", True)


def test_many_small_troubles_add_up_and_a_dead_sensor_counts_alone() -> None:
    frame, scores, _ = rows()
    third = pl.int_range(pl.len()) % 3 == 0
    dead = by_name(check(based(), "July", features=frame.with_columns(junk=pl.lit(None, pl.Float64)), scores=scores))
    both = frame.with_columns(junk=pl.when(third).then("junk"), c=pl.when(pl.int_range(pl.len()) % 9 > 0).then("c"))
    assert dead["data quality"].verdict == "violation"
    assert by_name(check(based(), "July", features=both, scores=scores))["data quality"].verdict == "violation"
