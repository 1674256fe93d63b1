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
