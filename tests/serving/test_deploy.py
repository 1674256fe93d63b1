"""Only approved versions are served; every deployment is one fact; going back is a deployment, too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from werk.adapters.key_store.memory import MemoryKeyStore
from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.adapters.object_store.memory import MemoryObjectStore
from werk.core.errors import InputError, Refused, Tampered
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Upsert
from werk.core.nouns import ModelVersion, Snapshot
from werk.governance.facts import PROJECTIONS as GOVERNANCE
from werk.journal.sql import open_journal
from werk.models.compiled import Model
from werk.models.package import package
from werk.serving.deploy import deploy, deployments, rollback
from werk.serving.endpoint import Endpoints
from werk.serving.facts import PROJECTIONS, record_predictions
from werk.serving.manifest import read_manifest


def _version(fact: Fact) -> Iterable[Change]:
    yield Upsert({name: value for name, value in (fact.body or {}).items() if name != "v"})


VERSIONS = Projection(
    name="versions",
    columns=(Column("model"), Column("version", "int"), Column("status"), Column("canonical_hash"), Column("package_key")),
    key=("model", "version"),
    kinds=("model.registered",),
    apply=_version,
)


@pytest.fixture
def p(tmp_path: Path) -> Iterator[Any]:
    projections = (*PROJECTIONS, *GOVERNANCE, VERSIONS)
    with open_journal(f"sqlite:///{tmp_path}/j.db", project="prj_1", actor="act_1", projections=projections) as journal:
        platform: Any = SimpleNamespace(
            journal=journal,
            object_store=MemoryObjectStore(),
            key_store=MemoryKeyStore(),
            model_format={"memory": MemoryFormat()},
        )
        for version, status in ((1, "approved"), (2, "approved"), (3, "pending"), (4, "rejected")):
            register(platform, version, status)
        journal.append([NewFact("token.issued", "act_1", {"token_sha256": "ab" * 32, "issued_by": "act_1"})])
        yield platform


def register(p: Any, version: int, status: str) -> None:
    model = Model(LinearToy(float(version), (2.0,)), "memory", ("x",), {}, "y", "regression", ("id",))
    made = package(p, model, name="delay", facts={})
    body = {
        "model": "delay",
        "version": version,
        "status": status,
        "canonical_hash": made.canonical_hash,
        "package_key": made.key,
    }
    p.journal.append([NewFact("model.registered", f"delay:{version}", body)])


def test_a_deployed_version_is_loaded_verified_and_open_to_issued_tokens(p: Any, tmp_path: Path) -> None:
    id = deploy(p, ModelVersion("delay", 1), tmp_path, "late")
    manifest = read_manifest(tmp_path, "late")
    assert (manifest.deployment, manifest.version, manifest.tokens) == (id, 1, ("ab" * 32,))
    served = Endpoints(tmp_path)
    served.refresh()
    assert (served.broken, served.live["late"].manifest) == ({}, manifest)
    [row] = deployments(p, "late")
    assert (row["deployment"], row["model"], row["version"], row["cause"]) == (id, "delay", 1, None)


@pytest.mark.parametrize(("version", "error"), [(3, Refused), (4, Refused), (9, InputError)])
def test_what_nobody_approved_is_never_served(p: Any, tmp_path: Path, version: int, error: type[Exception]) -> None:
    with pytest.raises(error):
        deploy(p, ModelVersion("delay", version), tmp_path)
    assert deployments(p, "delay") == []
    assert not (tmp_path / "endpoints").exists()


def test_a_repeated_event_adds_no_fact_and_moves_nothing_back(p: Any, tmp_path: Path) -> None:
    cause = {"seq": 7, "kind": "model.approved"}
    first = deploy(p, ModelVersion("delay", 1), tmp_path, cause=cause)
    assert deploy(p, ModelVersion("delay", 1), tmp_path, cause=cause) == first
    later = deploy(p, ModelVersion("delay", 2), tmp_path, cause={"seq": 9, "kind": "model.approved"})
    assert deploy(p, ModelVersion("delay", 1), tmp_path, cause=cause) == first
    assert read_manifest(tmp_path, "delay").deployment == later
    assert len(deployments(p, "delay")) == 2


def test_a_kill_between_fact_and_manifest_is_mended_by_the_repeat(p: Any, tmp_path: Path) -> None:
    cause = {"seq": 7, "kind": "model.approved"}
    first = deploy(p, ModelVersion("delay", 1), tmp_path, cause=cause)
    (tmp_path / "endpoints/delay.json").unlink()
    assert deploy(p, ModelVersion("delay", 1), tmp_path, cause=cause) == first
    assert read_manifest(tmp_path, "delay").deployment == first


def test_rollback_goes_to_the_version_before_and_is_a_fact(p: Any, tmp_path: Path) -> None:
    deploy(p, ModelVersion("delay", 1), tmp_path)
    second = deploy(p, ModelVersion("delay", 2), tmp_path)
    third = rollback(p, "delay", tmp_path)
    assert read_manifest(tmp_path, "delay").version == 1
    newest = deployments(p, "delay")[0]
    assert (newest["deployment"], newest["cause"]) == (third, {"rollback_of": second})


def test_there_is_nothing_before_the_first(p: Any, tmp_path: Path) -> None:
    deploy(p, ModelVersion("delay", 1), tmp_path)
    with pytest.raises(InputError, match="no other version"):
        rollback(p, "delay", tmp_path)


def test_a_changed_package_is_not_deployed(p: Any, tmp_path: Path) -> None:
    [row] = p.journal.rows("versions", {"version": 1})
    p.object_store.put({f"{row['package_key']}/model.bin": b"{}"})
    with pytest.raises(Tampered, match=r"model\.bin"):
        deploy(p, ModelVersion("delay", 1), tmp_path)
    assert deployments(p, "delay") == []


def test_predictions_are_told_once(p: Any) -> None:
    said = {"rows": 10, "input_snapshot": Snapshot("raw.flights", 1), "window": "2013-07"}
    for _ in (1, 2):
        record_predictions(p, Snapshot("product.predictions", 0), ModelVersion("delay", 1), **said)
    [row] = p.journal.rows("predictions_written", {"model": "delay", "model_version": 1})
    assert (row["table"], row["version"], row["rows"], row["input_snapshot"]) == ("product.predictions", 0, 10, "raw.flights@1")
