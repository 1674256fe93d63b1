import lightgbm
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.adapters.model_format.sklearn import SklearnFormat
from werk.testing.model_format import Example, Matrix, ModelFormatSuite


def boosted(rows: Matrix, outcomes: Matrix) -> object:
    params = {"objective": "binary", "num_threads": 1, "deterministic": True, "verbosity": -1, "seed": 1}
    return lightgbm.train(params, lightgbm.Dataset(rows, label=outcomes), num_boost_round=8)


def regressed(rows: Matrix, outcomes: Matrix) -> object:
    return Pipeline([("scale", StandardScaler()), ("logistic", LogisticRegression())]).fit(rows, outcomes)


def averaged(rows: Matrix, outcomes: Matrix) -> object:
    gap = rows[outcomes == 1].mean(axis=0) - rows[outcomes == 0].mean(axis=0)
    return LinearToy(float(outcomes.mean()), tuple(map(float, gap)))


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


class TestMemory(ModelFormatSuite):
    @pytest.fixture
    def example(self) -> Example:
        return Example(MemoryFormat(), "memory", averaged)
