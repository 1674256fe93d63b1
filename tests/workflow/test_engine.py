from __future__ import annotations

import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Lost, Refused, StepFailed, Tampered, Transient
from werk.core.journal import NewFact
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.journal import SqlJournal, replay, verify
from werk.workflow import Engine, Pipeline, Progress, StepContext, pipeline, step
from werk.workflow.capture import mask

GIVEN: dict[str, Any] = {"pins": {"raw.flights": 3}, "code": {"tree": "t1"}, "environment": {"sha256": "e1"}}


@dataclass(slots=True)
class World:
    """What the steps below do and where they fail; `calls` is their side effect."""

    calls: list[str]
    broken: BaseException | None = None
    factor: int = 2


@dataclass(frozen=True, slots=True)
class Options:
    rounds: int = 2


class Tables:
    def __init__(self, p: Platform, context: StepContext) -> None:
        self._context = context

    def read(self, table: str) -> int:
        version = self._context.pins[table]
        self._context.read(Snapshot(table, version))
        return version

    def write(self, table: str, version: int) -> None:
        self._context.wrote(Snapshot(table, version))


@step("load")
def load(start: date, *, tables: Tables, world: World) -> pl.LazyFrame:
    world.calls.append("load")
    return pl.LazyFrame({"day": [start], "version": [tables.read("raw.flights")]})


@step("double", retries=1)
def double(rows: pl.DataFrame, options: Options, *, tables: Tables, world: World) -> tuple[int, Options]:
    world.calls.append("double")
    if world.broken:
        raise world.broken
    tables.write("product.doubled", 7)
    return rows["version"][0] * world.factor, options


@step("publish", cache=False)
def publish(number: int, options: Options, *, tables: Tables, world: World, p: Platform) -> str:
    world.calls.append("publish")
    p.journal.append([NewFact("test.published", "it", {"number": number})])
    return f"{number} {options.rounds} {tables.read('product.doubled')}"


@pipeline
def chain(start: date, options: Options = Options()) -> None:
    number, same = double(load(start), options)
    publish(number, same)


@step("judge", files=("limits.toml", "{extra}"))
def judge(number: int, extra: str = "extra.toml", *, world: World, context: StepContext) -> str:
    world.calls.append("judge")
    path = context.root / "limits.toml"
    said = path.read_text() if path.is_file() else "nothing"
    if said == "changes":
        path.write_text("while it was read")
    return f"{number} {said}"


@pipeline
def judging(number: int = 1) -> None:
    judge(number)


@pytest.fixture
def world() -> World:
    return World([])


@pytest.fixture
def told() -> list[Progress]:
    return []


@pytest.fixture
def engine(platform: Platform, world: World, told: list[Progress]) -> Engine:
    return made(platform, world, told)


def made(platform: Platform, world: World, told: list[Progress], **more: Any) -> Engine:
    resources: Mapping[str, Callable[[Platform, StepContext], object]] = {"tables": Tables, "world": lambda p, c: world}
    return Engine(platform, resources, progress=told.append, **more)


def begin(engine: Engine, **more: Any) -> str:
    return engine.start(chain, {"start": date(2013, 1, 1)}, **{**GIVEN, **more})


def row(platform: Platform, run: str) -> Mapping[str, Any]:
    return platform.journal.rows("runs", {"run": run})[0]


def steps(platform: Platform, run: str) -> dict[str, Mapping[str, Any]]:
    return {str(found["step"]): found for found in platform.journal.rows("steps", {"run": run})}


def test_a_run_is_recorded_from_start_to_finish(engine: Engine, platform: Platform, world: World) -> None:
    run = begin(engine, cause={"seq": 1, "kind": "drift.detected"})
    assert row(platform, run)["status"] == "running"
    assert engine.drive(chain, run) == "finished"
    assert world.calls == ["load", "double", "publish"]
    found = row(platform, run)
    assert (found["status"], found["pipeline"], found["pins"]) == ("finished", "chain", {"raw.flights": 3})
    assert (found["environment_sha256"], found["code"], found["stage"]) == ("e1", {"tree": "t1"}, "test")
    assert found["ended"] >= found["started"]
    done = steps(platform, run)
    assert [done[name]["status"] for name in ("load", "double", "publish")] == ["finished"] * 3
    assert done["load"]["reads"] == ["raw.flights@3"]
    assert done["load"]["usage"]["wall_s"] >= 0


