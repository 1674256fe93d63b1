from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.journal import open_journal, replay
from werk.monitoring import PROJECTIONS, MonitorVerdict, Policy, record, timeline

MV = ModelVersion("flight-delay", 1)
SHIFTED = MonitorVerdict("model quality", "2013-09", "violation", "September: 8.8 % late.", {"label_h": -0.3, "input": "aa"})
FINE = MonitorVerdict("bias", "2013-09", "ok", "September: as before.", {"input": "aa"})


@pytest.fixture
def p(tmp_path: Path) -> Iterator[Platform]:
    """Recording uses nothing of a platform but its journal."""
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db", project="p", actor="act_1", projections=PROJECTIONS)
    yield cast("Platform", SimpleNamespace(journal=journal))
    journal.close()


def kinds(p: Platform) -> list[str]:
    return [fact.kind for fact in p.journal.facts()]


def test_a_violation_the_policy_knows_is_said_and_starts_something_once(p: Platform) -> None:
    for run in ("run_1", "run_2"):
        record(p, MV, [SHIFTED, FINE], run)
    assert kinds(p) == ["monitor.checked", "drift.detected", "monitor.checked"]


def test_a_policy_that_switched_the_cause_off_only_says_it(p: Platform) -> None:
    record(p, MV, [SHIFTED], policy=Policy(label_h=None))
    assert kinds(p) == ["monitor.checked"]


def test_later_labels_are_a_new_fact_and_the_newest_answer_stands(p: Platform) -> None:
    record(p, MV, [replace(SHIFTED, verdict="cannot say", values={"input": "00"})])
    record(p, MV, [SHIFTED, FINE], report_key="reports/1")
    assert kinds(p).count("monitor.checked") == 3
    rows = timeline(p, "flight-delay:1")
    assert [(row["monitor"], row["verdict"]) for row in rows] == [("bias", "ok"), ("model quality", "violation")]
    assert rows[1]["values"] == {"label_h": -0.3, "input": "aa"}
    assert rows[1]["report_key"] == "reports/1"
    assert timeline(p, ModelVersion("flight-delay", 2)) == []
    assert len(replay(p.journal)["monitors"]) == 2  # type: ignore[arg-type]


def test_a_verdict_that_comes_back_is_the_newest_again(p: Platform) -> None:
    other = replace(SHIFTED, verdict="ok", values={"label_h": 0.0, "input": "bb"})
    for run, said in (("run_1", SHIFTED), ("run_2", other), ("run_3", SHIFTED)):
        record(p, MV, [said], run)
    (row,) = timeline(p, MV)
    assert (row["verdict"], row["values"]) == ("violation", SHIFTED.values)
    assert kinds(p) == ["monitor.checked", "drift.detected", "monitor.checked", "monitor.checked", "drift.detected"]
    assert replay(p.journal)["monitors"] == p.journal.rows("monitors")  # type: ignore[arg-type]


def test_without_a_run_it_comes_back_too(p: Platform) -> None:
    other = replace(SHIFTED, verdict="ok")
    for said in (SHIFTED, other, SHIFTED, SHIFTED, other):
        record(p, MV, [said])
    assert kinds(p).count("monitor.checked") == 4
    assert timeline(p, MV)[0]["verdict"] == "ok"


def test_a_resumed_run_that_says_it_again_after_others_adds_nothing(p: Platform) -> None:
    record(p, MV, [SHIFTED], "run_1")
    record(p, MV, [replace(SHIFTED, verdict="ok")], "run_2")
    before = kinds(p)
    record(p, MV, [SHIFTED], "run_1")
    assert kinds(p) == before
    assert timeline(p, MV)[0]["verdict"] == "ok"


def test_values_that_json_changes_are_still_the_same_answer(p: Platform) -> None:
    """1.0 and 1 are one number in JSON, a tuple and a list one list: a repeat must not look like news."""
    said = replace(FINE, values={"bins": [1.0, 2, 0.1 + 0.2], "none": None, "deep": {"a": {"b": 1e-17}}})
    record(p, MV, [said], "run_1")
    record(p, MV, [said], "run_2")
    assert kinds(p) == ["monitor.checked"]
