"""The pipelines of this use case: train on a table, score a table, deploy what was approved."""

from dataclasses import dataclass
from hashlib import sha256

import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps

TABLE = "raw.rows"
KEY = ("id",)
TARGET = "outcome"
TASK = "binary"
TIME = None
FEATURES = ("value",)
CATEGORIES = ()


@dataclass(frozen=True)
class Params:
    rounds: int = 100
    learning_rate: float = 0.05
    num_leaves: int = 15


def lot(key: tuple[object, ...]) -> float:
    """Between 0 and 1, drawn by the key alone: a row stays on its side of the split, whatever rows come or go."""
    return int(sha256(repr(key).encode()).hexdigest()[:12], 16) / 16**12


@step("data-load")
def load(table: str, *, tables) -> pl.DataFrame:
    return tables.scan(table).collect()


@step("feature-engineering")
def split(rows: pl.DataFrame, holdout: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Rows to fit on and rows held out: the newest, or drawn by the key's first column, so that what belongs together stays so."""
    known = rows.drop_nulls(TARGET)
    if TIME:
        place = known[TIME].rank("min")  # rows of one moment have one place
        return known.filter(place <= len(known) * (1 - holdout)), known.filter(place > len(known) * (1 - holdout))
    drawn = pl.Series([lot(key) for key in known.select(KEY[:1]).rows()], dtype=pl.Float64)
    return known.filter(drawn >= holdout), known.filter(drawn < holdout)


@step("training")
def train(rows: pl.DataFrame, params: Params) -> Model:
    return fit_lightgbm(
        rows,
        target=TARGET,
        task=TASK,
        key=KEY,
        features=FEATURES,
        categories=CATEGORIES,
        rounds=params.rounds,
        params={"learning_rate": params.learning_rate, "num_leaves": params.num_leaves},
    )


@pipeline
def training(table: str = TABLE, holdout: float = 0.3, params: Params = Params(), champion: str | None = "table@champion"):
    fit, held_out = split(load(table), holdout)
    model = train(fit, params)
    report = steps.evaluate(model, held_out, slices=CATEGORIES, champion=champion)
    version = steps.register(model, report, gate="gate.toml")
    steps.monitor(version, model, fit, held_out, outcome=TARGET)
    steps.store_metadata(version, report)


@pipeline
def batch_inference(window: str, table: str, model: str = "table@champion"):
    """Score a table of rows that arrived after the training, once per version, window and rows; `window` is what it is called."""
    rows = load(table)
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def deployment(model: str):
    steps.deploy(model)
