import lightgbm
import numpy as np
import polars as pl
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.adapters.model_format.per_key import PerKeyFormat
from werk.adapters.model_format.sklearn import SklearnFormat
from werk.models.per_key import fit_per_key
from werk.testing.model_format import Example, Matrix, ModelFormatSuite


def boosted(rows: Matrix, outcomes: Matrix) -> object:
    params = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbosity": -1, "seed": 1}
    return lightgbm.train(params, lightgbm.Dataset(rows, label=outcomes), num_boost_round=8)


def regressed(rows: Matrix, outcomes: Matrix) -> object:
    return Pipeline([("scale", StandardScaler()), ("logistic", LogisticRegression())]).fit(rows, outcomes)


def averaged(rows: Matrix, outcomes: Matrix) -> object:
    gap = rows[outcomes == 1].mean(axis=0) - rows[outcomes == 0].mean(axis=0)
    return LinearToy(float(outcomes.mean()), tuple(map(float, gap)))


def one_per_key(rows: Matrix, outcomes: Matrix) -> object:
    keys = pl.Series("key", np.digitize(rows[:, 0], [-1.0, 0.0, 1.0]))  # the codes 0 to 3 of the first column
    frame = pl.DataFrame(rows[:, 1:], schema=["a", "b"]).with_columns(keys, at=pl.int_range(pl.len()), y=outcomes)
    return fit_per_key(frame, target="y", key=["at"], per="key", features=["a", "b"]).estimator


class TestLightGBM(ModelFormatSuite):
    @pytest.fixture
    def example(self) -> Example:
        return Example(LightGBMFormat(), "lightgbm", boosted)

    def test_the_trees_up_to_the_best_round_are_stored(self, example: Example) -> None:
        rows = np.random.default_rng(2).normal(size=(200, 3))
        booster = boosted(rows, (rows[:, 0] > 0).astype(float))
        booster.best_iteration = 3  # type: ignore[attr-defined]
        back = example.form.load(example.form.dump(booster))
        assert example.form.predict(back, rows).tobytes() == example.form.predict(booster, rows).tobytes()
        assert example.form.digest(back) == example.form.digest(booster)


class TestSklearn(ModelFormatSuite):
    @pytest.fixture
    def example(self) -> Example:
        return Example(SklearnFormat(), "sklearn", regressed, missing=False)

    @pytest.mark.parametrize("scaler", [StandardScaler(with_mean=False), StandardScaler(with_std=False), StandardScaler()])
    def test_what_the_constructor_was_told_is_part_of_the_model(self, example: Example, scaler: StandardScaler) -> None:
        rows = np.random.default_rng(3).normal(size=(300, 3)) + 5
        pipe = Pipeline([("scale", scaler), ("logistic", LogisticRegression())]).fit(rows, rows[:, 0] > 5)
        back = example.form.load(example.form.dump(pipe))
        assert example.form.digest(back) == example.form.digest(pipe)
        np.testing.assert_allclose(example.form.predict(back, rows), pipe.predict_proba(rows)[:, 1], rtol=1e-12)
        plain = StandardScaler().fit(rows)
        told = StandardScaler(with_mean=False).set_params(with_mean=True).fit(rows).set_params(with_mean=False)
        assert example.form.digest(plain) != example.form.digest(told)

    def test_three_classes_answer_as_the_library_does(self, example: Example) -> None:
        rows = np.random.default_rng(3).normal(size=(300, 3))
        model = LogisticRegression().fit(rows, np.digitize(rows[:, 0], [-0.5, 0.5]))
        np.testing.assert_allclose(example.form.predict(model, rows), model.predict_proba(rows), rtol=1e-10)


class TestPerKey(ModelFormatSuite):
    @pytest.fixture
    def example(self) -> Example:
        return Example(PerKeyFormat(), "per_key", one_per_key, margin=lambda answer: answer)

    def test_a_code_that_is_no_key_is_answered_by_the_model_of_all(self, example: Example) -> None:
        model = one_per_key(np.random.default_rng(7).normal(size=(400, 3)), np.arange(400.0))
        codes = [0, 1, 2, 3, 4, -1, 0.5, np.nan, np.inf, -np.inf, 1e300]
        answers = example.form.predict(model, np.array([[code, 0.3, 0.2] for code in codes]))
        assert len(set(answers[:5])) == 5
        assert set(answers[4:]) == {answers[4]}


class TestMemory(ModelFormatSuite):
    @pytest.fixture
    def example(self) -> Example:
        return Example(MemoryFormat(), "memory", averaged)
