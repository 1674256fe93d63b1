"""The same rows give the same model, and the server answers as the batch does."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.core.errors import InputError
from werk.models.compiled import Model, ServedModel
from werk.models.explain import explain
from werk.models.fit import fit_lightgbm, model_codec, predict

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat()})


def rows(n: int = 3000) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    places = [["x", "y", None][at] for at in rng.integers(0, 3, n)]
    frame = pl.DataFrame({"id": range(n), "a": rng.normal(size=n), "c": places})
    return frame.with_columns(y=(pl.col("a") > 0).cast(pl.Int8))


def fit(frame: pl.DataFrame) -> Model:
    return fit_lightgbm(frame, target="y", key=["id"], features=["a", "c"], categories=["c"], rounds=20)


def test_shuffled_rows_give_the_same_digest_and_one_changed_value_another() -> None:
    frame = rows()
    first = model_codec.digest(P, fit(frame))
    assert model_codec.digest(P, fit(frame.sample(fraction=1, shuffle=True, seed=3))) == first
    flipped = pl.when(pl.col("id") == 7).then(1 - pl.col("y")).otherwise(pl.col("y")).cast(pl.Int8)
    assert model_codec.digest(P, fit(frame.with_columns(y=flipped))) != first


def test_a_stored_model_keeps_its_digest_and_serves_the_same_bits() -> None:
    frame = rows()
    model = fit(frame)
    back = model_codec.load(P, model_codec.dump(P, model))
    assert model_codec.digest(P, back) == model_codec.digest(P, model)
    served = ServedModel(back, LightGBMFormat()).predict_rows(frame.to_dicts())
    assert served.tobytes() == predict(P, model, frame).tobytes()


def test_attributions_add_up_to_the_margin() -> None:
    model = fit(rows())
    chance = predict(P, model, rows())
    np.testing.assert_allclose(explain(P, model, rows()).sum(axis=1), np.log(chance / (1 - chance)), atol=1e-6)


def test_a_tied_key_is_refused() -> None:
    with pytest.raises(InputError, match="not unique"):
        fit(pl.concat([rows(50), rows(50)]))
