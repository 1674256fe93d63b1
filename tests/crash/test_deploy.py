"""Deploy, roll back, approve and retire: killed at any line or begun at once, each has been done or has not."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from werk import registry
from werk.core.errors import Refused
from werk.core.journal import NewFact
from werk.core.platform import Platform
from werk.journal import SqlJournal, verify
from werk.pipelines.deploy import put_live, roll_back, take_out
from werk.serving.deploy import deploy, deployments, redeploy
from werk.serving.endpoint import Endpoints
from werk.serving.manifest import read_manifest, write_manifest

WORKER = Path(__file__).with_name("deploy_worker.py")
SAMPLE = int(os.environ.get("WERK_KILLS", "12"))  # of each act; 0: at every line
SEED = int(os.environ.get("WERK_SEED", str(random.SystemRandom().randrange(2**32))))


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


worker = loaded(WORKER)
delay = worker.delay


@dataclass
class Forks:
    """Acts in forks of one warm process."""

    _process: subprocess.Popen[str] = field(
        default_factory=lambda: subprocess.Popen(
            [sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    )

    def act(self, folder: Path, name: str, kill_at: int | None = None) -> tuple[int, int]:
        code, lines = self._ask(folder=str(folder), act=name, kill_at=kill_at)
        return code, lines

    def race(self, folder: Path, *names: str) -> list[str]:
        said: list[str] = self._ask(folder=str(folder), race=names)
        return said

    def close(self) -> None:
        with self._process:
            self._process.communicate(timeout=30)

    def _ask(self, **order: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = worker.prepared(tmp_path_factory.mktemp("deploy"))
    return made


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(template, tmp_path / "project"))


@pytest.fixture
def p(project: Path) -> Iterator[Platform]:
    with worker.opened(project) as bound:
        yield bound


def newest(p: Platform) -> int:
    return int(str(deployments(p, "delay")[0]["version"]))


def champion(p: Platform) -> int:
    return registry.resolve(p, "delay@champion").version


def answering(folder: Path) -> int | None:
    """What a server started now would answer with."""
    served = Endpoints(folder / "serving")
    served.refresh()
    assert served.broken == {}
    return served.live["delay"].manifest.version if served.live else None


def status(p: Platform, version: int) -> str:
    return registry.registered(p.journal, delay(version)).status


# --- what may not be served ---


def test_a_version_that_answers_is_not_retired(p: Platform, project: Path) -> None:
    registry.set_alias(p, delay(1), "champion")
    with pytest.raises(Refused, match=r"delay:3 answers at 'delay' \(dep_") as refused:
        take_out(p, delay(3), project / "serving")
    assert (refused.value.code, "rollback delay" in refused.value.hint) == ("version-served", True)
    assert (status(p, 3), answering(project)) == ("approved", 3)
    put_live(p, delay(1), project / "serving")
    take_out(p, delay(3), project / "serving")
    assert (status(p, 3), answering(project)) == ("retired", 1)


def test_a_version_behind_any_endpoint_is_not_retired(p: Platform, project: Path) -> None:
    deploy(p, delay(1), project / "serving", "other")
    with pytest.raises(Refused, match="answers at 'other'"):
        registry.retire(p, delay(1))


def test_there_is_no_way_back_to_a_version_that_was_retired(p: Platform, project: Path) -> None:
    take_out(p, delay(2), project / "serving")
    with pytest.raises(Refused, match="delay:2 is retired"):
        roll_back(p, "delay", project / "serving")
    assert (newest(p), champion(p), answering(project)) == (3, 3, 3)


def test_a_version_whose_files_still_answer_is_not_retired(p: Platform, project: Path) -> None:
    """The newest deployment's writer was killed before its manifest: the version before it is what callers reach."""
    before = read_manifest(project / "serving", "delay")
    put_live(p, delay(1), project / "serving")
    write_manifest(project / "serving", before)
    take_out(p, delay(3), project / "serving")
    assert (answering(project), status(p, 3)) == (1, "retired")


def retired_behind_the_back(p: Platform) -> None:
    """As an older werk allowed it."""
    body: dict[str, Any] = {"model": "delay", "version": 3, "comment": "", "assurance": "local"}
    p.journal.append([NewFact("model.retired", "delay:3", body)])


def test_what_is_no_longer_approved_is_taken_out_of_a_running_server(p: Platform, project: Path) -> None:
    served = Endpoints(project / "serving")
    served.refresh()
    retired_behind_the_back(p)
    assert redeploy(p, project / "serving") == ["delay"]
    served.refresh()
    assert (served.live, served.broken, answering(project)) == ({}, {}, None)
    assert redeploy(p, project / "serving") == []
    put_live(p, delay(2), project / "serving")
    assert answering(project) == 2


