import json

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from werk.core.canonical import canonical_json
from werk.monitoring import MONITORS, Baseline, baseline, check
from werk.monitoring.metrics import auc
from werk.monitoring.profiles import Profile, profile

NUMBERS = st.lists(st.none() | st.floats(width=64), max_size=60).map(lambda v: pl.Series("x", v, dtype=pl.Float64))
WHOLE = st.lists(st.none() | st.integers(-(2**62), 2**62), max_size=60).map(lambda v: pl.Series("x", v, dtype=pl.Int64))
WORDS = st.lists(st.none() | st.text(max_size=3), max_size=60).map(lambda v: pl.Series("x", v, dtype=pl.String))
FLAGS = st.lists(st.none() | st.booleans(), max_size=60).map(lambda v: pl.Series("x", v, dtype=pl.Boolean))
NOTHING = st.integers(0, 60).map(lambda n: pl.Series("x", [None] * n, dtype=pl.Null))
ANY = NUMBERS | WHOLE | WORDS | FLAGS | NOTHING


@settings(max_examples=150, deadline=None)
@given(ANY)
def test_every_row_falls_into_exactly_one_cell(values: pl.Series) -> None:
    of = profile(values)
    assert sum(of.counts) == len(values) == of.rows
    assert of.count(values).tolist() == list(of.counts)
    assert Profile.from_json(json.loads(canonical_json(of.to_json()))) == of


@settings(max_examples=100, deadline=None)
@given(st.tuples(NUMBERS, NUMBERS, NUMBERS) | st.tuples(WORDS, WORDS, WORDS) | st.tuples(WHOLE, WHOLE, WHOLE))
def test_counts_of_parts_add_up_to_counts_of_the_whole(parts: tuple[pl.Series, pl.Series, pl.Series]) -> None:
    then, one, two = parts
    of = profile(then)
    assert (of.count(one) + of.count(two)).tolist() == of.count(pl.concat([one, two])).tolist()


@settings(max_examples=150, deadline=None)
@given(ANY, ANY)
def test_no_window_crashes_a_monitor_or_leaves_words_that_are_no_json(then: pl.Series, now: pl.Series) -> None:
    made = baseline(**rows(then), columns=["x"], importance={"x": 1.0})  # type: ignore[arg-type]
    assert Baseline.from_json(json.loads(canonical_json(made.to_json()))) == made
    said = check(made, "July", **rows(now), importance={"x": 1.0})  # type: ignore[arg-type]
    assert [verdict.monitor for verdict in said] == list(MONITORS[:-1])
    assert all(canonical_json(dict(verdict.values)) for verdict in said)
    if len(now) < 100:
        assert all(verdict.verdict != "ok" for verdict in said[:5])


def rows(column: pl.Series) -> dict[str, object]:
    n = len(column)
    scores = np.linspace(0.0, 1.0, n)
    groups = pl.Series(["a", "b"] * n, dtype=pl.String).head(n)
    return {"features": column.to_frame(), "scores": scores, "labels": (scores > 0.6).astype(float), "groups": groups}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=2, max_size=80))
def test_auc_is_the_field_s_auc_inside_its_interval(pairs: list[tuple[float, bool]]) -> None:
    scores, labels = np.array([score for score, _ in pairs]), np.array([float(label) for _, label in pairs])
    found = auc(scores, labels)
    if labels.min() == labels.max():
        assert found is None
        return
    assert found is not None
    assert abs(found.value - roc_auc_score(labels, scores)) < 1e-12
    assert found.low <= found.value <= found.high


def test_delongs_interval_covers_the_truth_as_often_as_it_says() -> None:
    rng, truth, hits = np.random.default_rng(3), 0.7602499389065233, 0  # of N(1, 1) above N(0, 1): the normal cdf at 1/sqrt(2)
    for _ in range(400):
        scores = np.concatenate([rng.normal(1, 1, 60), rng.normal(0, 1, 120)])
        found = auc(scores, np.repeat([1.0, 0.0], [60, 120]))
        assert found is not None
        hits += found.low <= truth <= found.high
    assert 0.92 <= hits / 400 <= 0.98
