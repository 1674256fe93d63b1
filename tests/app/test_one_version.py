"""One registered version gives a table and an HTTP endpoint the same answers, bit for bit, on a thousand rows."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

ROWS = 1000
PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rides").collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    features = ["wind", "hour", "line"]
    return fit_lightgbm(rows, target="late", key=["id"], features=features, categories=["line"], rounds=20)


@pipeline
def training():
    rows = load()
    model = train(rows)
    steps.register(model, steps.evaluate(model, rows))


@pipeline
def scoring(model: str):
    steps.batch_inference(load(), model, "all")


@pipeline
def deployment(model: str):
    steps.deploy(model)
"""
SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[[trigger]]
name = "deploy-approved"
on = "model.approved"
pipeline = "deployment"
params = {model = "$subject"}
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"


def rows() -> pl.DataFrame:
    """Missing values in every column, letters beyond ASCII, and floats with all their digits."""
    chance = np.random.default_rng(11)
    wind = pl.Series("wind", chance.normal(size=ROWS)).scatter(range(0, ROWS, 17), None)
    hours = [None if hour == 24 else int(hour) for hour in chance.integers(0, 25, ROWS)]
    lines = [["U1", "Ü 2", "S 'quoted'", None][at] for at in chance.integers(0, 4, ROWS)]
    late = (wind.fill_null(0).to_numpy() + chance.normal(size=ROWS) > 0).astype(int)
    return pl.DataFrame({"id": range(ROWS), "wind": wind, "hour": hours, "line": lines, "late": late})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "rides"
    root.mkdir()
    files = {"werk.toml": SETTINGS, "plan.toml": PLAN, "gate.toml": "[metrics.auc]\nmin = 0.5\n", "pipelines.py": PIPELINES}
    for name, text in files.items():
        (root / name).write_text(text)
    rows().write_parquet(root / "rides.parquet")
    return root


def werk(root: Path, *words: str, **environment: str) -> Any:
    command = [sys.executable, "-m", "werk.app.cli", *words, "--json"]
    done = subprocess.run(command, cwd=root, env={**os.environ, **environment}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@contextmanager
def served(root: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "werk.app.cli", "serve", "--port", "0"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().removeprefix("ready at ").strip()
        finally:
            server.terminate()


def posted(url: str, body: object, token: str) -> Any:
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode(), headers), timeout=30) as answer:
        return json.load(answer)


def refused_by(url: str, token: str) -> int:
    """The server follows its manifests, so the answer may still be right for a moment."""
    until = time.monotonic() + 30
    while time.monotonic() < until:
        try:
            posted(f"{url}/invocations", {"dataframe_records": []}, token)
        except urllib.error.HTTPError as refused:
            with refused:
                if refused.code == 401:
                    return refused.code
        time.sleep(0.05)
    return 200


def bits(scores: list[float]) -> bytes:
    return struct.pack(f"{len(scores)}d", *scores)


def test_a_table_and_both_protocols_answer_with_the_same_bits(project: Path) -> None:
    werk(project, "ingest", "raw.rides", "rides.parquet")
    werk(project, "run", "training")
    token = werk(project, "actor", "add", "second")["token"]
    werk(project, "approve", "rides:1", WERK_TOKEN=token)
    werk(project, "run", "scoring", "-p", "model=rides:1")
    table = werk(project, "sql", "select id, score, version from product.predictions order by id")
    given = rows().select("wind", "hour", "line")
    kinds = {"wind": "FP64", "hour": "FP64", "line": "BYTES"}
    tensors = [{"name": name, "shape": [ROWS], "datatype": kinds[name], "data": given[name].to_list()} for name in kinds]
    with served(project) as url:
        invoked = posted(f"{url}/invocations", {"dataframe_records": given.to_dicts()}, token)["predictions"]
        inferred = posted(f"{url}/v2/models/rides/infer", {"inputs": tensors}, token)
        renewed = werk(project, "actor", "renew", "second")["token"]
        assert refused_by(url, token) == 401
        assert posted(f"{url}/invocations", {"dataframe_records": given.to_dicts()}, renewed)["predictions"] == invoked
        werk(project, "actor", "revoke", "second", "--reason", "lost")
        assert refused_by(url, renewed) == 401
        assert werk(project, "actor", "list")[-1]["proof"] == "revoked token"
    assert [(row["id"], row["version"]) for row in table] == [(at, 1) for at in range(ROWS)]
    batch = bits([row["score"] for row in table])
    assert bits(invoked) == batch
    assert (inferred["model_version"], bits(inferred["outputs"][0]["data"])) == ("1", batch)
    assert len({row["score"] for row in table}) > 100, "scores that are all alike would prove nothing"
