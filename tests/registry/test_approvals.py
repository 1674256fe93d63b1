import inspect
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from werk.adapters.identity.local import LocalIdentity
from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Refused
from werk.core.journal import NewFact
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.ports.identity import Proof
from werk.governance import actor_of, issue_token
from werk.registry import Gate, approve, registered, reject, retire, set_alias

HERE = Path(__file__).parent


def refused(code: str, call: Any, *given: Any) -> Refused:
    with pytest.raises(Refused) as raised:
        call(*given)
    assert raised.value.code == code
    return raised.value


def status(p: Platform, mv: ModelVersion) -> str:
    return registered(p.journal, mv).status


def approvals(p: Platform) -> list[Any]:
    return list(p.journal.facts(kinds=("model.approved",)))


def test_trainer_cannot_approve(candidate: Any, ann: Platform) -> None:
    mv = candidate.register()
    assert "ann trained delay:1" in refused("four-eyes", approve, ann, mv).message
    assert status(ann, mv) == "pending"
    assert approvals(ann) == []


def test_second_actor_approves(candidate: Any, bob: Platform) -> None:
    mv = candidate.register()
    fact = approve(bob, mv, "looks right")
    assert (fact.actor, fact.subject) == (bob.actor.id, "delay:1")
    assert fact.body is not None
    assert (fact.body["comment"], fact.body["assurance"]) == ("looks right", "local")
    assert status(bob, mv) == "approved"


def test_whoever_drove_part_of_the_run_is_a_trainer_too(candidate: Any, ann: Platform, bob: Platform, drive: Any) -> None:
    drive(bob, candidate.run)
    mv = candidate.register()
    refused("four-eyes", approve, bob, mv)
    refused("four-eyes", approve, ann, mv)


def given(p: Platform, run: str, step: str, *, start: bool = True, cached_from: str = "", kind: str = "model") -> None:
    """What the engine writes when this actor starts a run and its step gives the candidate's model, or a frame."""
    digest = sha256_hex("aa") if kind == "model" else "f" * 64
    output = {"kind": kind, "key": "k", "sha256": "s", "digest": digest, "size_bytes": 1}
    body = {"step": step, "cached_from": cached_from or None, "outputs": [output]}
    started = [NewFact("run.started", run, {}, run, f"{run}/start")] if start else []
    p.journal.append([*started, NewFact("step.finished", run, body, run, f"{run}/{step}")])


def test_whoever_trained_it_first_is_a_trainer_through_any_number_of_cached_runs(
    candidate: Any, house: Any, ann: Platform, bob: Platform
) -> None:
    cleo, dora = house.as_("cleo"), house.as_("dora")
    given(bob, "run_a", "training")
    given(cleo, "run_b", "fit", cached_from="run_a/training")
    given(ann, candidate.run, "training", cached_from="run_b/fit")
    mv = candidate.register()
    for trained in (ann, bob, cleo):
        refused("four-eyes", approve, trained, mv)
    assert approve(dora, mv).actor == dora.actor.id


def test_whoever_started_the_first_training_is_a_trainer_though_a_worker_drove_it(
    candidate: Any, house: Any, ann: Platform, bob: Platform
) -> None:
    bob.journal.append([NewFact("run.started", "run_a", {}, "run_a", "run_a/start")])
    given(house.as_("worker"), "run_a", "training", start=False)
    given(ann, candidate.run, "training", cached_from="run_a/training")
    mv = candidate.register()
    refused("four-eyes", approve, bob, mv)
    refused("four-eyes", approve, house.as_("worker"), mv)


def test_whoever_only_loaded_the_same_rows_before_did_not_train_it(candidate: Any, ann: Platform, bob: Platform) -> None:
    given(bob, "run_a", "data-load", kind="frame")
    given(ann, candidate.run, "data-load", cached_from="run_a/data-load", kind="frame")
    given(ann, candidate.run, "training", start=False)
    assert approve(bob, candidate.register()).actor == bob.actor.id


def test_no_parameter_names_another_approver() -> None:
    assert list(inspect.signature(approve).parameters) == ["p", "mv", "comment"]
    assert list(inspect.signature(LocalIdentity.prove).parameters) == ["self", "credential"]


