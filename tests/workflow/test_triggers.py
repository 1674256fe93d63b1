import os
import signal
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError
from werk.core.journal import Fact, Journal, NewFact
from werk.core.nouns import new_id
from werk.core.platform import Platform
from werk.journal import SqlJournal, open_journal, verify
from werk.workflow import Engine, pipeline, step
from werk.workflow.facts import PROJECTIONS
from werk.workflow.triggers import TRIGGER_PROJECTIONS, Firing, Trigger, check, drain, waiting

RETRAIN = Trigger(
    "on-drift", "drift.detected", "retrain", {"monitor": ["feature", "prediction"]}, {"model": "$body.model", "days": 9}
)


def opened(folder: Path) -> SqlJournal:
    folder.mkdir(exist_ok=True)
    shapes = (*PROJECTIONS, *TRIGGER_PROJECTIONS)
    return open_journal(f"sqlite:///{folder / 'journal.db'}", project="prj_t", actor="act_t", projections=shapes)


@pytest.fixture
def journal(tmp_path: Path) -> SqlJournal:
    return opened(tmp_path)


def drift(journal: Journal, run: str | None = None, **body: JSON) -> Fact:
    told = {"monitor": "feature", "model": "delay", **body}
    return journal.append([NewFact("drift.detected", "delay:1", told, run)])[0]


def start(journal: Journal, trigger: Trigger, fact: Fact, params: dict[str, JSON]) -> str:
    run = new_id("run")
    body: dict[str, JSON] = {"pipeline": trigger.pipeline, "params": params, "cause": {"seq": fact.seq, "kind": fact.kind}}
    journal.append([NewFact("run.started", run, body, run, f"{run}/start")])
    return run


def runs(journal: Journal) -> list[Fact]:
    return list(journal.facts(kinds=["run.started"]))


def test_a_fitting_fact_starts_one_run_with_its_params(journal: Journal) -> None:
    fact = drift(journal)
    [fired] = drain(journal, [RETRAIN], start)
    assert fired == Firing(RETRAIN, fact.seq, fired.run)
    [started] = runs(journal)
    assert started.subject == fired.run
    assert started.body is not None
    assert started.body["params"] == {"model": "delay", "days": 9}
    assert drain(journal, [RETRAIN], start) == []
    assert len(runs(journal)) == 1


def test_facts_that_do_not_fit_start_nothing(journal: Journal) -> None:
    drift(journal, monitor="bias")
    journal.append([NewFact("monitor.checked", "delay:1", {"monitor": "feature", "model": "delay"})])
    assert drain(journal, [RETRAIN], start) == []
    assert drain(journal, [Trigger("other", "drift.detected", "retrain", {"subject": "x:1"})], start) == []


def test_two_triggers_fire_on_one_fact_each_and_oldest_first(journal: Journal) -> None:
    drift(journal, model="a")
    drift(journal, model="b")
    both = [RETRAIN, Trigger("tell", "drift.detected", "notify", {"subject": "delay:1"}, {"model": "$body.model"})]
    fired = [(firing.trigger.name, firing.fact) for firing in drain(journal, both, start)]
    assert fired == [("on-drift", 1), ("tell", 1), ("on-drift", 2), ("tell", 2)]


def test_only_facts_after_a_seq_count(journal: Journal) -> None:
    first, second = drift(journal), drift(journal)
    assert [fired.fact for fired in drain(journal, [RETRAIN], start, after=first.seq)] == [second.seq]


def test_what_fired_is_the_same_after_a_replay(journal: SqlJournal) -> None:
    drift(journal)
    drift(journal)
    drain(journal, [RETRAIN], start)
    assert verify(journal).damages == ()


def test_a_failed_start_is_tried_again(journal: Journal) -> None:
    drift(journal)

    def fails(_j: Journal, _t: Trigger, _f: Fact, _p: dict[str, JSON]) -> str:
        raise InputError("There is no pipeline 'retrain'.", code="pipeline-unknown")

    with pytest.raises(InputError):
        drain(journal, [RETRAIN], fails)
    assert len(drain(journal, [RETRAIN], start)) == 1


def test_a_missing_field_is_named_and_nothing_starts(journal: Journal) -> None:
    drift(journal)
    with pytest.raises(InputError, match="month") as caught:
        drain(journal, [Trigger("bad", "drift.detected", "retrain", {}, {"month": "$body.window.month"})], start)
    assert "monitor" in caught.value.hint
    assert runs(journal) == []


def test_a_run_recorded_past_the_given_journal_is_an_error(journal: Journal) -> None:
    drift(journal)
    with pytest.raises(Failed, match="through the journal"):
        drain(journal, [RETRAIN], lambda _, trigger, fact, params: start(journal, trigger, fact, params))


