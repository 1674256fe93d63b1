"""A trigger is found wanting before a run, never makes a finished run a failed one, and answers a backlog once."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[[trigger]]
name = "after-landing"
on = "table.written"
where = {table = "raw.more"}
pipeline = "answer"
"""
PIPELINES = """
from werk import pipeline, step


@step("load")
def load(*, tables) -> int:
    return tables.scan("raw.rides").collect().height


@step("count", cache=False)
def count(rows: int, factor: int) -> float:
    return rows / factor


@pipeline
def rides():
    load()


@pipeline
def answer(factor: int = 1):
    count(load(), factor)
"""


class Rides:
    def __init__(self, folder: Path) -> None:
        self.root, self.env = folder / "rides", {**os.environ, "WERK_HOME": str(folder / "home")}
        self.root.mkdir()
        self.trigger()
        (self.root / "pipelines.py").write_text(PIPELINES)
        self.land("raw.rides", 1)

    def trigger(self, *lines: str) -> None:
        (self.root / "werk.toml").write_text(SETTINGS + "\n".join(lines) + "\n")

    def land(self, table: str, rows: int) -> None:
        (self.root / "rows.csv").write_text("id,km\n" + "".join(f"{at},2.5\n" for at in range(rows)))
        self.ok("ingest", table, "rows.csv")

    def begun(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "werk.app.cli", *words]
        return subprocess.Popen(command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def werk(self, *words: str) -> tuple[int, str, str]:
        with self.begun(*words) as process:
            out, err = process.communicate()
        return process.returncode, out, err

    def ok(self, *words: str) -> tuple[str, str]:
        code, out, err = self.werk(*words)
        assert code == 0, err
        return out, err

    def runs(self) -> list[tuple[str, str]]:
        rows: list[dict[str, Any]] = json.loads(self.ok("runs", "--json")[0])
        return sorted((row["pipeline"], row["status"]) for row in rows)


@pytest.fixture
def rides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rides:
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return Rides(tmp_path)


def test_a_trigger_that_could_start_nothing_is_named_before_anything_runs(rides: Rides) -> None:
    rides.trigger("params = {facktor = 2}")
    code, out, err = rides.werk("run", "rides")
    assert (code, out) == (2, "")
    assert "Trigger 'after-landing' in werk.toml can start nothing" in err
    assert "Did you mean 'factor'?" in err
    assert rides.runs() == [], "nothing was recorded"
    code, out, _ = rides.werk("doctor", "--json")
    (found,) = [one for one in json.loads(out)["checks"] if one["check"] == "triggers"]
    assert (code, found["state"]) == (1, "broken")
    assert "after-landing" in found["says"]
    rides.trigger("params = {factor = 2}")
    _, out, _ = rides.werk("doctor", "--json")
    (found,) = [one for one in json.loads(out)["checks"] if one["check"] == "triggers"]
    assert found["state"] == "ok"


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("params = 3", "'params' of trigger 'after-landing' in werk.toml is not a table"),
        ('parms = {factor = "x"}', "no key of trigger 'after-landing' 'parms'. Did you mean 'params'"),
        ('backlog = "newst"', "no backlog of trigger 'after-landing' 'newst'. Did you mean 'newest'"),
        ('[[trigger]]\nname = "after-landing"\non = "run.finished"\npipeline = "rides"', "Two triggers in werk.toml are called"),
    ],
)
def test_a_malformed_trigger_is_named(rides: Rides, line: str, sentence: str) -> None:
    rides.trigger(line)
    code, _, err = rides.werk("run", "rides")
    assert code == 2
    assert sentence in err
    assert "Traceback" not in err


def test_a_finished_run_stays_finished_when_a_trigger_cannot_start(rides: Rides) -> None:
    rides.trigger('params = {factor = "$body.nothing"}')
    rides.land("raw.more", 1)
    out, err = rides.ok("run", "rides")
    assert out.startswith("run_")
    assert "trigger after-landing could not start answer for fact" in err
    assert "[trigger-field-missing]" in err
    assert rides.runs() == [("rides", "finished")]


def test_a_finished_run_stays_finished_when_the_triggered_one_fails(rides: Rides) -> None:
    rides.trigger("params = {factor = 0}")
    rides.land("raw.more", 1)
    _, err = rides.ok("run", "rides")
    assert "trigger after-landing: its run run_" in err
    assert "ZeroDivisionError" in err
    assert "Then `werk resume run_" in err
    assert rides.runs() == [("answer", "failed"), ("rides", "finished")]
    _, err = rides.ok("run", "rides")
    assert "after-landing" not in err, "the fact has had its run"


def test_what_has_piled_up_is_answered_by_one_run(rides: Rides) -> None:
    for rows in (1, 2, 3, 4):
        rides.land("raw.more", rows)
    _, err = rides.ok("run", "rides")
    assert "3 earlier facts of table.written are answered by this run" in err
    assert rides.runs() == [("answer", "finished"), ("rides", "finished")]
    assert json.loads(rides.ok("audit", "verify", "--json")[0])["ok"]


def test_two_processes_at_once_answer_a_backlog_once(rides: Rides) -> None:
    for rows in (1, 2, 3):
        rides.land("raw.more", rows)
    both = [rides.begun("run", "rides"), rides.begun("run", "rides")]
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert rides.runs() == [("answer", "finished"), ("rides", "finished"), ("rides", "finished")]
    assert sum("are answered by this run" in err for _, err in said) == 1
