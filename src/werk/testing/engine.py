"""What every engine promises (see `werk.core.ports.engine`), one test or more a promise, with workers that are really killed.

Subclass `EngineSuite` with a fixture `place`. Its steps are a use case as an author writes one, in a folder of its own; a file
put into that folder makes a step misbehave once. `python -m werk.testing.engine` is the worker that gets killed.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar, Protocol

import pytest

from werk.core.errors import InputError, Lost, Refused, StepFailed, Transient
from werk.core.journal import Journal
from werk.core.ports.engine import Engine, Progress
from werk.core.spec import FromStep, Node, Spec

USE_CASE = '''
import os
import signal
import time
from pathlib import Path

from werk import pipeline, step
from werk.core.errors import Refused

HERE = Path(__file__).parent


def told_to(act, number):
    """A file `fail-3` makes step 3 fail, once."""
    plan = HERE / f"{act}-{number}"
    return plan.exists() and plan.rename(HERE / f"{act}-{number}-done")


def work(number, context):
    with (HERE / "executed").open("a") as file:
        file.write(f"{context.run} {context.step}\\n")
    if told_to("kill", number):
        os.kill(os.getpid(), signal.SIGKILL)
    if told_to("fail", number):
        raise ValueError("as the file said")
    if told_to("refuse", number):
        raise Refused("The file said no.", code="suite-refused")
    if told_to("wait", number):
        while not (HERE / "go").exists():
            time.sleep(0.01)
    return number + 1


@step("one")
def one(first: int, *, context) -> int:
    return work(first, context)


@step("two")
def two(n: int, *, context) -> int:
    return work(n, context)


@step("three")
def three(n: int, *, context) -> int:
    return work(n, context)


@step("four")
def four(n: int, *, context) -> int:
    return work(n, context)


@pipeline
def chain(first: int = 1):
    four(three(two(one(first))))
'''
CHANGED = USE_CASE.replace("def two(n: int, *, context) -> int:\n", "def two(n: int, *, context) -> int:\n    n = int(n)\n")
LONGER = USE_CASE.replace("    four(three(two(one(first))))", "    four(four(three(two(one(first)))))")
STEPS = ["one", "two", "three", "four"]
GIVEN: Mapping[str, Any] = {"pins": {}, "code": {}, "environment": {}, "fresh": True}
LOST, HELD = 40, 41
PATIENCE_S = 30.0
_LOADED = itertools.count(1)


class Bench(Protocol):
    """An open journal, and engines on it: each is a worker of its own, its platform's project is the use case's folder."""

    journal: Journal

    def engine(self, *, lease_s: float = 30.0, progress: Callable[[Progress], None] | None = None) -> Engine[Any]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Place:
    """Where runs live, so that another process finds the same: `opener` is `path/to/file.py:function`.

    The function takes `folder`, the use case's, and the texts in `given`, and returns a `Bench`.
    """

    folder: Path
    opener: str
    given: Mapping[str, str]

    def opened(self) -> Bench:
        path, _, name = self.opener.rpartition(":")
        bench: Bench = getattr(_loaded(Path(path)), name)(folder=self.folder, **self.given)
        return bench

    def chain(self) -> Any:
        return _loaded(self.folder / "use_case.py").chain

    def write(self, code: str) -> None:
        (self.folder / "use_case.py").write_text(code, encoding="utf-8")

    def plan(self, act: str) -> None:
        (self.folder / act).touch()

    def executed(self, run: str) -> list[str]:
        """Every execution of a step of the run, oldest first."""
        file = self.folder / "executed"
        lines = [line.split() for line in file.read_text().splitlines()] if file.exists() else []
        return [step for of, step in lines if of == run]

    def worker(self, run: str, lease_s: float = 0.5) -> subprocess.Popen[bytes]:
        """A process that drives the run; it ends with 0, `LOST`, `HELD` or by the signal that killed it."""
        order = {"folder": str(self.folder), "opener": self.opener, "given": dict(self.given), "run": run, "lease_s": lease_s}
        return subprocess.Popen([sys.executable, "-m", "werk.testing.engine", json.dumps(order)])


@dataclass(slots=True)
class Site:
    """An open place as a test uses it."""

    place: Place
    bench: Bench

    def start(self, pipeline: Any = None, **params: object) -> str:
        return self.bench.engine().start(pipeline or self.place.chain(), params, **GIVEN)

    def finish(self, run: str, lease_s: float = 0.5) -> None:
        """Go on until it is done, as a supervisor does: a dead worker's lease first has to end."""
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                assert self.bench.engine(lease_s=lease_s).resume(self.place.chain(), run) == "finished"
                return
            except Transient:
                assert time.monotonic() < end, "the lease of a dead worker never ended"
                time.sleep(0.02)

    def finished(self, run: str) -> list[str]:
        """Steps with a result, one entry a fact."""
        return [str(fact.body["step"]) for fact in self.bench.journal.facts(kinds=["step.finished"], run=run) if fact.body]

    def kinds(self, run: str) -> list[str]:
        return [fact.kind for fact in self.bench.journal.facts(run=run) if fact.kind.startswith("run.")]

    def is_whole(self, run: str) -> bool:
        return self.finished(run) == STEPS and self.kinds(run).count("run.finished") == 1


