"""One model per key: its own where there are rows, all rows' where there are none."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.per_key import PerKeyFormat
from werk.core.errors import InputError
from werk.models.compiled import Model, ServedModel
from werk.models.explain import explain
from werk.models.fit import model_codec, predict
from werk.models.per_key import fit_per_key

P: Any = SimpleNamespace(model_format={"per_key": PerKeyFormat()})
SLOPES = {"a": 2.0, "b": -1.0, "ü": 5.0}


def rows(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(1)
    shops = [list(SLOPES)[at % 3] for at in range(n)]
    x = rng.normal(size=n)
    sold = [10 * SLOPES[shop] + SLOPES[shop] * value for shop, value in zip(shops, x, strict=True)]
    return pl.DataFrame({"shop": shops, "day": [at // 3 for at in range(n)], "x": x, "sold": sold})


def fit(frame: pl.DataFrame, prior_rows: float = 1e-6) -> Model:
    return fit_per_key(frame, target="sold", key=["shop", "day"], per="shop", features=["x"], prior_rows=prior_rows)


def asked(model: Model, shop: str | None, x: float | None) -> float:
    frame = pl.DataFrame({"shop": [shop], "x": [x]}, schema={"shop": pl.String, "x": pl.Float64})
    return float(predict(P, model, frame)[0])


@pytest.mark.parametrize("shop", SLOPES)
def test_each_key_has_the_slope_and_the_level_of_its_own_rows(shop: str) -> None:
    model = fit(rows())
    assert asked(model, shop, 0.0) == pytest.approx(10 * SLOPES[shop], abs=1e-4)
    assert asked(model, shop, 1.0) - asked(model, shop, 0.0) == pytest.approx(SLOPES[shop], abs=1e-4)


def test_the_fewer_rows_the_nearer_to_all_and_a_key_never_seen_is_answered_by_all() -> None:
    frame = rows()
    few = frame.filter((pl.col("shop") != "ü") | (pl.col("day") < 2))
    everyone = asked(fit(few, 10.0), "never seen", 0.5)
    assert everyone == asked(fit(few, 10.0), None, 0.5)
    far, near = (abs(asked(fit(some, 10.0), "ü", 0.5) - asked(fit(some, 10.0), "never seen", 0.5)) for some in (frame, few))
    assert near < far / 2
    assert asked(fit(few, 1e12), "ü", 0.5) == pytest.approx(everyone, rel=1e-6)


def test_shuffled_rows_give_the_same_digest_and_one_changed_value_another() -> None:
    frame = rows()
    first = model_codec.digest(P, fit(frame))
    assert model_codec.digest(P, fit(frame.sample(fraction=1, shuffle=True, seed=3))) == first
    changed = frame.with_columns(sold=pl.when(pl.col("day") == 7).then(0.0).otherwise(pl.col("sold")))
    assert model_codec.digest(P, fit(changed)) != first


def test_a_stored_model_keeps_its_digest_and_serves_the_same_bits_to_keys_known_and_not() -> None:
    model = fit(rows(), 3.0)
    back = model_codec.load(P, model_codec.dump(P, model))
    assert model_codec.digest(P, back) == model_codec.digest(P, model)
    asks = pl.concat([rows(30), rows(3).with_columns(shop=pl.lit("new")), rows(3).with_columns(x=None)], how="vertical_relaxed")
    assert ServedModel(back, PerKeyFormat()).predict_rows(asks.to_dicts()).tobytes() == predict(P, model, asks).tobytes()


def test_attributions_add_up_and_tell_the_keys_own_level_apart() -> None:
    model = fit(rows())
    parts = explain(P, model, rows())
    np.testing.assert_allclose(parts.sum(axis=1), predict(P, model, rows()))
    assert len(np.unique(parts[:, 0].round(6))) == 3
    assert len(np.unique(parts[:, -1])) == 1


def test_whole_numbers_are_keys_and_a_constant_or_empty_feature_changes_nothing() -> None:
    frame = rows().with_columns(shop=pl.col("shop").replace_strict({"a": 7, "b": 70, "ü": 700}, return_dtype=pl.Int64))
    wide = frame.with_columns(same=1, nothing=pl.lit(None, dtype=pl.Float64))
    model = fit_per_key(wide, target="sold", key=["shop", "day"], per="shop", features=["x", "same", "nothing"], prior_rows=1e-6)
    np.testing.assert_allclose(predict(P, model, wide), frame["sold"], atol=1e-3)


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (pl.col("shop").replace("a", None), "per-key-null"),
        (pl.col("sold").replace(10.0, None) * pl.lit(None, dtype=pl.Float64), "target-null"),
        (pl.lit("much").alias("sold"), "target-type"),
        (pl.lit(float("nan")).alias("sold"), "target-type"),
        (pl.lit(float("inf")).alias("x"), "feature-type"),
        (pl.lit(1).alias("day"), "key-tie"),
    ],
    ids=["no-key", "no-target", "text-target", "nan-target", "infinite-feature", "tied-rows"],
)
def test_what_cannot_be_fitted_is_refused_by_its_name(spoil: pl.Expr, code: str) -> None:
    frame = rows(6) if code == "per-key-null" else rows()
    frame = frame.with_columns(spoil)
    with pytest.raises(InputError) as refused:
        key = ["day", "x"] if code == "per-key-null" else ["shop", "day"]
        fit_per_key(frame, target="sold", key=key, per="shop", features=["x"])
    assert refused.value.code == code


@pytest.mark.parametrize("prior_rows", [0.0, -1.0, float("nan"), float("inf")])
def test_a_prior_is_a_number_of_rows(prior_rows: float) -> None:
    with pytest.raises(InputError, match="prior_rows"):
        fit(rows(), prior_rows)
