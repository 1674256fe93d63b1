"""A small project with four versions, and acts on it in forks that are killed at a line of ours; see test_deploy.py.

The parent stays single-threaded and opens no journal, so that a fork is as good as a new process and far cheaper.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import werk
from werk import registry
from werk.core.errors import Refused
from werk.core.journal import NewFact
from werk.core.nouns import Actor, ModelVersion, Project
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.governance import PROJECTIONS as GOVERNANCE
from werk.journal import open_journal
from werk.models import package
from werk.models.compiled import Model
from werk.pipelines.deploy import put_live, roll_back, take_out
from werk.serving.facts import PROJECTIONS as SERVING

PROJECTIONS = (*GOVERNANCE, *registry.PROJECTIONS, *SERVING)
ROOT = Path(werk.__file__).parent
TRACED = tuple(str(ROOT / part) for part in ("serving", "registry", "pipelines/deploy.py", "journal/sql.py", "journal/writer.py"))
CAUSE = {"seq": 1, "kind": "model.approved"}


def delay(version: int) -> ModelVersion:
    return ModelVersion("delay", version)


@contextmanager
def opened(folder: Path, actor: str = "act_boss") -> Iterator[Platform]:
    """`act_trainer` has registered every version."""
    missing: Any = None
    keys: Any = build("key_store", "file", {"path": folder / "keys"})
    objects: Any = build("object_store", "file", {"path": folder / "objects"})
    form: Any = build("model_format", "memory", {})
    with open_journal(f"sqlite:///{folder}/journal.db", project="prj_1", actor=actor, projections=PROJECTIONS) as journal:
        yield Platform(
            project=Project("prj_1", "delay", folder),
            actor=Actor(actor, actor, "local"),
            stage="test",
            journal=journal,
            table_store=missing,
            object_store=objects,
            key_store=keys,
            identity=missing,
            model_format={"memory": form},
            meter=missing,
        )


def prepared(folder: Path) -> Path:
    """Versions 1 to 3 are approved and were deployed one after the other, 4 is pending; 3 answers."""
    with opened(folder, "act_trainer") as p:
        p.journal.append([NewFact("actor.enrolled", id, {"name": id, "proof": f"os:{id}", "issued_by": None}) for id in ACTORS])
        p.journal.append([NewFact("token.issued", "act_boss", {"token_sha256": "ab" * 32, "issued_by": "act_boss"})])
        for version in range(1, 5):
            _register(p, version)
    with opened(folder) as p:
        for version in range(1, 4):
            registry.approve(p, delay(version))
            put_live(p, delay(version), folder / "serving")
    return folder


ACTORS = ("act_trainer", "act_boss")
_TEXTS = ("manifest_sha256", "environment_sha256", "report_key", "report_sha256", "gate_sha256", "plan_sha256")


def _register(p: Platform, version: int) -> None:
    toy: Any = build("model_format", "memory", {}).load(json.dumps({"intercept": version, "weights": [2.0]}).encode())  # type: ignore[attr-defined]  # the adapter of the port
    made = package(p, Model(toy, "memory", ("x",), {}, "y", "regression", ("id",)), name="delay", facts={})
    body: dict[str, Any] = {"model": "delay", "version": version, "canonical_hash": made.canonical_hash, "package_key": made.key}
    body |= dict.fromkeys(_TEXTS, "") | {
        "snapshots": [],
        "code": {},
        "assurance_needed": "local-self",
        "trainer": "act_trainer",
    }
    p.journal.append([NewFact("model.registered", f"delay:{version}", body, f"run_{version}")])


def act(folder: Path, name: str) -> None:
    with opened(folder) as p:
        match name:
            case "deploy":
                put_live(p, delay(1), folder / "serving", CAUSE)
            case "rollback":
                roll_back(p, "delay", folder / "serving")
            case "approve":
                registry.approve(p, delay(4))
            case "retire":
                take_out(p, delay(1), folder / "serving")


def counted(folder: Path, name: str, kill_at: int | None) -> int:
    """How many lines of ours the act runs; before the given one the process is killed."""
    seen = 0

    def line(frame: FrameType, event: str, _: object) -> Any:
        nonlocal seen
        seen += event == "line"
        if seen == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return line

    def call(frame: FrameType, event: str, _: object) -> Any:
        return line if frame.f_code.co_filename.startswith(TRACED) else None

    sys.settrace(call)
    try:
        act(folder, name)
    finally:
        sys.settrace(None)
    return seen


def forked(folder: Path, name: str, kill_at: int | None) -> tuple[int, int]:
    """The exit code of a fork that did it (negative: the signal that ended it), and how many lines it came to."""
    told, tell = os.pipe()
    pid = os.fork()
    if not pid:
        os.write(tell, str(counted(folder, name, kill_at)).encode())
        os._exit(0)
    os.close(tell)
    lines = os.read(told, 64)
    os.close(told)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), int(lines or b"0")


def raced(folder: Path, names: list[str]) -> list[str]:
    """Two acts begun at the same time: what became of each."""
    go, ready = os.pipe()
    pids = []
    for name in names:
        pid = os.fork()
        if not pid:
            os.close(ready)
            os.read(go, 1)  # until the parent closes its end
            try:
                act(folder, name)
            except Refused:
                os._exit(3)
            os._exit(0)
        pids.append(pid)
    os.close(ready)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    os.close(go)
    return [{0: "done", 3: "refused"}[code] for code in codes]


def main() -> None:
    for order in sys.stdin:
        given = json.loads(order)
        folder = Path(given["folder"])
        said = raced(folder, given["race"]) if "race" in given else forked(folder, given["act"], given["kill_at"])
        print(json.dumps(said), flush=True)


if __name__ == "__main__":
    main()
