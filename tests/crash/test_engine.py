"""kill -9 anywhere in a seven-step chain: nothing is lost, nothing is doubled, nothing finished is done again."""

from __future__ import annotations

import importlib.util
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from werk.core.nouns import new_id
from werk.journal import SqlJournal
from werk.workflow import Engine

WORKER = Path(__file__).with_name("engine_worker.py")
STEPS = ["one", "two", "three", "four", "five", "six", "seven"]
FULL = os.environ.get("WERK_KILLS")  # `python -m tests.proofs kill-engine` sets it; a sample runs otherwise
SAMPLE = {("sqlite", 1): 25, ("sqlite", 2): 8, ("postgres", 1): 5, ("postgres", 2): 5}
SEED = int(os.environ.get("WERK_SEED", str(random.SystemRandom().randrange(2**32))))
PATIENCE_S = 30.0


def loaded(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


worker = loaded(WORKER)


class Forks:
    """Forks drivers on demand from one warm process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen([sys.executable, str(WORKER)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def drive(self, **order: object) -> int:
        return self._ask({"drive": order})

    def wait(self, pid: int) -> int:
        return self._ask({"wait": pid})

    def close(self) -> None:
        with self._process:
            self._process.kill()

    def _ask(self, order: object) -> int:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


@pytest.fixture(scope="module")
def forks() -> Iterator[Forks]:
    made = Forks()
    yield made
    made.close()


@dataclass
class Site:
    """One project in one journal, with the folder its steps leave their traces in."""

    url: str
    folder: Path
    forks: Forks
    project: str = field(default_factory=lambda: new_id("prj"))

    def __post_init__(self) -> None:
        self.platform = worker.platform(self.url, self.folder, self.project)
        self.engine: Engine = worker.engine(self.platform, self.folder, 30.0)

    @property
    def kind(self) -> str:
        return "sqlite" if self.url.startswith("sqlite") else "postgres"

    @property
    def journal(self) -> SqlJournal:
        journal: SqlJournal = self.platform.journal
        return journal

    def start(self) -> str:
        return self.engine.start(worker.chain, {}, **worker.GIVEN)

    def drive(self, run: str, lease_s: float = 1.0, *, insist: bool = False) -> int:
        order = {"url": self.url, "folder": str(self.folder), "project": self.project, "run": run, "lease_s": lease_s}
        return self.forks.drive(**order, insist=insist)

    def finish(self, run: str, lease_s: float = 1.0) -> None:
        """Drive until it is done, as a supervisor does: a dead worker's lease first has to end."""
        until = time.monotonic() + PATIENCE_S
        while (code := self.forks.wait(self.drive(run, lease_s))) == worker.HELD:
            assert time.monotonic() < until, "the lease of a dead worker never ended"
            time.sleep(0.02)
        assert code == 0

    def executed(self, run: str) -> list[str]:
        return [step for step, *_ in self.left("executed", run)]

    def left(self, name: str, run: str) -> list[list[str]]:
        """What workers left in a file about the run, oldest first."""
        file = self.folder / name
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [rest for of, *rest in lines if of == run]

    def finished(self, run: str) -> list[str]:
        """Steps with a result, one entry per fact."""
        return [str(fact.body["step"]) for fact in self.journal.facts(kinds=["step.finished"], run=run) if fact.body]

    def outputs(self, run: str) -> list[Any]:
        rows = self.journal.rows("steps", {"run": run})
        keys = {str(row["step"]): row["outputs"][0]["key"] for row in rows}  # type: ignore[call-overload, index]
        return [json.loads(self.platform.object_store.get([keys[name]])[keys[name]]) for name in STEPS]

    def is_whole(self, run: str) -> bool:
        ends = list(self.journal.facts(kinds=["run.finished"], run=run))
        return self.finished(run) == STEPS and self.outputs(run) == list(range(2, 9)) and len(ends) == 1


@pytest.fixture(params=["sqlite", "postgres"])
def site(request: pytest.FixtureRequest, tmp_path: Path, forks: Forks) -> Iterator[Site]:
    sqlite = f"sqlite:///{tmp_path / 'journal.db'}"
    made = Site(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"), tmp_path, forks)
    yield made
    made.journal.close()


def appears(path: Path) -> None:
    until = time.monotonic() + PATIENCE_S
    while not path.exists():
        assert time.monotonic() < until, f"{path.name} never came"
        time.sleep(0.002)


def test_killed_in_step_four_only_four_to_seven_run_again(site: Site) -> None:
    run = site.start()
    (site.folder / "kill-4").touch()
    assert site.forks.wait(site.drive(run)) == -signal.SIGKILL
    assert site.finished(run) == STEPS[:3]
    site.finish(run)
    assert site.executed(run) == [*STEPS[:4], *STEPS[3:]]
    assert site.is_whole(run)


@dataclass
class Harm:
    """What kills have done, over many runs: all of it must be nothing. A step is redone when it begins and has its result."""

    lost: int = 0
    doubled: int = 0
    redone: int = 0

    def count(self, site: Site, run: str) -> None:
        """The run has been driven to its end since."""
        found = Counter(site.finished(run))
        self.lost += sum(found[name] == 0 for name in STEPS)
        self.doubled += sum(number - 1 for number in found.values())
        self.redone += len(site.left("redone", run))
        assert site.is_whole(run), f"WERK_SEED={SEED}"


@pytest.mark.parametrize("workers", [1, 2])
def test_kill_points(site: Site, workers: int, record_property: Callable[[str, object], None]) -> None:
    """Moments all over a drive by one worker, or by two that both want the run: one of them is killed."""
    wanted = int(FULL) if FULL else SAMPLE[site.kind, workers]
    print(f"WERK_SEED={SEED}, {wanted} kills")
    chance, harm = random.Random(f"{SEED}/{site.kind}/{workers}"), Harm()
    took = timed(site)
    killed = tries = 0
    while killed < wanted:
        tries += 1
        assert tries < 2 * wanted + 10, "kills came too late"
        killed += (killed_alone if workers == 1 else killed_beside)(site, chance, took, harm)
    for name, value in {"kills": killed, "runs": tries, **asdict(harm)}.items():
        record_property(name, value)
    assert harm == Harm(), f"WERK_SEED={SEED}"


def killed_alone(site: Site, chance: random.Random, took: float, harm: Harm) -> bool:
    """What the journal held at the kill is not executed by the worker that goes on."""
    run = held_in_seven(site)
    pid = site.drive(run, 0.2)
    strike(site, run, pid, chance, took)
    hit = site.forks.wait(pid) == -signal.SIGKILL
    site.journal.append([])  # a server may still be committing for the dead: whoever writes next waits for that
    held, before = site.finished(run), site.executed(run)
    site.finish(run, 0.2)
    again = site.executed(run)[len(before) :]
    assert again == STEPS[len(held) :], f"WERK_SEED={SEED}"
    harm.count(site, run)
    return hit


def killed_beside(site: Site, chance: random.Random, took: float, harm: Harm) -> bool:
    """The other worker takes over by itself, and so would the first if the other stalls on a busy machine (`fenced`)."""
    run = held_in_seven(site)
    pids = [site.drive(run, 1.0, insist=True) for _ in range(2)]
    victim = chance.randrange(2)
    strike(site, run, pids[victim], chance, took)
    hit = site.forks.wait(pids[victim]) == -signal.SIGKILL
    assert site.forks.wait(pids[1 - victim]) == 0, f"WERK_SEED={SEED}"
    interrupted = 1 + len(site.left("fenced", run))
    assert len(site.executed(run)) <= len(STEPS) + interrupted, f"WERK_SEED={SEED}"
    harm.count(site, run)
    return hit


def held_in_seven(site: Site) -> str:
    """A run whose last step waits for `go`: until then it cannot end, so that no kill comes too late."""
    for name in ("go", "waited-7"):
        (site.folder / name).unlink(missing_ok=True)
    (site.folder / "wait-7").touch()
    return site.start()


def strike(site: Site, run: str, pid: int, chance: random.Random, took: float) -> None:
    """Kill within about one step's time after the run has announced one of its steps, or before the first.

    Only after the last step's own announcement is the run let go first: there a kill may come too late, and another is made.
    """
    announced = chance.randrange(len(STEPS) + 1)
    until = time.monotonic() + PATIENCE_S
    while len(site.executed(run)) < announced:
        assert time.monotonic() < until, f"step {announced} never began"
        time.sleep(0.0005)
    if announced == len(STEPS):
        (site.folder / "go").touch()
    time.sleep(chance.uniform(0, took / len(STEPS)))
    os.kill(pid, signal.SIGKILL)
    (site.folder / "go").touch()


def timed(site: Site) -> float:
    """How long an undisturbed drive takes, from fork to end."""
    times = []
    for _ in range(3):
        run = site.start()
        began = time.monotonic()
        assert site.forks.wait(site.drive(run)) == 0
        times.append(time.monotonic() - began)
    return sorted(times)[1]


def stopped_between_writes(site: Site, pid: int) -> None:
    """Stopped in the middle of one it would keep all others from writing: that is another test's matter."""
    while True:
        os.kill(pid, signal.SIGSTOP)
        probe = threading.Thread(target=site.journal.append, args=([],))
        probe.start()
        probe.join(5.0)
        if not probe.is_alive():
            return
        os.kill(pid, signal.SIGCONT)
        probe.join()


def test_a_stopped_worker_that_wakes_up_is_fenced_out(site: Site) -> None:
    run = site.start()
    (site.folder / "wait-3").touch()
    stalled = site.drive(run, 0.3)
    appears(site.folder / "waited-3")
    stopped_between_writes(site, stalled)
    site.finish(run, 0.3)
    facts = site.journal.head().seq
    (site.folder / "go").touch()
    os.kill(stalled, signal.SIGCONT)
    assert site.forks.wait(stalled) == worker.LOST
    assert site.journal.head().seq == facts
    assert site.is_whole(run)
    assert Counter(site.executed(run)) == Counter({**dict.fromkeys(STEPS, 1), "three": 2})


def test_two_workers_racing_do_every_step_once(site: Site) -> None:
    for _ in range(3):
        run = site.start()
        pids = [site.drive(run, 30.0) for _ in range(2)]  # nobody stalls that long, however busy the machine
        codes = sorted(site.forks.wait(pid) for pid in pids)
        assert codes in ([0, 0], [0, worker.HELD])
        assert site.executed(run) == STEPS
        assert site.is_whole(run)


def test_a_step_longer_than_the_lease_keeps_its_run(site: Site) -> None:
    run = site.start()
    (site.folder / "wait-3").touch()
    pid = site.drive(run, 1.0)
    appears(site.folder / "waited-3")
    time.sleep(1.2)
    assert site.forks.wait(site.drive(run, 1.0)) == worker.HELD
    (site.folder / "go").touch()
    assert site.forks.wait(pid) == 0
    assert site.executed(run) == STEPS


def test_ctrl_c_gives_the_run_back_at_once(site: Site) -> None:
    run = site.start()
    (site.folder / "wait-3").touch()
    pid = site.drive(run, 60.0)
    appears(site.folder / "waited-3")
    os.kill(pid, signal.SIGINT)
    assert site.forks.wait(pid) == 130
    assert site.forks.wait(site.drive(run)) == 0  # no lease of 60 s stands in the way
    assert site.is_whole(run)


def test_four_runs_of_one_project_at_once_all_finish(site: Site) -> None:
    runs = [site.start() for _ in range(4)]
    pids = [site.drive(run) for run in runs]
    assert [site.forks.wait(pid) for pid in pids] == [0] * 4
    assert all(site.is_whole(run) for run in runs)
