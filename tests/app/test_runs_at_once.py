"""Runs through the command line at the same time: none keeps another from writing."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

from werk.app.wiring import PROJECTIONS
from werk.journal import open_journal

STEPS = 7
TOGETHER = 4
PATIENCE_US = 30e6  # a run locked out by the others waits for all they have to write
PIPELINES = '''
"""Seven steps that do nothing, once all runs have met in the first."""

import time
from pathlib import Path

from werk import pipeline, step

HERE = Path(__file__).parent


@step("first", cache=False)
def first(number: int) -> int:
    return number


@step("meet", cache=False)
def meet(number: int, others: int) -> int:
    (HERE / "met").mkdir(exist_ok=True)
    (HERE / "met" / str(number)).touch()
    while len(list((HERE / "met").iterdir())) < others:
        time.sleep(0.01)
    return number


@pipeline
def together(number: int, others: int):
    number = meet(number, others)
    for _ in range(6):
        number = first(number)
'''


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "idle"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "idle"\nid = "prj_idle"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    return root


def run(root: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "werk.app.cli", "run", *words, "--json"]
    return subprocess.Popen(command, cwd=root, env=os.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def test_of_four_runs_at_once_none_is_locked_out_or_starved(project: Path) -> None:
    """They meet in their first step; from there on, none waits for more than a few of the others' writes."""
    started = [run(project, "together", "-p", f"number={n}", "-p", f"others={TOGETHER}") for n in range(TOGETHER)]
    for each in started:
        _, err = each.communicate(timeout=180)
        assert each.returncode == 0, err
        assert "locked" not in err
    with open_journal(
        f"sqlite:///{project}/.werk/journal.db", project="prj_idle", actor="act_test", projections=PROJECTIONS
    ) as journal:
        runs = [str(row["run"]) for row in journal.rows("runs", {"status": "finished"})]
        facts = {run: list(journal.facts(kinds=("step.finished", "run.finished"), run=run)) for run in runs}
    assert [len(found) for found in facts.values()] == [STEPS + 1] * TOGETHER
    ends = [found[-1].at for found in facts.values()]
    meetings = [found[0].at for found in facts.values()]
    assert max(meetings) < min(ends) or max(ends) - min(ends) < PATIENCE_US, "one ran through before another came to write"
    for found in facts.values():
        assert max(after.at - before.at for before, after in pairwise(found)) < PATIENCE_US
