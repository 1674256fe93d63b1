"""The flights template on its own data: what its features are worth, and that one flight gets what a year of them gets."""

import runpy
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from flights import features as flown
from flights.known import Held
from sklearn.metrics import roc_auc_score

import werk
from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.features import Features
from werk.models import Model, matrix

TEMPLATE = Path(werk.__file__).parent / "templates" / "flights"


def test_every_flight_has_its_row_in_the_order_of_its_key(tables: Held, year: pl.DataFrame) -> None:
    assert year.height == 336_776
    assert year.select(flown.KEY).equals(flown.flights(tables).select(flown.KEY).collect())
    assert set(flown.FEATURES) <= set(year.columns)


def test_one_flight_alone_has_the_very_features_it_has_among_all(tables: Held) -> None:
    july = {name: tables.scan(name).filter(pl.col("month") == 7).collect() for name in ("raw.flights", "raw.weather")}
    lake = Held({**july, "raw.planes": tables.scan("raw.planes").collect()})
    rows = flown.flights(lake).collect()
    sampled = rows.with_row_index("at").sample(200, seed=7)["at"].to_list()
    among_all = flown.engineer(rows.lazy(), Features(lake))
    for at in sampled:
        assert flown.engineer(rows[at : at + 1].lazy(), lake).equals(among_all[at : at + 1])


def test_ten_thousand_flights_asked_for_in_small_groups_have_the_features_they_have_in_training(
    tables: Held, year: pl.DataFrame
) -> None:
    july = {name: tables.scan(name).filter(pl.col("month") == 7).collect() for name in ("raw.flights", "raw.weather")}
    lake = Held({**july, "raw.planes": tables.scan("raw.planes").collect()})
    asked = flown.flights(lake).filter(pl.col("day").is_between(10, 21)).collect()
    trained = year.filter(pl.col("sched_dep").is_in(asked["sched_dep"].implode()))
    served = pl.concat([flown.engineer(group.lazy(), lake) for group in asked.iter_slices(120)])
    assert served.height >= 10_000
    assert served.equals(trained)


def test_days_are_those_of_new_york_and_the_end_is_left_out(tables: Held) -> None:
    july = flown.flights(tables, date(2013, 7, 1), date(2013, 8, 1)).collect()
    assert july.height == 29_425
    assert july["day"].unique().len() == 31
    assert set(july["month"]) == {7}


def test_two_flights_with_one_key_are_refused(tables: Held) -> None:
    twice = Held({"raw.flights": tables.scan("raw.flights").head(5).collect().pipe(lambda rows: pl.concat([rows, rows[:1]]))})
    with pytest.raises(ValueError, match="Two flights share"):
        flown.flights(twice)


def test_a_flight_that_never_leaves_waits_until_it_is_stale(tables: Held) -> None:
    row = tables.scan("raw.flights").head(1).with_columns(dep_delay=pl.lit(None, pl.Float64)).collect()
    never = flown.queue(Held({"raw.flights": row})).collect().sort("at")
    assert never["waiting"].to_list() == [1, -1]
    assert never["at"][1] - never["at"][0] == flown.STALE


def _auc(model: Model, rows: pl.DataFrame) -> float:
    scores = LightGBMFormat().predict(model.estimator, matrix(model, rows))
    return float(roc_auc_score(rows[flown.TARGET].to_numpy(), scores))


def test_each_rung_of_the_ladder_is_worth_its_features(year: pl.DataFrame) -> None:
    pipelines = runpy.run_path(str(TEMPLATE / "pipelines.py"))
    landed, july = year.drop_nulls(flown.TARGET), datetime(2013, 7, 1, tzinfo=UTC)
    fit, later = landed.filter(pl.col("sched_dep") < july), landed.filter(pl.col("sched_dep") >= july)
    schedule, weather, delays = (_auc(pipelines["train_knowing"](fit, knows), later) for knows in pipelines["RUNGS"])
    assert schedule == pytest.approx(0.675, abs=0.01)
    assert weather == pytest.approx(0.741, abs=0.01)
    assert delays >= 0.785