def test_platform_that_claims_another_actor_than_its_journal_writes_nothing(
    candidate: Any, house: Any, ann: Platform, bob: Platform
) -> None:
    mv = candidate.register()
    forged = house.as_actor(bob.actor)
    object.__setattr__(forged, "journal", ann.journal)
    for call in (approve, reject):
        refused("actor-mismatch", call, forged, mv)
    assert status(ann, mv) == "pending"
    assert approvals(ann) == []


def test_token_issued_by_the_trainer_is_recorded_as_one_person(candidate: Any, house: Any, ann: Platform) -> None:
    actor, _ = issue_token(ann, "reviewer")
    again, _ = issue_token(house.as_actor(actor), "reviewer of the reviewer")
    mv = candidate.register()
    fact = approve(house.as_actor(again), mv)
    assert fact.body is not None
    assert fact.body["assurance"] == "local-self"


def test_approver_who_issued_the_trainers_token_is_recorded_as_one_person(candidate: Any, house: Any, bob: Platform) -> None:
    actor, _ = issue_token(bob, "robot")
    candidate.p = house.as_actor(actor)
    fact = approve(bob, candidate.register())
    assert fact.body is not None
    assert fact.body["assurance"] == "local-self"


def test_gate_can_ask_for_more_assurance(candidate: Any, house: Any, ann: Platform, bob: Platform) -> None:
    candidate.gate = Gate.of({"metrics": {"auc": {"min": 0.7}}, "approval": {"assurance": "local"}})
    mv = candidate.register()
    actor, _ = issue_token(ann, "reviewer")
    refused("assurance-too-low", approve, house.as_actor(actor), mv)
    approve(bob, mv)
    assert status(bob, mv) == "approved"


def test_unknown_token_is_nobody(house: Any) -> None:
    refused("token-unknown", actor_of, house.log, Proof("token:" + "0" * 64, "token", "token"))


def test_approving_twice_is_one_fact(candidate: Any, house: Any, bob: Platform) -> None:
    mv = candidate.register()
    assert approve(bob, mv).seq == approve(bob, mv, "again").seq
    late = refused("status-wrong", approve, house.as_("cleo"), mv)
    assert "approved (by bob)" in late.message
    assert len(approvals(bob)) == 1


RACE = """
import sys, conftest
from pathlib import Path
from werk.core.nouns import ModelVersion
from werk.core.errors import Refused
from werk.registry import approve
p = conftest.House(Path(sys.argv[1])).as_(sys.argv[2])
print("ready", flush=True); sys.stdin.readline()
try:
    approve(p, ModelVersion("delay", 1)); print("approved")
except Refused as no:
    print(no.code)
"""


def test_two_approvers_racing_leave_one_fact(candidate: Any, house: Any, bob: Platform) -> None:
    candidate.register()
    names = ("bob", "cleo")
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(house.root), name],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in names
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    said = [racer.communicate("go\n")[0].strip() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0]
    assert sorted(said) == ["approved", "status-wrong"]
    assert len(approvals(bob)) == 1


def test_only_right_statuses(candidate: Any, bob: Platform, ann: Platform) -> None:
    mv = candidate.register()
    refused("status-wrong", retire, bob, mv)
    refused("status-wrong", set_alias, bob, mv, "champion")
    assert set_alias(bob, mv, "challenger")
    reject(ann, mv, "my mistake")
    reject(ann, mv)
    for call in (approve, retire, reject):
        refused("status-wrong", call, bob, mv)
    for alias in ("champion", "challenger"):
        refused("status-wrong", set_alias, bob, mv, alias)


def test_champion_cannot_retire_before_another_one_reigns(candidate: Any, bob: Platform) -> None:
    one, two = candidate.of(1).register(), candidate.of(2).register()
    approve(bob, one)
    approve(bob, two)
    set_alias(bob, one, "champion")
    refused("champion-in-use", retire, bob, one)
    set_alias(bob, two, "champion")
    retire(bob, one)
    assert status(bob, one) == "retired"
    refused("status-wrong", set_alias, bob, one, "champion")


def test_unknown_version_is_named(candidate: Any, bob: Platform) -> None:
    candidate.register()
    with pytest.raises(InputError, match="no version delay:2") as missing:
        approve(bob, ModelVersion("delay", 2))
    assert "delay:1" in missing.value.hint
    with pytest.raises(InputError, match="Did you mean 'delay'"):
        approve(bob, ModelVersion("dealy", 1))
