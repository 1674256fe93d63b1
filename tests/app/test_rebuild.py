"""A registered model is trained again from what was recorded: the same bits, or the cause by name."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest

PIPELINES = """
import random

import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    noise = NOISE
    rows = rows.with_columns(pl.col("x") + noise)
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=5)


@pipeline
def training():
    rows = load()
    model = train(rows)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)
    steps.store_metadata(version, report)
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"


class Case:
    """A small use case in a folder of its own, acted on through the command line in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "small"
        self.environment = {**os.environ, "WERK_HOME": str(folder / "home")}

    @classmethod
    def trained(cls, folder: Path, noise: str) -> "Case":
        case = cls(folder)
        case.root.mkdir()
        case.write(noise)
        assert case.werk("ingest", "raw.rows", "rows.parquet").returncode == 0
        ran = case.werk("run", "training")
        assert ran.returncode == 0, ran.stderr
        return case

    def write(self, noise: str) -> None:
        (self.root / "werk.toml").write_text('[project]\nname = "small"\nid = "prj_small"\n')
        (self.root / "plan.toml").write_text(PLAN)
        (self.root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
        (self.root / "pipelines.py").write_text(PIPELINES.replace("NOISE", noise))
        chance = np.random.default_rng(7)
        x = chance.normal(size=400)
        rows = {"id": range(400), "x": x, "z": chance.normal(size=400), "y": (x + chance.normal(size=400) > 0).astype(int)}
        pl.DataFrame(rows).write_parquet(self.root / "rows.parquet")

    def werk(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "werk.app.cli", *words]
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)

    def rebuilt(self) -> dict[str, object]:
        done = self.werk("rebuild", "small:1", "--verify", "--json")
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, object] = json.loads(done.stdout)
        return found


@pytest.fixture(scope="module")
def once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project that the tests copy: training it costs more than they do."""
    folder = tmp_path_factory.mktemp("trained")
    Case.trained(folder, "0.0")
    return folder


@pytest.fixture
def case(once: Path, tmp_path: Path) -> Case:
    shutil.copytree(once, tmp_path / "copy")
    return Case(tmp_path / "copy")


def test_it_is_identical_though_code_store_and_tables_have_moved_on(case: Case) -> None:
    rows = pl.read_parquet(case.root / "rows.parquet")
    rows.with_columns(pl.col("x") * 2).write_parquet(case.root / "rows.parquet")
    assert case.werk("ingest", "raw.rows", "rows.parquet").returncode == 0
    (case.root / "pipelines.py").write_text("raise RuntimeError('the working copy is not what was recorded')\n")
    stored = sorted((case.root / ".werk" / "objects" / "models").rglob("model.bin"))
    assert stored
    for file in stored:
        file.unlink()
    found = case.rebuilt()
    assert (found["outcome"], found["causes"]) == ("identical", [])
    assert found["recorded"] == found["rebuilt"]


def test_a_trainer_that_does_not_repeat_itself_is_different(tmp_path: Path) -> None:
    found = Case.trained(tmp_path, "pl.Series([random.gauss(0, 1) for _ in range(len(rows))])").rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"] == ["the training does not repeat itself"]


def test_another_environment_is_named_and_equivalent_at_best(case: Case) -> None:
    case.environment["OMP_NUM_THREADS"] = "3"
    found = case.rebuilt()
    assert found["outcome"] == "equivalent"
    assert "OMP_NUM_THREADS" in str(found["causes"])


def test_tables_that_are_gone_are_named(case: Case) -> None:
    for part in sorted((case.root / "lake").rglob("*"), reverse=True):
        part.unlink() if part.is_file() else part.rmdir()
    found = case.rebuilt()
    assert (found["outcome"], found["causes"]) == ("not rebuildable", ["raw.rows@0 is gone"])