def test_later_steps_stand_on_what_earlier_ones_wrote(engine: Engine, platform: Platform) -> None:
    run = begin(engine)
    engine.drive(chain, run)
    edges = {(str(e["step"]), str(e["direction"]), str(e["dataset"])) for e in platform.journal.rows("edges", {"run": run})}
    assert edges == {
        ("load", "read", "raw.flights@3"),
        ("double", "write", "product.doubled@7"),
        ("publish", "read", "product.doubled@7"),
    }


def test_a_steps_own_facts_carry_the_run(engine: Engine, platform: Platform) -> None:
    run = begin(engine)
    engine.drive(chain, run)
    assert [fact.run for fact in platform.journal.facts(kinds=["test.published"])] == [run]


def test_a_second_run_takes_equal_steps_from_the_cache(engine: Engine, platform: Platform, world: World) -> None:
    first, second = begin(engine), begin(engine)
    engine.drive(chain, first)
    engine.drive(chain, second)
    assert world.calls == ["load", "double", "publish", "publish"]
    done = steps(platform, second)
    assert (done["load"]["status"], done["load"]["cached_from"]) == ("cached", f"{first}/load")
    assert done["double"]["writes"] == ["product.doubled@7"]
    third = begin(engine)
    engine.drive(chain, third)
    assert steps(platform, third)["load"]["cached_from"] == f"{first}/load"


def environment(numpy: str, pip: str = "23", threads: int = 1) -> dict[str, Any]:
    distributions = {"numpy": {"version": numpy}, "pip": {"version": pip}}
    return {"sha256": f"{numpy}/{pip}/{threads}", "facts": {"distributions": distributions, "threads": {"openblas": threads}}}


def test_another_library_or_thread_count_misses_and_another_installer_does_not(
    engine: Engine, platform: Platform, world: World
) -> None:
    def found(**about: Any) -> str:
        run = begin(engine, environment=environment(**about))
        engine.drive(chain, run)
        return str(steps(platform, run)["load"]["status"])

    assert found(numpy="2.3") == "finished"
    assert found(numpy="2.3") == "cached"
    assert found(numpy="2.3", pip="24") == "cached"
    assert found(numpy="2.4") == "finished"
    assert found(numpy="2.3", threads=2) == "finished"
    assert found(numpy="2.4") == "cached"


def test_a_resumed_run_keeps_its_results_under_the_environment_of_that_day(
    engine: Engine, platform: Platform, world: World
) -> None:
    world.broken = ValueError("broken")
    run = begin(engine, environment=environment("2.3"))
    with pytest.raises(StepFailed):
        engine.drive(chain, run)
    world.broken = None
    engine.resume(chain, run, environment=environment("2.4"))
    later = begin(engine, environment=environment("2.3"))
    engine.drive(chain, later)
    assert (steps(platform, later)["load"]["status"], steps(platform, later)["double"]["status"]) == ("cached", "finished")


@pytest.mark.parametrize(
    ("change", "again"),
    [
        ({"pins": {"raw.flights": 4}}, ["load", "double", "publish"]),
        ({"fresh": True}, ["load", "double", "publish"]),
        ({"pins": {"raw.flights": 3, "raw.planes": 9}}, ["publish"]),
        ({"code": {"tree": "t2"}}, ["publish"]),
    ],
)
def test_only_what_a_step_depends_on_misses(engine: Engine, world: World, change: dict[str, Any], again: list[str]) -> None:
    engine.drive(chain, begin(engine))
    world.calls.clear()
    engine.drive(chain, begin(engine, **change))
    assert world.calls == again


def test_other_parameters_miss_only_where_they_go(engine: Engine, world: World) -> None:
    engine.drive(chain, begin(engine))
    world.calls.clear()
    run = engine.start(chain, {"start": date(2013, 1, 1), "options": Options(5)}, **GIVEN)
    engine.drive(chain, run)
    assert world.calls == ["double", "publish"]


def test_going_back_to_an_earlier_version_hits_again(engine: Engine, world: World) -> None:
    for version in (3, 4):
        engine.drive(chain, begin(engine, pins={"raw.flights": version}))
    world.calls.clear()
    engine.drive(chain, begin(engine, pins={"raw.flights": 3}))
    assert world.calls == ["publish"]


def test_a_payload_that_is_gone_is_computed_again(engine: Engine, platform: Platform, world: World) -> None:
    first = begin(engine)
    engine.drive(chain, first)
    platform.object_store.delete([steps(platform, first)["load"]["outputs"][0]["key"]])
    world.calls.clear()
    engine.drive(chain, begin(engine))
    assert world.calls == ["load", "publish"]