class EngineSuite:
    """Subclass with a fixture `place`.

    `notyet` names what the engine does not do yet, `never` what it cannot: both are checked, and fail once they work.

    Known words: `map`, `when`, `approval` (promise 9), `own clock` (promise 4: the journal's database is the workers' own
    machine, so that there is no second clock).
    """

    notyet: ClassVar[frozenset[str]] = frozenset()
    never: ClassVar[frozenset[str]] = frozenset()

    @pytest.fixture
    def site(self, place: Place) -> Iterator[Site]:
        place.write(USE_CASE)
        made = Site(place, place.opened())
        yield made
        made.bench.close()

    def declared(self, request: pytest.FixtureRequest, what: str, raises: type[BaseException]) -> None:
        """A declared gap must still be one, with that very error."""
        for gap, names in (("notyet", self.notyet), ("never", self.never)):
            if what in names:
                request.applymarker(pytest.mark.xfail(reason=f"{gap}: {what}", raises=raises, strict=True))

    def test_1_start_records_and_runs_nothing(self, site: Site) -> None:
        run = site.start()
        assert (site.kinds(run), site.finished(run), site.place.executed(run)) == (["run.started"], [], [])

    @pytest.mark.parametrize("params", [{"furst": 1}, {"first": object()}])
    def test_1_wrong_input_records_nothing(self, site: Site, params: dict[str, object]) -> None:
        with pytest.raises(InputError):
            site.start(**params)
        assert list(site.bench.journal.facts()) == []

    def test_2_a_drive_gives_each_step_one_result(self, site: Site) -> None:
        run = site.start()
        assert site.bench.engine().drive(site.place.chain(), run) == "finished"
        assert site.place.executed(run) == STEPS
        assert site.is_whole(run)

    @pytest.mark.parametrize("number", [1, 3])
    def test_2_and_3_after_a_kill_only_what_was_not_finished_runs(self, site: Site, number: int) -> None:
        run = site.start()
        site.place.plan(f"kill-{number}")
        assert site.place.worker(run).wait(PATIENCE_S) == -signal.SIGKILL
        assert site.finished(run) == STEPS[: number - 1]
        site.finish(run)
        assert site.place.executed(run) == [*STEPS[:number], *STEPS[number - 1 :]]
        assert site.is_whole(run)

    def test_3_a_finished_run_stays_as_it_is(self, site: Site) -> None:
        run = site.start()
        site.finish(run)
        facts = site.bench.journal.head()
        assert site.bench.engine().drive(site.place.chain(), run) == "finished"
        assert site.bench.engine().resume(site.place.chain(), run) == "finished"
        assert site.bench.journal.head() == facts
        assert site.place.executed(run) == STEPS

    def test_4_a_driven_run_is_held_however_long_its_step(self, site: Site) -> None:
        with self.waiting_in_two(site, lease_s=2.0) as run:
            time.sleep(2.5)
            with pytest.raises(Transient) as held:
                site.bench.engine().resume(site.place.chain(), run)
            assert held.value.code == "run-held"
        assert site.place.executed(run) == STEPS

    def test_4_the_lease_goes_by_the_journals_clock(
        self, site: Site, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
    ) -> None:
        """A worker whose own clock is an hour ahead takes nobody's run."""
        self.declared(request, "own clock", pytest.fail.Exception)
        with self.waiting_in_two(site, lease_s=30.0) as run, monkeypatch.context() as patch:
            ahead, ns = time.time() + 3600, time.time_ns() + 3600 * 10**9
            patch.setattr(time, "time", lambda: ahead)
            patch.setattr(time, "time_ns", lambda: ns)
            with pytest.raises(Transient):
                site.bench.engine().resume(site.place.chain(), run)

    def test_5_a_stalled_worker_that_wakes_up_is_fenced_out(self, site: Site) -> None:
        run = site.start()
        site.place.plan("wait-2")
        stalled = site.place.worker(run)
        until((site.place.folder / "wait-2-done").exists)
        stalled.send_signal(signal.SIGSTOP)
        site.finish(run)
        facts = site.bench.journal.head()
        site.place.plan("go")
        stalled.send_signal(signal.SIGCONT)
        assert stalled.wait(PATIENCE_S) == LOST
        assert site.bench.journal.head() == facts
        assert site.is_whole(run)
        assert Counter(site.place.executed(run)) == Counter({**dict.fromkeys(STEPS, 1), "two": 2})

    @pytest.mark.parametrize(("act", "error", "kind"), [("fail", StepFailed, "run.failed"), ("refuse", Refused, "run.refused")])
    def test_6_a_failure_or_refusal_is_gone_on_from(self, site: Site, act: str, error: type[Exception], kind: str) -> None:
        run = site.start()
        site.place.plan(f"{act}-3")
        with pytest.raises(error):
            site.bench.engine().drive(site.place.chain(), run)
        ended = next(iter(site.bench.journal.facts(kinds=[kind], run=run)))
        assert ended.body is not None
        assert ended.body["step"] == "three"
        assert "file said" in str(ended.body["message"])
        site.finish(run)
        assert site.place.executed(run) == ["one", "two", "three", "three", "four"]
        assert site.kinds(run) == ["run.started", kind, "run.resumed", "run.finished"]

    def test_7_changed_code_of_a_finished_step_is_kept_and_said(self, site: Site) -> None:
        run = self.failed_in_three(site)
        site.place.write(CHANGED)
        told: list[Progress] = []
        assert site.bench.engine(progress=told.append).resume(site.place.chain(), run) == "finished"
        assert [sign.step for sign in told if sign.event == "kept"] == ["two"]
        assert all("changed" in sign.note for sign in told if sign.event == "kept")
        resumed = next(iter(site.bench.journal.facts(kinds=["run.resumed"], run=run)))
        assert resumed.body is not None
        assert resumed.body["kept"] == ["two"]
        assert site.place.executed(run).count("two") == 1

    def test_7_unchanged_code_is_not_said_to_have_changed(self, site: Site) -> None:
        run = self.failed_in_three(site)
        told: list[Progress] = []
        site.bench.engine(progress=told.append).resume(site.place.chain(), run)
        assert [sign for sign in told if sign.event == "kept"] == []

    def test_7_other_connections_are_another_run(self, site: Site) -> None:
        run = self.failed_in_three(site)
        site.place.write(LONGER)
        with pytest.raises(InputError) as refused:
            site.bench.engine().resume(site.place.chain(), run)
        assert refused.value.code == "pipeline-changed"

    def test_8_one_engine_drives_many_runs_at_once(self, site: Site) -> None:
        engine, chain = site.bench.engine(), site.place.chain()
        runs = [engine.start(chain, {}, **GIVEN) for _ in range(6)]
        with ThreadPoolExecutor(3) as pool:
            assert list(pool.map(lambda run: engine.drive(chain, run), runs)) == ["finished"] * 6
        assert all(site.is_whole(run) for run in runs)

    @pytest.mark.parametrize("kind", ["map", "when", "approval"])
    def test_9_a_node_it_cannot_run_is_refused_before_anything_is_recorded(self, site: Site, kind: str) -> None:
        if kind not in self.notyet:
            return  # the next test runs it
        with pytest.raises(InputError) as refused:
            site.start(Odd(site.place.chain(), kind))
        assert refused.value.code == "node-kind"
        assert "'two'" in refused.value.message
        assert list(site.bench.journal.facts()) == []

    @pytest.mark.parametrize("kind", ["map", "when", "approval"])
    def test_9_what_is_not_declared_as_a_gap_runs(self, site: Site, kind: str, request: pytest.FixtureRequest) -> None:
        self.declared(request, kind, InputError)
        assert site.start(Odd(site.place.chain(), kind))

    @contextmanager
    def waiting_in_two(self, site: Site, *, lease_s: float) -> Iterator[str]:
        """A run whose second step waits, driven by another thread; it is finished afterwards."""
        run = site.start()
        site.place.plan("wait-2")
        engine, chain = site.bench.engine(lease_s=lease_s), site.place.chain()
        with ThreadPoolExecutor(1) as pool:
            driver = pool.submit(engine.drive, chain, run)
            try:
                until((site.place.folder / "wait-2-done").exists)
                yield run
            finally:
                site.place.plan("go")
        assert isinstance(driver.exception(), Lost | None)
        assert site.is_whole(run)

    def failed_in_three(self, site: Site) -> str:
        run = site.start()
        site.place.plan("fail-3")
        with pytest.raises(StepFailed):
            site.bench.engine().drive(site.place.chain(), run)
        return run


class Odd:
    """A pipeline whose second node is one of the kinds that not every engine runs."""

    def __init__(self, inner: Any, kind: str) -> None:
        self._inner, self._kind = inner, kind

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def spec(self) -> Spec:
        spec: Spec = self._inner.spec()
        return replace(spec, nodes=tuple(self._odd(node) if node.id == "two" else node for node in spec.nodes))

    def _odd(self, node: Node) -> Node:
        match self._kind:
            case "map":
                return replace(node, map_over="n")
            case "when":
                return replace(node, when=FromStep("one"))
            case _:
                return replace(node, kind="approval")


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.005)


def _loaded(path: Path) -> ModuleType:
    """The file as it is now, under a name of its own, so that an earlier state of it stays what it was."""
    name = f"{path.stem}_{next(_LOADED)}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(order: Mapping[str, Any]) -> int:
    place = Place(Path(order["folder"]), order["opener"], order["given"])
    bench = place.opened()
    try:
        return 0 if bench.engine(lease_s=order["lease_s"]).resume(place.chain(), order["run"]) == "finished" else 1
    except Lost:
        return LOST
    except Transient as held:
        return HELD if held.code == "run-held" else 1
    finally:
        bench.close()


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