def test_a_restored_project_does_not_serve_what_is_no_longer_approved(p: Platform, project: Path) -> None:
    retired_behind_the_back(p)
    shutil.rmtree(project / "serving")
    assert redeploy(p, project / "serving") == []
    assert answering(project) is None


def test_another_profiles_deployment_is_left_alone(p: Platform, project: Path) -> None:
    theirs = replace(read_manifest(project / "serving", "delay"), deployment="dep_of_theirs", version=77)
    write_manifest(project / "serving", theirs)
    assert redeploy(p, project / "serving") == []
    assert read_manifest(project / "serving", "delay") == theirs


def test_a_repeated_event_moves_neither_endpoint_nor_champion_back(p: Platform, project: Path) -> None:
    first = put_live(p, delay(1), project / "serving", worker.CAUSE)
    put_live(p, delay(2), project / "serving")
    assert put_live(p, delay(1), project / "serving", worker.CAUSE) == first
    assert (newest(p), champion(p), answering(project)) == (2, 2, 2)


# --- at once ---


@pytest.mark.parametrize("attempt", range(4))
def test_deployed_and_retired_at_once_one_of_them_is_refused(forks: Forks, project: Path, attempt: int) -> None:
    said = forks.race(project, "deploy", "retire")
    with worker.opened(project) as p:
        assert sorted(said) == ["done", "refused"]
        served, version = answering(project), status(p, 1)
        assert (served, version) == ((1, "approved") if said[0] == "done" else (3, "retired"))
        assert served == newest(p) == champion(p)


def test_rolled_back_twice_at_once_it_goes_back_once_or_in_order(forks: Forks, project: Path) -> None:
    assert forks.race(project, "rollback", "rollback") == ["done", "done"]
    with worker.opened(project) as p:
        assert newest(p) in (1, 2)
        assert answering(project) == newest(p) == champion(p)


# --- killed ---


def points(forks: Forks, template: Path, folder: Path, name: str) -> list[int]:
    code, lines = forks.act(Path(shutil.copytree(template, folder / "whole")), name)
    assert code == 0
    assert lines > 50
    chance = random.Random(f"{SEED}/{name}")
    return sorted(chance.sample(range(1, lines + 1), min(SAMPLE, lines))) if SAMPLE else list(range(1, lines + 1))


ENDS = {"deploy": (1, 1), "rollback": (2, 1), "retire": (3, 0)}


@pytest.mark.parametrize("name", ENDS)
def test_a_killed_deployment_is_the_old_one_or_the_new_one_and_is_ended_by_the_same_call(
    forks: Forks, template: Path, tmp_path: Path, name: str, record_property: Callable[[str, object], None]
) -> None:
    version, added = ENDS[name]
    told_only = 0
    chosen = points(forks, template, tmp_path, name)
    for at in chosen:
        folder = Path(shutil.copytree(template, tmp_path / str(at)))
        assert forks.act(folder, name, at)[0] == -signal.SIGKILL
        where = f"WERK_SEED={SEED}, line {at}"
        with worker.opened(folder) as p:
            assert champion(p) == newest(p), where
            assert newest(p) in (3, version), where
            assert answering(folder) in (3, version), where
            told_only += answering(folder) != newest(p)
            done = name == "rollback" and answering(folder) == version  # asked again it would go back once more
        assert done or forks.act(folder, name)[0] == 0, where
        with worker.opened(folder) as p:
            assert answering(folder) == newest(p) == champion(p) == version, where
            assert len(deployments(p, "delay")) == 3 + added, where
            assert isinstance(p.journal, SqlJournal)
            assert verify(p.journal).ok, where
        shutil.rmtree(folder)
    record_property("kills", len(chosen))
    record_property("told_and_not_yet_written", told_only)


def test_a_killed_approval_is_there_once_or_not_yet(forks: Forks, template: Path, tmp_path: Path) -> None:
    for at in points(forks, template, tmp_path, "approve"):
        folder = Path(shutil.copytree(template, tmp_path / str(at)))
        assert forks.act(folder, "approve", at)[0] == -signal.SIGKILL
        with worker.opened(folder) as p:
            assert status(p, 4) in ("pending", "approved")
        assert forks.act(folder, "approve")[0] == 0
        with worker.opened(folder) as p:
            assert len(list(p.journal.facts(kinds=("model.approved",), subject="delay:4"))) == 1
            assert isinstance(p.journal, SqlJournal)
            assert verify(p.journal).ok
        shutil.rmtree(folder)
