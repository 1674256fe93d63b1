"""The pipelines of this use case: train, forecast a month, deploy what was approved, compare two versions."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

import polars as pl

from power import FEATURES, KEY, TARGET, engineer, hours
from werk import Features, Model, fit_lightgbm, pipeline, step, steps


@dataclass(frozen=True)
class Params:
    rounds: int = 200
    learning_rate: float = 0.05
    num_leaves: int = 31


def month_after(month: str) -> date:
    """The first day that is no longer in a month written 2009-06."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1)


@step("data-load")
def load(start: str, through: str, *, tables) -> pl.DataFrame:
    """The hours from the month `start` to the end of the month `through`."""
    return hours(tables, date.fromisoformat(f"{start}-01"), month_after(through))


@step("feature-engineering")
def prepare(rows: pl.DataFrame, through: str, holdout_days: int, *, features: Features) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What was known at the start of each hour; the last days are held out, as what is asked later always comes after."""
    known = engineer(rows, features).drop_nulls(TARGET)
    cut = datetime.combine(month_after(through), time(), timezone.utc) - timedelta(days=holdout_days)
    return known.filter(pl.col("hour") < cut), known.filter(pl.col("hour") >= cut)


@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    return fit_lightgbm(
        rows,
        target=TARGET,
        key=KEY,
        features=FEATURES,
        rounds=params.rounds,
        params={"objective": "regression", "learning_rate": params.learning_rate, "num_leaves": params.num_leaves},
    )


@pipeline
def training(
    start: str = "2007-01",
    through: str = "2009-12",
    holdout_days: int = 90,
    params: Params = Params(),
    champion: str | None = "series@champion",
):
    fit, holdout = prepare(load(start, through), through, holdout_days)
    model = train(fit, params)
    report = steps.evaluate(model, holdout, champion=champion)
    version = steps.register(model, report, gate="gate.toml")
    steps.monitor(version, model, fit, holdout, outcome="watts", things="hours")
    steps.store_metadata(version, report)


@step("feature-engineering")
def known(rows: pl.DataFrame, *, features: Features) -> pl.DataFrame:
    """The same function as in training, for hours whose outcome may not be known yet."""
    return engineer(rows, features)


@pipeline
def batch_inference(window: str, model: str = "series@champion"):
    rows = known(load(window, window))
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def deployment(model: str):
    steps.deploy(model)
