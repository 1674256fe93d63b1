"""A project with two people and everything that a registration needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.adapters.identity.memory import MemoryIdentity
from werk.adapters.key_store.memory import MemoryKeyStore
from werk.adapters.meter.memory import MemoryMeter
from werk.adapters.object_store.file import FileObjectStore
from werk.adapters.table_store.memory import MemoryTableStore
from werk.core.canonical import canonical_json, sha256_hex
from werk.core.journal import Fact, NewFact
from werk.core.nouns import Actor, ModelVersion, Project, Snapshot
from werk.core.platform import Platform
from werk.core.ports.identity import Proof
from werk.governance import PROJECTIONS as GOVERNANCE
from werk.governance import Plan, enrol
from werk.journal import SqlJournal, open_journal
from werk.registry import PROJECTIONS as REGISTRY
from werk.registry import Decision, Gate, decide, record_evaluation, register

PLAN = Plan("Fewer delays", "Ops", "minimal", "AUC >= 0.7", "passengers")
GATE = Gate.of({"metrics": {"auc": {"min": 0.7}}})


@dataclass
class House:
    """One project folder; `as_` gives the platform of a person known by an OS account, `as_actor` of any actor."""

    root: Path
    url: str = ""
    log: SqlJournal = field(init=False)
    tables: MemoryTableStore = field(default_factory=MemoryTableStore)

    def __post_init__(self) -> None:
        url = self.url or f"sqlite:///{self.root / 'journal.db'}"
        self.log = open_journal(url, project="prj_1", actor="system", projections=(*GOVERNANCE, *REGISTRY))
        self.tables.write("raw.flights", pl.DataFrame({"x": [1]}))

    def as_(self, name: str) -> Platform:
        return self.as_actor(enrol(self.log, Proof(f"os:{name}@here", name, "os")))

    def as_actor(self, actor: Actor) -> Platform:
        return Platform(
            project=Project("prj_1", "delay", self.root),
            actor=actor,
            stage="local",
            journal=self.log.bound_to(actor=actor.id),
            table_store=self.tables,
            object_store=FileObjectStore(self.root / "objects"),
            key_store=MemoryKeyStore(),
            identity=MemoryIdentity(),
            model_format={},
            meter=MemoryMeter(),
        )


@dataclass
class Candidate:
    """A trained model on its way to the registry; `override` changes what is handed to `register`."""

    p: Platform
    run: str = "run_1"
    identity: str = "werk-canon/1:memory:aa"
    auc: float = 0.8
    gate: Gate = GATE

    def evaluate(self) -> tuple[str, Decision]:
        report = {"metrics": {"auc": {"value": self.auc}}, "canonical_hash": self.identity, "run": self.run}
        text = canonical_json(report)
        key = f"reports/{sha256_hex(text)}.json"
        self.p.object_store.put({key: text.encode()})
        decision = decide(self.gate, report)
        record_evaluation(self.p, "delay", key, sha256_hex(text), decision, self.identity, self.run)
        return key, decision

    def register(self, **override: Any) -> ModelVersion:
        key, decision = self.evaluate()
        manifest = canonical_json({"canonical_hash": self.identity}).encode()
        package = f"models/delay/{sha256_hex(manifest)}"
        self.p.object_store.put({f"{package}/manifest.json": manifest})
        given: dict[str, Any] = {
            "run": self.run,
            "package_key": package,
            "manifest_sha256": sha256_hex(manifest),
            "canonical_hash": self.identity,
            "snapshots": [Snapshot("raw.flights", 0)],
            "code": {"tree": "abc"},
            "environment_sha256": "e" * 64,
            "report_key": key,
            "decision": decision,
            "plan": PLAN,
        }
        return register(self.p, "delay", **{**given, **override})

    def of(self, number: int) -> Candidate:
        return replace(self, run=f"run_{number}", identity=f"werk-canon/1:memory:{number:02x}")


def driven(p: Platform, run: str) -> Fact:
    """What the engine writes when this actor drives a step of the run."""
    return p.journal.append([NewFact("step.finished", run, {"step": "training"}, run)])[0]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.log.close()


@pytest.fixture
def postgres_house(tmp_path: Path, postgres_url: str) -> Iterator[House]:
    made = House(tmp_path, postgres_url)
    yield made
    made.log.close()


@pytest.fixture
def make_candidate() -> Any:
    return Candidate


@pytest.fixture
def ann(house: House) -> Platform:
    return house.as_("ann")


@pytest.fixture
def bob(house: House) -> Platform:
    return house.as_("bob")


@pytest.fixture
def candidate(ann: Platform) -> Candidate:
    return Candidate(ann)


@pytest.fixture
def drive() -> Any:
    return driven