def test_users_errors_fail_the_run_with_their_frames_only(platform: Platform, world: World, told: list[Progress]) -> None:
    engine = made(platform, world, told, mask=lambda text: text.replace("hunter2", "***"))
    world.broken = ValueError("no connection with hunter2")
    run = begin(engine)
    with pytest.raises(StepFailed, match=r"The step 'double' failed: ValueError: no connection with \*\*\*") as failed:
        engine.drive(chain, run)
    trace = failed.value.user_traceback
    assert "test_engine.py" in trace
    assert "workflow/engine.py" not in trace.replace("\\", "/")
    fact = next(platform.journal.facts(kinds=["run.failed"], subject=run))
    assert fact.body is not None
    assert (fact.body["step"], fact.body["code"], fact.body["attempt"]) == ("double", "step-failed", 2)
    assert "hunter2" not in str(fact.body)
    assert row(platform, run)["status"] == "failed"
    assert world.calls == ["load", "double", "double"]  # one retry was asked for
    assert [sign.event for sign in told] == ["started", "finished", "started", "retried", "failed"]


def test_a_failed_run_goes_on_after_the_fix(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = ValueError("broken")
    run = begin(engine)
    with pytest.raises(StepFailed):
        engine.drive(chain, run)
    assert engine.drive(chain, run) == "failed"  # only a resume takes it up again
    world.broken = None
    world.calls.clear()
    assert engine.resume(chain, run, code={"tree": "t2"}) == "finished"
    assert world.calls == ["double", "publish"]
    assert (row(platform, run)["status"], row(platform, run)["error"]) == ("finished", None)
    assert steps(platform, run)["double"]["attempt"] == 3
    resumed = next(platform.journal.facts(kinds=["run.resumed"]))
    assert resumed.body is not None
    assert (resumed.body["code"], resumed.body["steps_done"]) == ({"tree": "t2"}, ["load"])


def test_a_finished_run_says_so(engine: Engine, world: World, told: list[Progress]) -> None:
    run = begin(engine)
    engine.drive(chain, run)
    world.calls.clear()
    assert engine.resume(chain, run) == "finished"
    assert (told[-1].event, world.calls) == ("already-finished", [])


def test_a_refusal_is_recorded_and_raised_as_itself(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = Refused("The gate says no.", code="gate-refused")
    run = begin(engine)
    with pytest.raises(Refused, match="gate says no"):
        engine.drive(chain, run)
    assert row(platform, run)["status"] == "refused"
    assert world.calls == ["load", "double"]  # a no is not tried again
    world.broken = None
    assert engine.resume(chain, run) == "finished"


def test_wrong_input_inside_a_step_is_raised_as_itself(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = InputError("There is no table 'x'.", code="table-unknown")
    run = begin(engine)
    with pytest.raises(InputError, match="no table"):
        engine.drive(chain, run)
    assert row(platform, run)["error"]["code"] == "table-unknown"


def test_ctrl_c_lets_the_run_go_at_once(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = KeyboardInterrupt()
    run = begin(engine)
    with pytest.raises(KeyboardInterrupt):
        engine.drive(chain, run)
    assert row(platform, run)["status"] == "running"
    world.broken = None
    assert engine.resume(chain, run) == "finished"


def test_damaged_results_of_earlier_steps_are_never_used(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = ValueError("stop")
    run = begin(engine)
    with pytest.raises(StepFailed):
        engine.drive(chain, run)
    world.broken = None
    platform.object_store.put({steps(platform, run)["load"]["outputs"][0]["key"]: b"other bytes"})
    with pytest.raises(Tampered):
        engine.resume(chain, run)


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "'start' is missing"),
        ({"start": date(2013, 1, 1), "strat": 1}, "no parameter 'strat'. Did you mean 'start'"),
        ({"start": {1, 2}}, "type set"),
    ],
)
def test_wrong_parameters_leave_no_trace(engine: Engine, platform: Platform, params: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        engine.start(chain, params, **GIVEN)
    assert platform.journal.head().seq == 0


def test_a_secret_is_no_parameter(platform: Platform, world: World) -> None:
    @step("greet")
    def greet(name: str) -> str:
        return name

    @pipeline
    def greeting(name: str) -> None:
        greet(name)

    engine = made(platform, world, [], mask=lambda text: text.replace("hunter2", "***"))
    with pytest.raises(InputError, match="'name' holds a secret"):
        engine.start(greeting, {"name": "x-hunter2"}, **GIVEN)
    assert platform.journal.head().seq == 0


@pytest.mark.parametrize(("variable", "value"), [("DB_PASSWORD", "abc"), ("PLANT_TOKEN", 'a"quote\\é')])
def test_the_value_of_a_secret_variable_is_no_parameter_however_short(
    platform: Platform, world: World, monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    @step("greet")
    def greet(name: str) -> str:
        return name

    @pipeline
    def greeting(name: str) -> None:
        greet(name)

    monkeypatch.setenv(variable, value)
    engine = made(platform, world, [], mask=mask)
    with pytest.raises(InputError, match="'name' holds a secret"):
        engine.start(greeting, {"name": value}, **GIVEN)
    assert platform.journal.head().seq == 0
    assert engine.start(greeting, {"name": "abcdef"}, **GIVEN)


def test_an_unknown_resource_is_found_before_anything_runs(platform: Platform) -> None:
    with pytest.raises(InputError, match="no resource for step 'load' 'tables'"):
        begin(Engine(platform, {"tabels": Tables, "world": Tables}))
    with pytest.raises(InputError, match="no run 'run_nowhere'"):
        Engine(platform, {}).drive(chain, "run_nowhere")


def test_the_number_of_outputs_is_checked(platform: Platform) -> None:
    @step("two")
    def two() -> tuple[int, int]:
        return (1, 2, 3)  # type: ignore[return-value]  # the point of the test

    @pipeline
    def pair() -> None:
        two()

    engine = Engine(platform, {})
    with pytest.raises(InputError, match="returns 2 values, but returned tuple"):
        engine.drive(pair, engine.start(pair, {}, **GIVEN))


def test_a_run_somebody_drives_is_left_alone(engine: Engine, platform: Platform) -> None:
    run = begin(engine)
    held = platform.journal.claim(run, "somebody", ttl_s=60)
    assert held is not None
    with pytest.raises(Transient, match="Another worker"):
        engine.drive(chain, run)
    platform.journal.release(held)
    assert engine.drive(chain, run) == "finished"


def test_a_worker_that_lost_its_run_writes_nothing(platform: Platform, told: list[Progress]) -> None:
    """The lease ends while a step works; another worker finishes the run before the step returns."""
    world = World([])
    stalled = made(platform, world, told, lease_s=3600.0)
    run = begin(stalled)
    other = made(platform, World([]), [])

    class Steals(Tables):
        def __init__(self, p: Platform, context: StepContext) -> None:
            super().__init__(p, context)
            # Expire the lease as a stopped process would: its owner no longer renews it.
            lease = p.journal._lease  # type: ignore[attr-defined]  # the run-bound journal's own
            platform.journal.release(lease)
            assert other.drive(chain, run) == "finished"

    stalled._resources["tables"] = Steals
    with pytest.raises(Lost):
        stalled.drive(chain, run)
    finished = [fact.body["step"] for fact in platform.journal.facts(kinds=["step.finished"], run=run) if fact.body]
    assert finished == ["load", "double", "publish"]
    assert row(platform, run)["status"] == "finished"


def test_changed_code_of_a_finished_step_is_kept_and_said(
    engine: Engine, platform: Platform, world: World, told: list[Progress]
) -> None:
    world.broken = ValueError("broken")
    run = begin(engine)
    with pytest.raises(StepFailed):
        engine.drive(chain, run)
    world.broken = None
    told.clear()
    assert engine.resume(chain_changed(), run) == "finished"
    assert [(sign.event, sign.step) for sign in told if sign.event == "kept"] == [("kept", "load")]
    resumed = next(platform.journal.facts(kinds=["run.resumed"]))
    assert resumed.body is not None
    assert resumed.body["kept"] == ["load"]


def chain_changed() -> Pipeline:
    @step("load")
    def load(start: date, *, tables: Tables, world: World) -> pl.LazyFrame:
        raise AssertionError("a finished step is not run again")

    @pipeline
    def chain(start: date, options: Options = Options()) -> None:
        number, same = double(load(start), options)
        publish(number, same)

    return chain


def test_another_graph_is_another_run(engine: Engine, world: World) -> None:
    @pipeline
    def shorter(start: date, options: Options = Options()) -> None:
        double(load(start), options)

    run = begin(engine)
    with pytest.raises(InputError, match="other steps or connections"):
        engine.drive(shorter, run)


def test_one_engine_drives_many_runs_at_once(engine: Engine, platform: Platform) -> None:
    runs = [begin(engine, fresh=True) for _ in range(4)]
    threads = [threading.Thread(target=engine.drive, args=(chain, run)) for run in runs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [row(platform, run)["status"] for run in runs] == ["finished"] * 4


def test_at_most_four_of_our_frames_stand_between_a_step_and_the_journal(platform: Platform) -> None:
    depth: list[list[str]] = []

    class Watched:
        """The real journal; it notes who called it."""

        def __init__(self, inner: Any) -> None:
            self._inner = inner

        def __getattr__(self, name: str) -> Any:
            return getattr(self._inner, name)

        def append(self, facts: Any, *, lease: Any = None) -> Any:
            depth.append([frame.filename for frame in traceback.extract_stack()])
            return self._inner.append(facts, lease=lease)

    @step("note")
    def note(*, p: Platform) -> None:
        p.journal.append([NewFact("test.noted", "it", {})])

    @pipeline
    def noting() -> None:
        note()

    engine = Engine(replace(platform, journal=Watched(platform.journal)), {})  # type: ignore[arg-type]  # delegates
    engine.drive(noting, engine.start(noting, {}, **GIVEN))
    noted = next(stack for stack in depth if stack[-2].endswith("run_journal.py") and Path(stack[-3]).name == "test_engine.py")
    after_step = noted[len(noted) - 1 - noted[:-1][::-1].index(stack_file(noted)) :]
    assert sum("werk" in Path(file).parts for file in after_step) <= 4


def stack_file(stack: list[str]) -> str:
    return next(file for file in reversed(stack[:-1]) if Path(file).name == "test_engine.py")


def test_what_is_read_of_runs_is_what_their_facts_say(engine: Engine, platform: Platform, world: World) -> None:
    world.broken = ValueError("broken")
    run = begin(engine)
    with pytest.raises(StepFailed):
        engine.drive(chain, run)
    world.broken = None
    engine.resume(chain, run)
    engine.drive(chain, begin(engine))
    assert isinstance(platform.journal, SqlJournal)
    assert verify(platform.journal).ok
    replayed = replay(platform.journal)
    assert {name: len(rows) for name, rows in replayed.items()} == {"runs": 2, "steps": 6, "edges": 6, "cache": 2}
    for name, rows in replayed.items():
        assert sorted(rows, key=str) == sorted(platform.journal.rows(name), key=str)


# --- files of the project ---


@pytest.fixture
def judged(platform: Platform, world: World, told: list[Progress], tmp_path: Path) -> Callable[[], Mapping[str, Any]]:
    """Judge once more in a project folder of the test's own; returns the step's row."""
    folder = tmp_path / "project"
    folder.mkdir()
    moved = replace(platform, project=replace(platform.project, root=folder))
    engine = made(moved, world, told)

    def again() -> Mapping[str, Any]:
        run = engine.start(judging, {}, **GIVEN)
        engine.drive(judging, run)
        return steps(moved, run)["judge"]

    return again


def test_a_result_is_kept_only_while_the_declared_files_hold_the_same(
    judged: Callable[[], Mapping[str, Any]], world: World, tmp_path: Path
) -> None:
    limits, extra = tmp_path / "project" / "limits.toml", tmp_path / "project" / "extra.toml"
    first = judged()
    assert first["files"] == {"limits.toml": None, "extra.toml": None}
    assert judged()["cached_from"]
    limits.write_text("strict")
    second = judged()
    assert (second["cached_from"], second["files"]["limits.toml"]) == (None, sha256_hex("strict"))
    again = judged()
    assert again["cached_from"]
    assert again["files"] == second["files"], "a result from the cache names its files too"
    extra.write_text("named by an input")
    assert judged()["cached_from"] is None
    extra.unlink()
    limits.unlink()
    back = judged()
    assert back["cached_from"], "without the files it stands where the first run stood"
    assert (back["files"], back["outputs"]) == (first["files"], first["outputs"])
    assert world.calls == ["judge"] * 3


def test_a_file_that_changes_while_the_step_reads_it_gives_no_result(
    judged: Callable[[], Mapping[str, Any]], tmp_path: Path
) -> None:
    (tmp_path / "project" / "limits.toml").write_text("changes")
    with pytest.raises(InputError) as raised:
        judged()
    assert (raised.value.code, "limits.toml" in raised.value.message) == ("file-changed", True)


@pytest.mark.parametrize("name", ["../secret", "/etc/hosts", "{nothing}"])
def test_a_step_declares_only_files_of_its_project(name: str) -> None:
    with pytest.raises(InputError) as raised:
        step("reads", files=(name,))(lambda: None)
    assert raised.value.code == "step-file"
