"""The two pipelines of this use case: train a model, score a month."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

import polars as pl

from flights.features import CATEGORIES, FEATURES, KEY, TARGET, engineer, flights
from werk import Features, Model, fit_lightgbm, pipeline, step, steps


@dataclass(frozen=True)
class Params:
    rounds: int = 120
    learning_rate: float = 0.1
    num_leaves: int = 31


@step("data-load")
def load(start: date, end: date, *, tables) -> pl.DataFrame:
    """The flights scheduled from `start` up to, not including, `end`."""
    return flights(tables, start, end).collect()


@step("feature-engineering")
def prepare(rows: pl.DataFrame, end: date, holdout_days: int, *, features: Features) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What was known an hour before each departure; the last days are held out, in order of time."""
    known = engineer(rows.lazy(), features.tables).drop_nulls(TARGET)
    cut = datetime.combine(end, time(), timezone.utc) - timedelta(days=holdout_days)
    return known.filter(pl.col("sched_dep") < cut), known.filter(pl.col("sched_dep") >= cut)


@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    return fit_lightgbm(
        rows,
        target=TARGET,
        key=KEY,
        features=FEATURES,
        categories=CATEGORIES,
        rounds=params.rounds,
        params={"learning_rate": params.learning_rate, "num_leaves": params.num_leaves},
    )


@pipeline
def training(
    start: date = date(2013, 1, 1),
    end: date = date(2013, 7, 1),
    holdout_days: int = 14,
    params: Params = Params(),
):
    fit, holdout = prepare(load(start, end), end, holdout_days)
    model = train(fit, params)
    report = steps.evaluate(model, holdout, slices=("carrier", "origin"))
    version = steps.register(model, report, gate="gate.toml")
    steps.monitor(version, model, fit, holdout, outcome="late", things="flights")
    steps.store_metadata(version, report)


@step("feature-engineering")
def known(rows: pl.DataFrame, *, features: Features) -> pl.DataFrame:
    return engineer(rows.lazy(), features.tables)


@step("post-processing")
def busiest(scored: pl.DataFrame, window: str) -> pl.DataFrame:
    """Yours to change: here, the share of flights expected late by origin."""
    return scored.group_by("origin").agg(pl.len().alias("flights"), (pl.col("score") >= 0.5).sum().alias("likely_late")).sort("origin")


@pipeline
def batch_inference(start: date, end: date, window: str, model: str = "flight-delay@champion"):
    rows = known(load(start, end))
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)
    busiest(scored, window)
