"""A project that lived on a laptop's files comes back on a team's servers, and from there on files again; nothing is lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.journal.heads import heads_file

PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=5)


@pipeline
def training():
    rows = load()
    model = train(rows)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)


@pipeline
def batch_inference(window: str, model: str):
    rows = load()
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def deployment(model: str):
    steps.deploy(model)
"""
SETTINGS = """
[project]
name = "small"
id = "prj_small"
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: rows
version: 1.0.0
status: active
schema:
- name: rows
  properties:
  - {name: id, logicalType: integer, primaryKey: true}
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"
TEMPLATE = Path(__file__).parents[2] / "src/werk/templates/flights/werk.toml"


@dataclass(frozen=True, slots=True)
class Place:
    """A project's folder, the keys and heads of its machine, and the profile it lives under there."""

    root: Path
    environment: Mapping[str, str]
    profile: str

    def werk(self, *words: str, cwd: Path | None = None, **env: str) -> str:
        command = [sys.executable, "-m", "werk.app.cli", *words, "--profile", self.profile]
        shell = {**os.environ, "WERK_HOME": str(self.root.parent / "home"), **self.environment, **env}
        done = subprocess.run(command, cwd=cwd or self.root, env=shell, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def asked(self, *words: str) -> Any:
        return json.loads(self.werk(*words, "--json"))

    def restored(self, backup: Path) -> Place:
        self.root.parent.mkdir()
        self.werk("restore", str(backup), str(self.root), cwd=self.root.parent)
        return self

    def rows(self, table: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.asked("sql", f"select * from {table} order by all")
        return found


def written_rows(file: Path, count: int) -> None:
    """Every seventh id comes twice, so that the quarantine has rows; y hangs on x."""
    ids = [n - 1 if n % 7 == 1 else n for n in range(count)]
    x = [((n * 37) % 101) / 101 for n in range(count)]
    z = [((n * 53) % 89) / 89 for n in range(count)]
    y = [int(a + b / 3 > 0.6) for a, b in zip(x, z, strict=True)]
    pl.DataFrame({"id": ids, "x": x, "z": z, "y": y}).write_parquet(file)


@pytest.fixture(scope="module")
def laptop(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two landings with a quarantine, a model approved and deployed, predictions of two windows."""
    place = Place(tmp_path_factory.mktemp("laptop") / "small", {}, "local")
    (place.root / "contracts").mkdir(parents=True)
    team = TEMPLATE.read_text().partition("[profile.team.journal]")
    texts = {"werk.toml": SETTINGS + team[1] + team[2], "plan.toml": PLAN, "pipelines.py": PIPELINES}
    for name, text in {**texts, "gate.toml": "[metrics.auc]\nmin = 0.5\n", "contracts/raw.rows.yaml": CONTRACT}.items():
        (place.root / name).write_text(text)
    written_rows(place.root / "rows.parquet", 400)
    place.werk("ingest", "raw.rows", "rows.parquet")
    place.werk("run", "training")
    token = place.asked("actor", "add", "second")["token"]
    place.werk("approve", "small:1", WERK_TOKEN=token)
    place.werk("run", "deployment", "-p", "model=small:1")
    for window in ("v", "w"):
        place.werk("run", "batch_inference", "-p", f"window={window}", "-p", "model=small:1")
    written_rows(place.root / "rows.parquet", 200)
    place.werk("ingest", "raw.rows", "rows.parquet")
    return place


@pytest.fixture(scope="module")
def on_team(laptop: Place, team: Any, tmp_path_factory: pytest.TempPathFactory) -> Place:
    folder = tmp_path_factory.mktemp("to-team")
    laptop.werk("backup", str(folder / "safe"))
    return Place(folder / "there" / "small", team.environment, "team").restored(folder / "safe")


def moved_back(on_team: Place, folder: Path) -> Place:
    """And from the servers onto files again; what the team has done meanwhile comes along."""
    written_rows(on_team.root / "rows.parquet", 300)
    on_team.werk("ingest", "raw.rows", "rows.parquet")
    on_team.werk("run", "batch_inference", "-p", "window=x", "-p", "model=small:1")
    on_team.werk("backup", str(folder / "safe"))
    return Place(folder / "here" / "small", {}, "local").restored(folder / "safe")


def assert_whole(place: Place, like: Place) -> None:
    audit, before = place.asked("audit", "verify"), like.asked("audit", "verify")
    assert (audit["ok"], audit["damages"]) == (True, [])
    assert audit["heads"] > 0
    assert (audit["tables"]["unrecorded"], audit["tables"]["vacuumed"]) == ([], [])
    assert audit["tables"] == before["tables"]
    assert audit["tables"]["versions"] >= 6
    for table in ("raw.rows", "raw.rows_quarantine", "product.predictions"):
        assert place.rows(table) == like.rows(table)
    assert place.asked("models") == like.asked("models")
    assert place.asked("deployments")[0]["version"] == "small:1"


def test_from_files_to_the_servers_and_back(laptop: Place, on_team: Place, team: Any, tmp_path: Path) -> None:
    assert_whole(on_team, laptop)
    assert on_team.asked("rebuild", "small:1")["outcome"] == "identical"
    assert not (on_team.root / "lake").exists()
    assert not (on_team.root / ".werk" / "journal.db").exists()
    assert any(key.startswith("lake/prj_small/raw/rows/_delta_log/") for key in team.stored())

    back = moved_back(on_team, tmp_path)
    assert_whole(back, on_team)
    assert back.asked("rebuild", "small:1")["outcome"] == "identical"
    assert (back.root / "lake" / "raw" / "rows" / "_delta_log").is_dir()
    assert back.asked("run", "batch_inference", "-p", "window=y", "-p", "model=small:1")["status"] == "finished"


def test_a_second_restore_over_the_servers_is_refused_while_they_live(on_team: Place, tmp_path: Path) -> None:
    """Its heads are on this machine: two copies of one journal would each make the other look forged."""
    on_team.werk("backup", str(tmp_path / "safe"))
    heads = on_team.root.parent / "home" / "heads"
    before = {path.name: path.read_bytes() for path in heads.iterdir()}
    command = [
        sys.executable,
        "-m",
        "werk.app.cli",
        "restore",
        str(tmp_path / "safe"),
        str(tmp_path / "twin"),
        "--profile",
        "team",
    ]
    shell = {**os.environ, **on_team.environment, "WERK_HOME": str(heads.parent)}
    done = subprocess.run(command, env=shell, capture_output=True, text=True, timeout=240)
    assert done.returncode == 3, done.stderr
    assert "restore-beside-original" in done.stderr
    assert not (tmp_path / "twin").exists()
    assert {path.name: path.read_bytes() for path in heads.iterdir()} == before
    assert heads_file(heads, json.loads((tmp_path / "safe" / "journal" / "journal.json").read_text())["journal"]).is_file()
    assert on_team.asked("audit", "verify")["ok"]
