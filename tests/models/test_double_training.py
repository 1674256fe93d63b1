"""The admission test of a trainer: two processes, two hash seeds and two orders of rows give one hash."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

TRAIN = """
import json, sys
import numpy as np, polars as pl
from werk import models
from werk.core.plugins import build

rng = np.random.default_rng(0)
n = 4000
rows = pl.DataFrame({"id": range(n), "a": rng.normal(size=n), "b": rng.normal(size=n) * 1e9 + 0.1,
                     "c": [f"place-{at}" for at in rng.integers(0, 40, n)]})
rows = rows.with_columns(y=(pl.col("a") + rng.normal(size=n) > 0).cast(pl.Int8))
rows = rows.sample(fraction=1, shuffle=True, seed=int(sys.argv[1])).rechunk()
flipped = rows.with_columns(y=pl.when(pl.col("id") == 17).then(1 - pl.col("y")).otherwise(pl.col("y")).cast(pl.Int8))

def boosted(rows, seed=None):
    return models.fit_lightgbm(rows, target="y", key=["id"], features=["a", "b", "c"], categories=["c"], rounds=10,
                               params={"feature_fraction": 0.7}, seed=seed)

def logistic(rows):
    return models.fit_logistic(rows, target="y", key=["id"], features=["a", "b"])

def identity(model):
    return models.canonical_hash(build("model_format", model.format, {}), model)

print(json.dumps({
    "lightgbm": [identity(boosted(rows)), identity(boosted(flipped)), identity(boosted(rows, seed=5))],
    "sklearn": [identity(logistic(rows)), identity(logistic(flipped))],
}))
"""


@pytest.fixture(scope="module")
def twice() -> list[dict[str, list[str]]]:
    """The same trainings in two processes at once."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", TRAIN, order],
            env={**os.environ, "PYTHONHASHSEED": order},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for order in ("1", "2")
    ]
    ended = [(process.communicate(), process.returncode) for process in started]
    assert all(code == 0 for _, code in ended), ended
    return [json.loads(out) for (out, _), _ in ended]


@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_two_trainings_give_one_hash(twice: list[dict[str, list[str]]], trainer: str) -> None:
    assert twice[0][trainer] == twice[1][trainer]
    assert all(digest.startswith(f"werk-canon/1:{trainer}:") for digest in twice[0][trainer])


@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_one_changed_outcome_or_another_seed_gives_another_hash(twice: list[dict[str, list[str]]], trainer: str) -> None:
    assert len(set(twice[0][trainer])) == len(twice[0][trainer])