def test_a_trigger_does_not_feed_itself_even_around_a_corner(journal: Journal) -> None:
    drift(journal)
    [fired] = drain(journal, [RETRAIN], start)
    drift(journal, run=fired.run)
    assert drain(journal, [RETRAIN], start) == []
    journal.append([NewFact("model.registered", "delay:2", {}, fired.run)])
    corner = Trigger("after", "model.registered", "batch")
    [later] = drain(journal, [RETRAIN, corner], start)
    drift(journal, run=later.run)
    assert drain(journal, [RETRAIN, corner], start) == []
    drift(journal, run="run_of_a_person")
    assert len(drain(journal, [RETRAIN], start)) == 1


def test_drains_at_once_start_each_run_once(tmp_path: Path, journal: Journal) -> None:
    for at in range(6):
        drift(journal, model=f"m{at}")
    with ThreadPoolExecutor(3) as pool:
        fired = list(pool.map(lambda _: drain(opened(tmp_path), [RETRAIN], start), range(3)))
    assert sorted(one.fact for firings in fired for one in firings) == [1, 2, 3, 4, 5, 6]
    assert len(runs(journal)) == 6


def test_drains_at_once_start_each_run_once_on_postgres(postgres_url: str) -> None:
    shapes = (*PROJECTIONS, *TRIGGER_PROJECTIONS)
    journals = [open_journal(postgres_url, project="prj_t", actor="act_t", projections=shapes) for _ in range(3)]
    for at in range(6):
        drift(journals[0], model=f"m{at}")
    with ThreadPoolExecutor(3) as pool:
        fired = list(pool.map(lambda journal: drain(journal, [RETRAIN], start), journals))
    assert sum(map(len, fired)) == len(runs(journals[0])) == 6
    for journal in journals:
        journal.close()


@step("count")
def count(days: int) -> int:
    return days + 1


@pipeline
def retrain(days: int) -> None:
    count(days)


def test_the_engine_itself_starts_and_drives_a_triggered_run(platform: Platform, tmp_path: Path) -> None:
    journal = opened(tmp_path / "own")
    drift(journal)
    p = replace(platform, journal=journal)

    def starts(given: Journal, _trigger: Trigger, fact: Fact, params: dict[str, JSON]) -> str:
        cause: dict[str, JSON] = {"seq": fact.seq, "kind": fact.kind}
        return Engine(replace(p, journal=given), {}).start(retrain, params, pins={}, code={}, environment={}, cause=cause)

    trigger = Trigger("on-drift", "drift.detected", "retrain", {}, {"days": 9})
    [fired] = drain(journal, [trigger], starts)
    assert Engine(p, {}).drive(retrain, fired.run) == "finished"
    assert drain(journal, [trigger], starts) == []
    assert journal.rows("firings", {"run": fired.run})[0]["fact"] == 1


def test_facts_that_wait_for_the_same_run_share_it(journal: Journal) -> None:
    for model in ("a", "a", "b", "a"):
        drift(journal, model=model)
    fired = drain(journal, [RETRAIN], start)
    assert [(one.fact, one.also) for one in fired] == [(3, ()), (4, (1, 2))]
    assert [fact.body["params"]["model"] for fact in runs(journal) if fact.body] == ["b", "a"]  # type: ignore[index,call-overload]
    assert waiting(journal, [RETRAIN]) == []
    assert {row["fact"]: row["run"] for row in journal.rows("firings")} == {
        1: fired[1].run,
        2: fired[1].run,
        3: fired[0].run,
        4: fired[1].run,
    }


def test_where_the_newest_answers_one_run_is_started_with_its_params(journal: SqlJournal) -> None:
    for month in ("2013-09", "2013-10", "2013-12"):
        drift(journal, window=month)
    trigger = Trigger("retrain", "drift.detected", "retrain", {}, {"through": "$body.window"}, "newest")
    [fired] = drain(journal, [trigger], start)
    assert (fired.fact, fired.also) == (3, (1, 2))
    [run] = runs(journal)
    assert run.body is not None
    assert run.body["params"] == {"through": "2013-12"}
    assert drain(journal, [trigger], start) == []
    assert verify(journal).damages == ()


def test_a_run_that_answers_several_feeds_none_of_their_triggers(journal: Journal) -> None:
    """An older fact it answers came out of a run of the other trigger: neither may fire on what comes out of it."""
    other = Trigger("other", "model.registered", "batch")
    journal.append([NewFact("model.registered", "delay:2", {}, "run_of_a_person")])
    [first] = drain(journal, [other], start)
    drift(journal, run=first.run)
    drift(journal)
    [both] = drain(journal, [RETRAIN, other], start)
    assert both.also
    journal.append([NewFact("model.registered", "delay:3", {}, both.run)])
    assert drain(journal, [RETRAIN, other], start) == []


