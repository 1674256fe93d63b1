import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import InputError, Refused, Tampered
from werk.core.nouns import ModelVersion, Snapshot, to_micros
from werk.core.platform import Platform
from werk.governance import Plan
from werk.journal import replay, verify
from werk.registry import (
    Gate,
    alias_history,
    approve,
    champion_at,
    decide,
    record_evaluation,
    registered,
    resolve,
    set_alias,
    versions,
)

HERE = Path(__file__).parent


def kinds(p: Platform, kind: str) -> list[Any]:
    return list(p.journal.facts(kinds=(kind,)))


def test_failed_gate_registers_nothing_and_names_the_rule(candidate: Any, ann: Platform) -> None:
    candidate.auc = 0.69
    with pytest.raises(Refused, match=r"metrics\.auc\.min") as refused:
        candidate.register()
    assert (refused.value.code, refused.value.exit_code) == ("gate-failed", 3)
    assert "0.69" in refused.value.hint
    assert kinds(ann, "model.registered") == []
    [evaluation] = kinds(ann, "model.evaluated")
    assert evaluation.body["passed"] is False


@pytest.mark.parametrize(
    ("override", "what"),
    [
        ({"code": {}}, "code"),
        ({"code": {"tree": ""}}, "code"),
        ({"snapshots": []}, "data"),
        ({"snapshots": [Snapshot("raw.flights", 1)]}, "data"),
        ({"snapshots": ["raw.fligths@0"]}, "data"),
        ({"package_key": ""}, "model"),
        ({"package_key": "models/delay/gone"}, "model"),
    ],
)
def test_missing_code_data_or_model_is_refused(candidate: Any, ann: Platform, override: dict[str, Any], what: str) -> None:
    with pytest.raises(Refused, match=f"The {what} is missing") as refused:
        candidate.register(**override)
    assert refused.value.code == "artifact-missing"
    assert kinds(ann, "model.registered") == []


@pytest.mark.parametrize(
    ("plan", "code"),
    [(None, "plan-missing"), (Plan("g", "o", "unacceptable", "m", "a"), "risk-unacceptable")],
)
def test_nothing_is_registered_without_an_acceptable_plan(candidate: Any, ann: Platform, plan: Plan | None, code: str) -> None:
    with pytest.raises(Refused) as refused:
        candidate.register(plan=plan)
    assert refused.value.code == code
    assert kinds(ann, "model.registered") == []


def test_report_that_changed_after_its_evaluation_is_found(candidate: Any, ann: Platform) -> None:
    key, decision = candidate.evaluate()
    ann.object_store.put({key: ann.object_store.get([key])[key].replace(b"0.8", b"0.9")})
    with pytest.raises(Tampered) as tampered:
        _register_only(candidate, key, decision)
    assert tampered.value.code == "report-tampered"


def _register_only(candidate: Any, key: str, decision: Any) -> ModelVersion:
    candidate.evaluate = lambda: (key, decision)
    made: ModelVersion = candidate.register()
    return made


def test_evaluation_of_a_report_with_another_hash_is_refused(candidate: Any, ann: Platform) -> None:
    key, decision = candidate.evaluate()
    with pytest.raises(Tampered):
        record_evaluation(ann, "delay", key, "0" * 64, decision, candidate.identity, "run_9")


def test_decision_made_up_beside_the_journal_is_refused(candidate: Any, ann: Platform) -> None:
    candidate.auc = 0.5
    key, _ = candidate.evaluate()
    rosy = decide(candidate.gate, {"metrics": {"auc": {"value": 0.99}}, "canonical_hash": candidate.identity})
    with pytest.raises(Refused) as refused:
        _register_only(candidate, key, rosy)
    assert refused.value.code == "evaluation-missing"


def test_decision_on_another_model_is_refused(candidate: Any, ann: Platform) -> None:
    _, good = candidate.of(1).evaluate()
    with pytest.raises(Refused) as refused:
        candidate.of(2).register(decision=good)
    assert refused.value.code == "report-mismatch"


def test_package_of_another_model_is_refused(candidate: Any, ann: Platform) -> None:
    manifest = canonical_json({"canonical_hash": "werk-canon/1:memory:other"}).encode()
    ann.object_store.put({"models/delay/other/manifest.json": manifest})
    for digest in (sha256_hex(manifest), "0" * 64):
        with pytest.raises(Tampered):
            candidate.register(package_key="models/delay/other", manifest_sha256=digest)


def test_registering_twice_gives_the_same_version(candidate: Any, ann: Platform) -> None:
    assert candidate.register() == candidate.register() == ModelVersion("delay", 1)
    assert candidate.of(2).register() == ModelVersion("delay", 2)
    assert candidate.register() == ModelVersion("delay", 1)
    assert len(kinds(ann, "model.registered")) == 2
    assert len(kinds(ann, "model.evaluated")) == 2


