"""The pipelines of this use case, written in pandas: train, score a month, deploy what was approved, compare two versions."""

from dataclasses import dataclass
from datetime import date, timedelta

import pandas as pd

from flights.features import CATEGORIES, FEATURES, KEY, TARGET, engineer, flights
from werk import Features, Model, fit_lightgbm, pipeline, step, steps


@dataclass(frozen=True)
class Params:
    rounds: int = 120
    learning_rate: float = 0.1
    num_leaves: int = 31


def month_after(month: str) -> date:
    """The first day that is no longer in a month written 2013-06."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1)


@step("data-load")
def load(start: str, through: str, *, tables) -> pd.DataFrame:
    """The flights scheduled from the month `start` to the end of the month `through`."""
    return flights(tables, date.fromisoformat(f"{start}-01"), month_after(through))


@step("feature-engineering")
def prepare(rows: pd.DataFrame, through: str, holdout_days: int, *, features: Features) -> tuple[pd.DataFrame, pd.DataFrame]:
    """What was known an hour before each departure; the last days are held out, in order of time."""
    known = engineer(rows, features).dropna(subset=[TARGET])
    held_out = known["sched_dep"] >= pd.Timestamp(month_after(through), tz="UTC") - timedelta(days=holdout_days)
    return known[~held_out].reset_index(drop=True), known[held_out].reset_index(drop=True)


@step("training")
def train(rows: pd.DataFrame, params: Params) -> Model:
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
    start: str = "2013-01",
    through: str = "2013-06",
    holdout_days: int = 45,
    params: Params = Params(),
    champion: str | None = "flight-delay@champion",
):
    fit, holdout = prepare(load(start, through), through, holdout_days)
    model = train(fit, params)
    report = steps.evaluate(model, holdout, slices=("carrier", "origin"), champion=champion)
    version = steps.register(model, report, gate="gate.toml")
    steps.monitor(version, model, fit, holdout, outcome="late", things="flights")
    steps.store_metadata(version, report)


@step("feature-engineering")
def known(rows: pd.DataFrame, *, features: Features) -> pd.DataFrame:
    """The same function as in training, for flights whose outcome nobody knows yet."""
    return engineer(rows, features)


@step("post-processing")
def busiest(scored: pd.DataFrame) -> pd.DataFrame:
    """Yours to change: here, how many flights of each airport are likely to be late."""
    likely = scored.assign(likely_late=(scored["score"] >= 0.5).astype("Int64"))
    return likely.groupby("origin", as_index=False).agg(flights=("score", "size"), likely_late=("likely_late", "sum"))


@pipeline
def batch_inference(window: str, model: str = "flight-delay@champion"):
    rows = known(load(window, window))
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)
    busiest(scored)


@pipeline
def deployment(model: str):
    steps.deploy(model)


@pipeline
def comparison(a: str, b: str, start: str, through: str):
    steps.compare(known(load(start, through)), a, b, through)