def test_two_drains_at_once_share_a_backlog_between_them_without_doubling(tmp_path: Path, journal: Journal) -> None:
    for _ in range(8):
        drift(journal)
    with ThreadPoolExecutor(4) as pool:
        fired = list(pool.map(lambda _: drain(opened(tmp_path), [RETRAIN], start), range(4)))
    assert [(one.fact, len(one.also)) for firings in fired for one in firings] == [(8, 7)]
    assert len(runs(journal)) == 1
    assert len(journal.rows("firings")) == 8


def test_a_fact_answered_meanwhile_is_not_answered_twice(journal: Journal) -> None:
    """Another process answers the first two while this one has decided to answer three."""
    drift(journal)
    drift(journal)
    seen = waiting(journal, [RETRAIN])
    assert len(seen) == 2

    def slowly(given: Journal, trigger: Trigger, fact: Fact, params: dict[str, JSON]) -> str:
        if not runs(journal):
            drain(journal, [RETRAIN], start, after=0) if fact.seq == 3 else None
        return start(given, trigger, fact, params)

    drift(journal)
    assert drain(journal, [RETRAIN], slowly) == [], "the newest was taken by the other one, all older with it"
    assert len(runs(journal)) == 1


def test_what_cannot_start_is_told_and_the_others_start(journal: Journal) -> None:
    drift(journal)
    told: list[str] = []
    bad = Trigger("bad", "drift.detected", "retrain", {}, {"month": "$body.window.month"})
    fired = drain(journal, [bad, RETRAIN], start, unstarted=lambda of, _fact, error: told.append(f"{of.name} {error.code}"))
    assert [one.trigger.name for one in fired] == ["on-drift"]
    assert told == ["bad trigger-field-missing"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"pipeline": "retrian"}, "Did you mean 'retrain'"),
        ({"params": {"dayz": 9}}, "no parameter of pipeline 'retrain' 'dayz'. Did you mean 'days'"),
        ({"params": {"days": "nine"}}, "'nine' is not a int"),
        ({"params": {"days": [1, 2]}}, "is not a int"),
        ({"params": {}}, "needs the parameter 'days'"),
        ({"params": {"days": "$bdy.days"}}, "no reference '\\$bdy.days'"),
        ({"params": {"days.x": 1}}, "has no fields"),
        ({"on": "drift.detcted"}, "Did you mean 'drift.detected'"),
    ],
)
def test_a_trigger_that_could_start_nothing_is_found_before(changes: dict[str, Any], sentence: str) -> None:
    good = Trigger("on-drift", "drift.detected", "retrain", {}, {"days": "$body.days"})
    check([good, replace(good, params={"days": 9}), replace(good, on="rides.counted")], {"retrain": retrain}, ["drift.detected"])
    with pytest.raises(InputError, match=f"Trigger 'on-drift' in werk.toml can start nothing: .*{sentence}"):
        check([replace(good, **changes)], {"retrain": retrain}, ["drift.detected", "model.approved"])


DYING = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
import test_triggers as t
def dies(journal, trigger, fact, params):
    if {before}: os.kill(os.getpid(), signal.SIGKILL)
    t.start(journal, trigger, fact, params)
    os.kill(os.getpid(), signal.SIGKILL)
t.drain(t.opened(Path({store!r})), [t.RETRAIN], dies)
"""


@pytest.mark.skipif(os.name != "posix", reason="kill -9 is POSIX")
@pytest.mark.parametrize("before", [True, False])
def test_a_kill_around_the_start_neither_loses_nor_doubles(tmp_path: Path, journal: Journal, before: bool) -> None:
    drift(journal)
    script = DYING.format(folder=str(Path(__file__).parent), store=str(tmp_path), before=before)
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == -signal.SIGKILL
    assert len(drain(journal, [RETRAIN], start)) == (1 if before else 0)
    assert len(runs(journal)) == 1


@pytest.mark.parametrize("change", [lambda j: j.append([NewFact("x.y", "s", {})])])
def test_the_given_journal_is_a_journal(journal: Journal, change: Callable[[Journal], object]) -> None:
    """Everything else a start may do with it goes through unchanged."""
    drift(journal)

    def also_writes(given: Journal, trigger: Trigger, fact: Fact, params: dict[str, JSON]) -> str:
        change(given)
        return start(given, trigger, fact, params)

    drain(journal, [RETRAIN], also_writes)
    assert [fact.kind for fact in journal.facts()] == ["drift.detected", "x.y", "run.started", "trigger.fired"]