RACE = """
import sys, conftest
from pathlib import Path
p = conftest.House(Path(sys.argv[1])).as_("ann")
mine = [conftest.Candidate(p).of(int(sys.argv[2]) * 10 + n) for n in range(3)]
print("ready", flush=True); sys.stdin.readline()
print(*[c.register().version for c in mine])
"""


def test_four_processes_get_dense_distinct_versions(house: Any, ann: Platform) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(house.root), str(number)],
            env={**os.environ, "PYTHONPATH": str(HERE)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = [racer.communicate()[0].split() for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0]
    assert sorted(int(number) for numbers in said for number in numbers) == list(range(1, 13))
    assert len(ann.journal.rows("actors", {"name": "ann"})) == 1
    assert len(kinds(ann, "plan.recorded")) == 1


def test_version_knows_what_it_was_made_of(candidate: Any, ann: Platform) -> None:
    made = registered(ann.journal, candidate.register())
    assert (made.status, made.run, made.trainer) == ("pending", "run_1", ann.actor.id)
    assert made.snapshots == (Snapshot("raw.flights", 0),)
    assert made.code == {"tree": "abc"}
    assert made.gate_sha256 == candidate.gate.sha256
    assert [version.mv for version in versions(ann, "delay")] == [made.mv]


def test_resolve_reads_versions_aliases_and_the_champion(candidate: Any, ann: Platform, bob: Platform) -> None:
    one, two = candidate.of(1).register(), candidate.of(2).register()
    assert resolve(ann, "delay:2") == two
    with pytest.raises(InputError, match="no champion yet") as missing:
        resolve(ann, "delay")
    assert "delay:2 (pending)" in missing.value.hint
    approve(bob, one)
    set_alias(bob, one, "champion")
    assert resolve(ann, "delay") == resolve(ann, "delay@champion") == one


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("dealy", "Did you mean 'delay'"),
        ("dealy:1", "Did you mean 'delay'"),
        ("delay@champoin", "Did you mean 'champion'"),
        ("delay:9", "no version delay:9"),
        ("delay:x", "not a model version"),
        ("delay@", "alias"),
        ("", "no model"),
    ],
)
def test_wrong_reference_says_what_is_known(candidate: Any, ann: Platform, bob: Platform, ref: str, sentence: str) -> None:
    mv = candidate.register()
    approve(bob, mv)
    set_alias(bob, mv, "champion")
    with pytest.raises(InputError, match=sentence):
        resolve(ann, ref)


def test_alias_history_and_champion_at_any_time(candidate: Any, ann: Platform, bob: Platform) -> None:
    one, two = candidate.of(1).register(), candidate.of(2).register()
    for mv in (one, two):
        approve(bob, mv)
    assert set_alias(bob, one, "champion")
    assert not set_alias(bob, one, "champion")
    assert set_alias(bob, two, "champion")
    set_alias(bob, one, "challenger")
    first, second = alias_history(ann, "delay", "champion")
    assert [(first.mv, first.actor), (second.mv, second.actor)] == [(one, bob.actor.id), (two, bob.actor.id)]
    assert champion_at(ann, "delay", to_micros(first.at) - 1) is None
    assert champion_at(ann, "delay", to_micros(second.at) - 1) == one
    assert champion_at(ann, "delay", to_micros(second.at)) == two


def test_projections_replay_to_the_same_rows(candidate: Any, house: Any, bob: Platform) -> None:
    mv = candidate.register()
    approve(bob, mv)
    set_alias(bob, mv, "champion")
    tables = ("actors", "plans", "evaluations", "versions", "approvals", "aliases")
    before = {name: bob.journal.rows(name) for name in tables}
    assert all(before.values())
    replay(house.log)
    assert {name: bob.journal.rows(name) for name in tables} == before
    assert verify(house.log).ok


def test_gate_file_with_other_comments_is_the_same_gate(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_bytes(b"[metrics.auc]\nmin = 0.7\n")
    (tmp_path / "b.toml").write_bytes(b"# why\r\n[metrics]\r\nauc = {min = 0.70}\r\n")
    assert Gate.load(tmp_path / "a.toml").sha256 == Gate.load(tmp_path / "b.toml").sha256


def test_postgres_tells_the_same_story(postgres_house: Any, make_candidate: Any) -> None:
    ann, bob = postgres_house.as_("ann"), postgres_house.as_("bob")
    candidate = make_candidate(ann)
    one, two, again = candidate.of(1).register(), candidate.of(2).register(), candidate.of(1).register()
    assert (one, two, again) == (ModelVersion("delay", 1), ModelVersion("delay", 2), ModelVersion("delay", 1))
    with pytest.raises(Refused, match="ann trained"):
        approve(ann, one)
    approve(bob, one)
    set_alias(bob, one, "champion")
    [crowned] = alias_history(ann, "delay", "champion")
    assert resolve(ann, "delay") == champion_at(ann, "delay", to_micros(crowned.at)) == one
    assert champion_at(ann, "delay", to_micros(crowned.at) - 1) is None
    assert verify(postgres_house.log).ok
