import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from werk.adapters.identity.local import LocalIdentity
from werk.adapters.identity.memory import MemoryIdentity
from werk.adapters.key_store.memory import MemoryKeyStore
from werk.adapters.meter.memory import MemoryMeter
from werk.adapters.object_store.memory import MemoryObjectStore
from werk.adapters.table_store.memory import MemoryTableStore
from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Refused
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.core.ports.identity import Proof
from werk.governance import (
    PROJECTIONS,
    Plan,
    actor_named,
    actor_of,
    assurance_of,
    enrol,
    issue_token,
    load_plan,
    record_plan,
    renew_token,
    revoke_tokens,
    tokens_that_count,
)
from werk.journal import SqlJournal, erase_body, open_journal

ANN = Proof("os:1000@here", "ann", "os")
BOB = Proof("os:1001@here", "bob", "os")
PLAN = """
goal = "g"
owner = "o"
risk_class = "minimal"
success_metric = "m"
affected_people = "a"
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqlJournal]:
    with open_journal(f"sqlite:///{tmp_path / 'j.db'}", project="prj_1", actor="system", projections=PROJECTIONS) as made:
        yield made


def as_(log: SqlJournal, actor: Actor) -> Platform:
    return Platform(
        project=Project("prj_1", "delay", Path()),
        actor=actor,
        stage="local",
        journal=log.bound_to(actor=actor.id),
        table_store=MemoryTableStore(),
        object_store=MemoryObjectStore(),
        key_store=MemoryKeyStore(),
        identity=MemoryIdentity(),
        model_format={},
        meter=MemoryMeter(),
    )


def test_one_account_is_one_actor_whatever_its_name(log: SqlJournal) -> None:
    ann = enrol(log, ANN)
    assert enrol(log, Proof(ANN.subject, "renamed", "os")) == ann
    assert enrol(log, BOB).id != ann.id
    assert enrol(log, Proof(BOB.subject, "ann", "os")).name == "bob"
    assert len(log.rows("actors")) == 2


RACE = """
import sys
from werk.core.ports.identity import Proof
from werk.governance import PROJECTIONS, enrol
from werk.journal import open_journal
log = open_journal(sys.argv[1], project="prj_1", actor="system", projections=PROJECTIONS)
print("ready", flush=True); sys.stdin.readline()
print(enrol(log, Proof("os:1000@here", "ann", "os")).id)
"""


def test_processes_racing_to_enrol_end_with_one_actor(log: SqlJournal, tmp_path: Path) -> None:
    command = [sys.executable, "-c", RACE, f"sqlite:///{tmp_path / 'j.db'}"]
    racers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("go\n")
        racer.stdin.flush()
    said = {racer.communicate()[0].strip() for racer in racers}
    assert said == {enrol(log, ANN).id}
    assert len(list(log.facts(kinds=("actor.enrolled",)))) == 1


def test_token_proves_its_actor_and_is_stored_nowhere(log: SqlJournal, tmp_path: Path) -> None:
    ann = enrol(log, ANN)
    actor, token = issue_token(as_(log, ann), "reviewer")
    assert actor_of(log, LocalIdentity().prove(token)) == enrol(log, MemoryIdentity().prove(token)) == actor
    assert (actor.name, actor.issued_by) == ("reviewer", ann.id)
    assert len(token) >= 43
    assert not any(token.encode() in file.read_bytes() for file in tmp_path.rglob("*") if file.is_file())


def test_unknown_token_is_refused_and_enrols_nobody(log: SqlJournal) -> None:
    proof = LocalIdentity().prove("werk_" + "x" * 43)
    for call in (actor_of, enrol):
        with pytest.raises(Refused) as refused:
            call(log, proof)
        assert refused.value.code == "token-unknown"
    assert log.rows("actors") == []
    with pytest.raises(Refused, match="ann is not known"):
        actor_of(log, ANN)


def test_tokens_of_another_project_are_unknown(log: SqlJournal) -> None:
    _, token = issue_token(as_(log, enrol(log, ANN)), "reviewer")
    with pytest.raises(Refused):
        actor_of(log.bound_to(project="prj_2"), LocalIdentity().prove(token))


def known_by(log: SqlJournal, token: str) -> Actor | str:
    try:
        return actor_of(log, LocalIdentity().prove(token))
    except Refused as refused:
        return refused.code


def test_a_revoked_token_proves_nobody_and_the_others_go_on(log: SqlJournal) -> None:
    by = as_(log, enrol(log, ANN))
    (robot, leaked), (reviewer, kept) = issue_token(by, "robot"), issue_token(by, "reviewer")
    revoke_tokens(by, "robot", "lost on a train")
    assert (known_by(log, leaked), known_by(log, kept)) == ("token-revoked", reviewer)
    assert tokens_that_count(log) == [sha256_hex(kept)]
    assert actor_named(log, robot.id) == "robot"
    with pytest.raises(InputError, match="the last was revoked"):
        revoke_tokens(by, "robot")


def test_a_renewed_token_is_the_same_actor_and_the_old_one_is_dead(log: SqlJournal) -> None:
    by = as_(log, enrol(log, ANN))
    robot, first = issue_token(by, "robot")
    again, second = renew_token(by, "robot")
    assert again == robot == known_by(log, second)
    assert known_by(log, first) == "token-revoked"
    revoke_tokens(by, "robot")
    assert known_by(log, renew_token(by, "robot")[1]) == robot
    assert (known_by(log, first), known_by(log, second)) == ("token-revoked", "token-revoked")


def test_erasing_a_revocation_brings_no_token_back(log: SqlJournal) -> None:
    by = as_(log, enrol(log, ANN))
    _, leaked = issue_token(by, "robot")
    revoke_tokens(by, "robot", "ann lost it")
    [fact] = log.facts(kinds=("token.revoked",))
    erase_body(log, fact.seq, "it names a person")
    assert known_by(log, leaked) == "token-revoked"


def test_a_token_takes_back_only_what_comes_from_it(log: SqlJournal) -> None:
    ann = as_(log, enrol(log, ANN))
    (thief, _), (robot, held) = issue_token(ann, "thief"), issue_token(ann, "robot")
    for call in (revoke_tokens, renew_token):
        with pytest.raises(Refused, match="neither"):
            call(as_(log, thief), "robot")
    assert known_by(log, held) == robot
    child, _ = issue_token(as_(log, thief), "child")
    revoke_tokens(as_(log, thief), "child")
    revoke_tokens(as_(log, thief), "thief")
    assert assurance_of(log, child, [thief.id]) == "local-self"


def test_whoever_renewed_a_token_has_held_it(log: SqlJournal) -> None:
    ann, bob = enrol(log, ANN), enrol(log, BOB)
    reviewer, _ = issue_token(as_(log, ann), "reviewer")
    assert assurance_of(log, reviewer, [bob.id]) == "local"
    renew_token(as_(log, bob), "reviewer")
    assert {assurance_of(log, reviewer, [one.id]) for one in (ann, bob)} == {"local-self"}


def test_who_has_no_token_has_none_to_take_back(log: SqlJournal) -> None:
    by = as_(log, enrol(log, ANN))
    enrol(log, BOB)
    with pytest.raises(InputError, match="has no token"):
        revoke_tokens(by, "bob")
    with pytest.raises(InputError, match="Did you mean 'bob'"):
        renew_token(by, "bop")


@pytest.mark.parametrize("name", ["", "  ", " ann", "a\nb", "x" * 101])
def test_token_needs_a_name(log: SqlJournal, name: str) -> None:
    with pytest.raises(InputError):
        issue_token(as_(log, enrol(log, ANN)), name)


def test_nobody_is_issued_a_name_that_somebody_has(log: SqlJournal) -> None:
    enrol(log, BOB)
    with pytest.raises(InputError, match="already an actor named 'bob'"):
        issue_token(as_(log, enrol(log, ANN)), "bob")


def test_erased_name_is_gone_and_the_actor_stays_an_id(log: SqlJournal) -> None:
    ann = enrol(log, ANN)
    assert actor_named(log, ann.id) == "ann"
    [fact] = log.facts(kinds=("actor.enrolled",))
    chained = (fact.actor, fact.kind, fact.subject, fact.run, fact.dedupe_key)
    assert not any("ann" in str(part) or ANN.subject in str(part) for part in chained)
    erase_body(log, fact.seq, "asked to be forgotten")
    assert actor_named(log, ann.id) == ann.id


def test_erasing_a_name_does_not_hide_who_issued_the_token(log: SqlJournal) -> None:
    ann = enrol(log, ANN)
    reviewer, _ = issue_token(as_(log, ann), "reviewer")
    [enrolled] = log.facts(kinds=("actor.enrolled",), subject=reviewer.id)
    erase_body(log, enrolled.seq, "asked to be forgotten")
    assert assurance_of(log, reviewer, [ann.id]) == "local-self"


def test_two_tokens_of_one_issuer_may_be_one_person(log: SqlJournal) -> None:
    ann, bob = enrol(log, ANN), enrol(log, BOB)
    robot, _ = issue_token(as_(log, ann), "robot")
    reviewer, _ = issue_token(as_(log, ann), "reviewer")
    further, _ = issue_token(as_(log, reviewer), "reviewer of the reviewer")
    assert assurance_of(log, reviewer, [robot.id]) == "local-self"
    assert assurance_of(log, further, [bob.id, robot.id]) == "local-self"
    assert assurance_of(log, further, [bob.id]) == "local"


def test_environment_names_nobody(tmp_path: Path) -> None:
    code = (
        "import sys; from werk.governance import PROJECTIONS, enrol; from werk.journal import open_journal;"
        "from werk.adapters.identity.local import LocalIdentity;"
        "log = open_journal(sys.argv[1], project='prj_1', actor='system', projections=PROJECTIONS);"
        "a = enrol(log, LocalIdentity().prove(None)); print(a.id, a.name)"
    )
    said = [
        subprocess.run(
            [sys.executable, "-c", code, f"sqlite:///{tmp_path / 'e.db'}"],
            env={**os.environ, "USER": name, "LOGNAME": name, "USERNAME": name},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for name in ("alice", "mallory")
    ]
    assert said[0] == said[1]
    assert "alice" not in said[0]


def test_assurance_follows_the_line_of_issuers_both_ways(log: SqlJournal) -> None:
    ann, bob = enrol(log, ANN), enrol(log, BOB)
    first, _ = issue_token(as_(log, ann), "first")
    second, _ = issue_token(as_(log, first), "second")
    for one, other in ((ann, ann), (ann, second), (second, ann), (first, second), (second, first)):
        assert assurance_of(log, one, [other.id]) == "local-self"
    for one, other in ((ann, bob), (bob, second), (second, bob)):
        assert assurance_of(log, one, [other.id]) == "local"
    assert assurance_of(log, bob, [ann.id, bob.id]) == "local-self"
    cleo = enrol(log, Proof("oidc:cleo", "cleo", "oidc"))
    assert assurance_of(log, cleo, [ann.id]) == "oidc"


@pytest.mark.parametrize("name", ["goal", "owner", "risk_class", "success_metric", "affected_people"])
@pytest.mark.parametrize("instead", ["", '{name} = ""', '{name} = "  "', "{name} = 3"])
def test_plan_without_a_field_names_it(tmp_path: Path, name: str, instead: str) -> None:
    lines = [line for line in PLAN.splitlines() if not line.startswith(name)]
    (tmp_path / "plan.toml").write_text("\n".join([*lines, instead.format(name=name)]))
    with pytest.raises(InputError, match=f"'{name}'"):
        load_plan(tmp_path / "plan.toml")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (PLAN + 'gaol = "x"', "Did you mean 'goal'"),
        (PLAN.replace("minimal", "minimla"), "Did you mean 'minimal'"),
        ("goal = ", "not TOML"),
    ],
)
def test_wrong_plan_is_named(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "plan.toml").write_text(text)
    with pytest.raises(InputError, match=sentence):
        load_plan(tmp_path / "plan.toml")


def test_absent_plan_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no plan"):
        load_plan(tmp_path / "plan.toml")


def test_plan_is_a_fact_each_time_it_changes_also_back(log: SqlJournal, tmp_path: Path) -> None:
    (tmp_path / "plan.toml").write_bytes(PLAN.replace("\n", "\r\n").encode() + b"# comment\r\n")
    p, plan = as_(log, enrol(log, ANN)), load_plan(tmp_path / "plan.toml")
    assert plan == Plan("g", "o", "minimal", "m", "a")
    other = Plan("g2", "o", "minimal", "m", "a")
    assert [record_plan(p, given) for given in (plan, plan, other, plan)] == [True, False, True, True]
    assert [row["sha256"] for row in log.rows("plans")] == [plan.sha256]
    assert [fact.subject for fact in log.facts(kinds=("plan.recorded",))] == ["prj_1"] * 3


def test_unacceptable_risk_is_refused(log: SqlJournal) -> None:
    with pytest.raises(Refused, match="unacceptable"):
        record_plan(as_(log, enrol(log, ANN)), Plan("g", "o", "unacceptable", "m", "a"))
    assert log.rows("plans") == []
