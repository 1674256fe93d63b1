"""What would make training unrepeatable, or a server answer otherwise than the batch, is refused by name."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk import models
from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.core.errors import InputError
from werk.models.compiled import Model, ServedModel

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat()})


def rows(n: int = 300) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    frame = pl.DataFrame({"id": range(n), "a": rng.normal(size=n), "c": rng.integers(8, 12, n)})
    return frame.with_columns(y=((pl.col("a") > 0) ^ (pl.col("c") == 10)).cast(pl.Int8))


def fit(frame: pl.DataFrame, categories: tuple[str, ...] = ("c",), **params: object) -> Model:
    return models.fit_lightgbm(frame, target="y", key=["id"], features=["a", "c"], categories=categories, rounds=5, params=params)


@pytest.mark.parametrize(
    "name",
    [
        "n_jobs",
        "nthread",
        "num_threads",
        "random_state",
        "seed",
        "n_estimators",
        "deterministic",
        "bagging_fraction",
        "subsample",
    ],
)
def test_a_second_way_to_say_it_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is not taken"):
        fit(rows(), **{name: 1})


@pytest.mark.parametrize("told", [{"boosting": "rf"}, {"device_type": "gpu"}, {"objective": print}, {"objective": "no_such"}])
def test_what_cannot_be_repeated_is_refused(told: dict[str, object]) -> None:
    with pytest.raises(InputError):
        fit(rows(), **told)


def test_rows_without_an_outcome_are_counted() -> None:
    with pytest.raises(InputError, match="3 rows have no 'y'"):
        fit(rows().with_columns(y=pl.when(pl.col("id") > 2).then(pl.col("y"))))


def test_a_category_must_be_a_feature_with_one_spelling() -> None:
    with pytest.raises(InputError, match="Did you mean 'c'"):
        fit(rows(), categories=("cc",))
    with pytest.raises(InputError, match="category 'a' is Float64"):
        fit(rows(), categories=("a",))


@pytest.mark.parametrize("dtype", [pl.Int32, pl.Boolean, pl.String, pl.Categorical])
def test_a_category_that_is_no_text_serves_the_same_bits(dtype: Any) -> None:
    frame = rows().with_columns(c=pl.col("c") == 10) if dtype == pl.Boolean else rows()
    text = frame["c"].cast(pl.String) if dtype == pl.Categorical else frame["c"]
    frame = frame.with_columns(c=text.cast(dtype))
    model = fit(frame)
    asked = [{"a": row["a"], "c": row["c"]} for row in frame.to_dicts()]
    served = ServedModel(model, LightGBMFormat()).predict_rows(asked)
    assert served.tobytes() == models.predict(P, model, frame).tobytes()
    assert len(set(model.categories["c"])) > 1


def test_importance_does_not_depend_on_the_order_of_rows() -> None:
    model, frame = fit(rows()), rows()
    parts = models.explain(P, model, frame)
    assert models.importance(parts, model) == models.importance(parts[::-1], model)


def test_threads_are_recorded() -> None:
    assert fit(rows()).params["num_threads"] == 1


def test_no_rows_are_refused_by_every_trainer() -> None:
    with pytest.raises(InputError, match="no rows to fit on"):
        fit(rows().clear())
    with pytest.raises(InputError, match="no rows to fit on"):
        models.fit_logistic(rows().clear(), target="y", key=["id"], features=["a"])
