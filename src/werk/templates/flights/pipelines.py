"""The pipelines of this use case: train, score a month, deploy what was approved, compare two versions, climb the ladder."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

import polars as pl

from flights.features import CATEGORIES, FEATURES, KEY, PLANE, SCHEDULE, TARGET, WEATHER, engineer, flights
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
def load(start: str, through: str, *, tables) -> pl.DataFrame:
    """The flights scheduled from the month `start` to the end of the month `through`."""
    return flights(tables, date.fromisoformat(f"{start}-01"), month_after(through)).collect()


@step("feature-engineering")
def prepare(rows: pl.DataFrame, through: str, holdout_days: int, *, features: Features) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What was known an hour before each departure; the last days are held out, in order of time."""
    known = engineer(rows.lazy(), features.tables).drop_nulls(TARGET)
    cut = datetime.combine(month_after(through), time(), timezone.utc) - timedelta(days=holdout_days)
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
def known(rows: pl.DataFrame, *, features: Features) -> pl.DataFrame:
    """The same function as in training, for flights whose outcome nobody knows yet."""
    return engineer(rows.lazy(), features.tables)


@step("post-processing")
def busiest(scored: pl.DataFrame) -> pl.DataFrame:
    """Yours to change: here, how many flights of each airport are likely to be late."""
    likely = (pl.col("score") >= 0.5).sum().alias("likely_late")
    return scored.group_by("origin").agg(pl.len().alias("flights"), likely).sort("origin")


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


RUNGS = {
    "schedule and plane": (*SCHEDULE, *PLANE),
    "+ weather as it was known then": (*SCHEDULE, *PLANE, *WEATHER),
    "+ delays of flights that had left": FEATURES,
}
SMOOTH = {"learning_rate": 0.12, "min_data_in_leaf": 200, "feature_fraction": 0.6, "lambda_l2": 5.0, "cat_smooth": 50.0}


@step("training")
def train_knowing(rows: pl.DataFrame, knows: str, rounds: int = 60) -> Model:
    features = RUNGS[knows]
    categories = [name for name in CATEGORIES if name in features]
    return fit_lightgbm(rows, target=TARGET, key=KEY, features=features, categories=categories, rounds=rounds, params=SMOOTH)


@pipeline
def ladder(start: str = "2013-01", through: str = "2013-12", later_days: int = 184):
    """What features of their time are worth: the same model, each time knowing more, judged on the days after."""
    fit, later = prepare(load(start, through), through, later_days)
    for place, knows in enumerate(RUNGS):
        steps.rung(train_knowing(fit, knows), later, knows, place)
