"""The pipelines of this use case: one model per product, trained as one, gated as one, approved as one."""

from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone

import polars as pl

from demand import FEATURES, KEY, PER, TARGET, engineer, weeks
from werk import Features, Model, fit_per_key, pipeline, step, steps


@dataclass(frozen=True)
class Params:
    prior_rows: float = 100.0  # a product with so many weeks is half its own, half like all


def month_after(month: str) -> date:
    """The first day that is no longer in a month written 2011-06."""
    first = date.fromisoformat(f"{month}-01")
    return (first + timedelta(days=31)).replace(day=1)


@step("data-load")
def load(start: str, through: str, *, tables) -> pl.DataFrame:
    """The weeks that begin between the month `start` and the end of the month `through`, of every product."""
    return weeks(tables, date.fromisoformat(f"{start}-01"), month_after(through))


@step("feature-engineering")
def prepare(rows: pl.DataFrame, through: str, holdout_weeks: int, *, features: Features) -> tuple[pl.DataFrame, pl.DataFrame]:
    """What was known on each Monday; the last weeks are held out, as what is asked later always comes after."""
    known = engineer(rows, features).drop_nulls(TARGET)
    cut = datetime.combine(month_after(through), time(), timezone.utc) - timedelta(weeks=holdout_weeks)
    return known.filter(pl.col("week") < cut), known.filter(pl.col("week") >= cut)


@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    return fit_per_key(rows, target=TARGET, key=KEY, per=PER, features=FEATURES, prior_rows=params.prior_rows)


@pipeline
def training(
    start: str = "2010-03",
    through: str = "2011-08",
    holdout_weeks: int = 8,
    params: Params = Params(),
    champion: str | None = "per-key@champion",
):
    fit, holdout = prepare(load(start, through), through, holdout_weeks)
    model = train(fit, params)
    report = steps.evaluate(model, holdout, champion=champion)
    version = steps.register(model, report, gate="gate.toml")
    steps.monitor(version, model, fit, holdout, outcome="demand", things="weeks of a product")
    steps.store_metadata(version, report)


@step("feature-engineering")
def known(rows: pl.DataFrame, *, features: Features) -> pl.DataFrame:
    """The same function as in training, for weeks whose outcome may not be known yet."""
    return engineer(rows, features)


@step("post-processing")
def order(scored: pl.DataFrame) -> pl.DataFrame:
    """Yours to change: here, the units to have on the shelf in the first week of the window."""
    first = scored.filter(pl.col("week") == pl.col("week").min())
    return first.select(PER, "week", units=(pl.col("score").exp() - 1).clip(0).round()).sort("units", PER, descending=[True, False])


@pipeline
def batch_inference(window: str, model: str = "per-key@champion"):
    rows = known(load(window, window))
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)
    order(scored)


@pipeline
def deployment(model: str):
    steps.deploy(model)
