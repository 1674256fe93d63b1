"""What the template asks of its model: an honest one keeps it, in June and when retrained; a poor one does not."""

import runpy
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl
import pytest
from flights import features as flown

import werk
from werk.core import plugins
from werk.models.behaviour import Holdout, check_behaviour, load_behaviour
from werk.models.compiled import Model
from werk.models.fit import fit_lightgbm, predict
from werk.models.golden import check_golden, load_golden
from werk.models.metrics import metrics

TEMPLATE = Path(werk.__file__).parent / "templates" / "flights"
PARAMS = runpy.run_path(str(TEMPLATE / "pipelines.py"))["SMOOTH"]
ONLY_FORMATS: Any = SimpleNamespace(model_format={"lightgbm": plugins.build("model_format", "lightgbm", {})})
JULY, OCTOBER = datetime(2013, 7, 1, 4, tzinfo=UTC), datetime(2013, 10, 1, 4, tzinfo=UTC)


@pytest.fixture(scope="module")
def landed(year: pl.DataFrame) -> pl.DataFrame:
    return year.drop_nulls(flown.TARGET)


def _fit(rows: pl.DataFrame, until: datetime, rounds: int = 60) -> Model:
    return fit_lightgbm(
        rows.filter(pl.col("sched_dep") < until),
        target=flown.TARGET,
        key=flown.KEY,
        features=flown.FEATURES,
        categories=flown.CATEGORIES,
        params=PARAMS,
        rounds=rounds,
    )


def _auc(model: Model, rows: pl.DataFrame) -> float:
    value = metrics("binary", predict(ONLY_FORMATS, model, rows), rows[flown.TARGET].cast(pl.Float64).to_numpy())["auc"].value
    assert value is not None
    return value


def _golden(model: Model) -> list[Any]:
    points = load_golden(TEMPLATE / "golden.toml")
    return [entry["passed"] for entry in check_golden(ONLY_FORMATS.model_format["lightgbm"], model, points)]


def _behaviour(model: Model, rows: pl.DataFrame) -> list[Any]:
    rows = rows.gather_every(10)
    seen = Holdout(rows, "binary", predict(ONLY_FORMATS, model, rows), rows[flown.TARGET].cast(pl.Float64).to_numpy())
    return [entry["passed"] for entry in check_behaviour(ONLY_FORMATS, model, seen, load_behaviour(TEMPLATE / "behaviour.toml"))]


def test_the_model_of_june_and_the_retrained_one_keep_the_template_s_rules(landed: pl.DataFrame) -> None:
    autumn = landed.filter(pl.col("sched_dep") >= OCTOBER)
    june, september = _fit(landed, JULY), _fit(landed, OCTOBER)
    assert _golden(june) == _golden(september) == [True] * 3
    assert _behaviour(june, autumn) == _behaviour(september, autumn) == [True] * 2
    assert _auc(september, autumn) > _auc(june, autumn) >= 0.76


def test_a_poor_model_breaks_them(landed: pl.DataFrame) -> None:
    assert _golden(_fit(landed, JULY, rounds=1)) == [False, False, False]
