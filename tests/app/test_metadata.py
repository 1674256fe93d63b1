"""`journal.metadata`: one query tells of any run what it was given, measured, read, wrote and cost, whatever became of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.app.commands import tables

PIPELINES = """
import os
import signal

import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables["raw.rows"].collect()


@step("training")
def train(rows: pl.DataFrame, rounds: int) -> Model:
    return fit_lightgbm(rows, target="y", key=["id"], features=["x"], rounds=rounds)


@step("raise")
def fail(rows: pl.DataFrame, how: str) -> int:
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    raise ArithmeticError(how)


@pipeline
def training(rounds: int = 5):
    rows = load()
    model = train(rows, rounds)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)
    steps.store_metadata(version, report)


@pipeline
def batch(model: str, window: str = "all"):
    rows = load()
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def comparison(a: str, b: str):
    steps.compare(load(), a, b, "all")


@pipeline
def broken(how: str):
    fail(load(), how)
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"
PRICES = "\n[prices]\ncpu_hour_eur = 3600.0\ngb_hour_eur = 0.0\n"
QUERY = "select * from journal.metadata where run = '{}'"


def called(root: Path, *words: str, code: int = 0, **more: str) -> str:
    command = [sys.executable, "-m", "werk.app.cli", *words]
    done = subprocess.run(command, cwd=root, env={**os.environ, **more}, capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A year of bad luck: a run refused, one trained, approved and asked, one compared, one failed, one killed."""
    folder = tmp_path_factory.mktemp("metadata")
    root = folder / "small"
    root.mkdir()
    for name, text in (("werk.toml", f'[project]\nname = "small"\nid = "prj_small"\n{PRICES}'), ("plan.toml", PLAN)):
        (root / name).write_text(text)
    (root / "pipelines.py").write_text(PIPELINES)
    x = [(n * 37 % 101) / 101 for n in range(400)]
    pl.DataFrame({"id": range(400), "x": x, "y": [int(v > 0.6) ^ int(n % 7 == 0) for n, v in enumerate(x)]}).write_parquet(
        root / "rows.parquet"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WERK_HOME", str(folder / "home"))
        for name in ("WERK_TOKEN", "WERK_PROFILE"):
            patch.delenv(name, raising=False)
        called(root, "ingest", "raw.rows", "rows.parquet")
        (root / "gate.toml").write_text("[metrics.auc]\nmin = 0.9999\n")
        called(root, "run", "training", "-p", "rounds=2", code=3)
        (root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
        called(root, "run", "training")
        token = json.loads(called(root, "actor", "add", "second", "--json"))["token"]
        called(root, "approve", "small:1", WERK_TOKEN=token)
        called(root, "run", "batch", "-p", "model=small:1")
        called(root, "run", "comparison", "-p", "a=small:1", "-p", "b=small:1")
        called(root, "run", "broken", "-p", "how=badly", code=1)
        called(root, "run", "broken", "-p", "how=kill", code=-signal.SIGKILL)
        yield root


def rows(root: Path, query: str) -> list[dict[str, Any]]:
    return [dict(row) for row in tables.sql(query, root, None).rows or ()]


def told(root: Path, pipeline: str, status: str) -> dict[str, Any]:
    """The answer of the one query about the one such run, its JSON read."""
    (run,) = rows(root, f"select run from journal.runs where pipeline = '{pipeline}' and status = '{status}'")
    (found,) = rows(root, QUERY.format(run["run"]))
    trees = ("params", "metrics", "snapshots", "writes", "files", "usage", "error")
    return {**found, **{name: json.loads(found[name]) for name in trees if found[name] is not None}}


def test_every_run_has_one_row(root: Path) -> None:
    of_runs = rows(root, "select run, pipeline, status from journal.runs order by started")
    assert rows(root, "select run, pipeline, status from journal.metadata order by started") == of_runs
    assert len(of_runs) == 6


def test_a_refused_training_says_what_it_measured_and_cost(root: Path) -> None:
    found = told(root, "training", "refused")
    assert found["params"] == {"rounds": 2}
    assert (found["model"], found["version"]) == ("small", None)
    assert found["canonical_hash"].startswith("werk-canon/")
    assert 0.5 < found["metrics"]["auc"]["value"] < 1
    assert found["snapshots"] == ["raw.rows@0"]
    assert found["error"]["code"] == "gate-failed"
    assert found["eur"] == pytest.approx(found["usage"]["cpu_s"])  # an EUR a CPU-second
    assert found["eur"] > 0


def test_a_finished_training_keeps_what_it_stored(root: Path) -> None:
    found = told(root, "training", "finished")
    (stored,) = rows(root, f"select body from journal.facts where kind = 'metadata.stored' and subject = '{found['run']}'")
    body = json.loads(stored["body"])
    assert {name: found[name] for name in ("model", "version", "canonical_hash", "metrics", "eur", "code_tree", "params")} == {
        name: body[name] for name in ("model", "version", "canonical_hash", "metrics", "eur", "code_tree", "params")
    }
    assert found["snapshots"] == body["snapshots"] == ["raw.rows@0"]
    assert found["code_tree"]
    assert found["environment_sha256"]


def test_a_batch_says_with_what_and_into_what_it_scored(root: Path) -> None:
    found = told(root, "batch", "finished")
    assert (found["model"], found["version"]) == ("small", 1)
    assert found["params"] == {"model": "small:1", "window": "all"}
    assert (found["snapshots"], found["writes"]) == (["raw.rows@0"], ["product.predictions@0"])
    assert found["metrics"]["model quality all"]["verdict"] in ("ok", "violation", "cannot say")
    assert found["eur"] > 0


def test_a_failed_and_a_killed_run_say_how_far_they_came(root: Path) -> None:
    failed, killed = told(root, "broken", "failed"), told(root, "broken", "running")
    assert "ArithmeticError: badly" in failed["error"]["message"]
    assert (killed["ended"], killed["error"]) == (None, None)
    for found, how in ((failed, "badly"), (killed, "kill")):
        assert found["params"] == {"how": how}
        assert found["snapshots"] == ["raw.rows@0"]
        assert found["metrics"] is None
        assert found["model"] is None
        assert (found["usage"]["cpu_s"], found["eur"]) == (0, 0)  # its one finished step came from the cache


def test_a_comparison_says_what_it_found(root: Path) -> None:
    found = told(root, "comparison", "finished")
    assert set(found["metrics"]["small:1 small:1 all"]) >= {"auc_a", "auc_b", "difference", "low", "high", "rows"}


def test_another_project_in_the_journal_is_not_seen(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    journal = f'[journal]\nurl = "sqlite:///{root}/.werk/journal.db"\n'
    (other / "werk.toml").write_text(f'[project]\nname = "small"\nid = "prj_other"\n{journal}')
    assert rows(other, "select * from journal.metadata") == []


def test_a_report_that_is_gone_takes_no_row_with_it(root: Path) -> None:
    (found,) = rows(root, "select report_key from journal.evaluations where not passed")
    path = root / ".werk" / "objects" / found["report_key"]
    kept = path.read_bytes()
    path.unlink()
    try:
        assert told(root, "training", "refused")["metrics"] is None
    finally:
        path.write_bytes(kept)
