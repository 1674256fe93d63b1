"""The admission test of a trainer: processes with other hash seeds and other orders of rows give one hash."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

TRAININGS = int(os.environ.get("WERK_TRAININGS", "2"))
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
def trained() -> list[dict[str, list[str]]]:
    """The same trainings in processes of their own, two at once, each with another hash seed and another order of rows."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(_trained, range(1, TRAININGS + 1)))


def _trained(order: int) -> dict[str, list[str]]:
    environment = {**os.environ, "PYTHONHASHSEED": str(order)}
    command = [sys.executable, "-c", TRAIN, str(order)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, list[str]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_all_trainings_give_one_hash(
    trained: list[dict[str, list[str]]], trainer: str, record_property: Callable[[str, object], None]
) -> None:
    found = {tuple(hashes[trainer]) for hashes in trained}
    record_property("trainings", len(trained))
    record_property("different hashes", len(found))
    assert len(trained) > 1
    assert len(found) == 1
    assert all(digest.startswith(f"werk-canon/1:{trainer}:") for digest in trained[0][trainer])


@pytest.mark.parametrize("trainer", ["lightgbm", "sklearn"])
def test_one_changed_outcome_or_another_seed_gives_another_hash(trained: list[dict[str, list[str]]], trainer: str) -> None:
    assert len(set(trained[0][trainer])) == len(trained[0][trainer])
