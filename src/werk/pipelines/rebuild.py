"""A registered model trained again from what was recorded of it, and what its comparison with the original says.

The verdicts:

- `identical`: every recorded input is equal (code, table versions, environment with its threads and kernels, parameters,
  seed) and the canonical hash is equal;
- `equivalent`: the hashes are equal but an input differs, or no probe prediction is further away than the tolerance that
  was recorded at registration (`pipelines/probe.py`);
- `different`: neither;
- `not rebuildable`: something recorded is gone (a table version, the code, a library) or erased, or the training stops;
- `not comparable`: another processor architecture, or another kind of hash.

`causes` names the inputs that differ, and then the first step whose result does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.core.journal import Fact, Row
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.ports.engine import Engine
from werk.core.spec import Spec
from werk.models import Model, canonical_hash, model_codec
from werk.pipelines import probe
from werk.pipelines.probe import Distance, Predictions
from werk.registry import version_row
from werk.workflow import Pipeline
from werk.workflow.capture import Environment, differences
from werk.workflow.params import from_json
from werk.workflow.payloads import classes_in

Outcome = Literal["identical", "equivalent", "different", "not rebuildable", "not comparable"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a rebuild may use: nothing of the stored model is in it. `step` is the one that gives the model."""

    pipeline: str
    step: str
    params: Mapping[str, JSON]
    pins: Mapping[str, int]
    code: Mapping[str, JSON]
    environment: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Done:
    """What one step was and gave: the hash of its code, the digests of its outputs, the table versions and files it read."""

    step: str
    code: str
    outputs: tuple[str, ...]
    reads: tuple[str, ...]
    files: Mapping[str, str | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trained:
    """One training, recorded or repeated: the model's identity, its trainer's own settings, its probe, the steps up to it."""

    identity: str
    environment: Environment
    steps: tuple[Done, ...]
    seed: int | None
    params: Mapping[str, JSON]
    probe: Predictions

    def to_json(self) -> dict[str, object]:
        return asdict(self)

    @classmethod
    def from_json(cls, body: Mapping[str, Any]) -> Trained:
        steps = tuple(Done(s["step"], s["code"], tuple(s["outputs"]), tuple(s["reads"]), s["files"]) for s in body["steps"])
        return cls(**{**body, "environment": Environment.from_json(body["environment"]), "steps": steps})


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """The verdict of this module's docstring with what was measured; `rebuilt` is empty when nothing was trained."""

    version: str
    outcome: Outcome
    recorded: str
    rebuilt: str = ""
    causes: tuple[str, ...] = ()
    probe: Distance | None = None

    @property
    def hashes_equal(self) -> bool:
        return self.recorded == self.rebuilt

    def to_json(self) -> dict[str, object]:
        return {**asdict(self), "hashes_equal": self.hashes_equal}


# --- what was recorded ---


def recipe_of(p: Platform, mv: ModelVersion) -> Recipe | None:
    """What the version's run was started with, or last resumed with; None when that was erased."""
    row = version_row(p, mv)
    run = str(row["run"])
    started: Fact = next(iter(p.journal.facts(kinds=("run.started",), run=run)))
    if started.body is None:
        return None
    body = cast("dict[str, Any]", dict(started.body))
    for resumed in p.journal.facts(kinds=("run.resumed",), subject=run):
        body |= {name: value for name in ("code", "environment") if (value := (resumed.body or {}).get(name))}
    node = probe.trained_in(p, run, str(row["canonical_hash"]))
    return Recipe(body["pipeline"], node.id if node else "", body["params"], body["pins"], body["code"], body["environment"])


def recorded_of(p: Platform, mv: ModelVersion, recipe: Recipe) -> Trained:
    row = version_row(p, mv)
    probes = p.journal.rows("probes", {"version": str(mv)})
    about: Row = probes[0] if probes else {"seed": None, "params": {}}
    place = str(about.get("object", ""))
    # The probe is only needed when hashes differ: one that is gone takes nothing from an equal hash.
    kept = probe.recorded(p, place) if place and p.object_store.exists([place]) else {}
    done = _done(p, str(row["run"]))
    environment = Environment.from_json(recipe.environment)
    seed, params = cast("int | None", about["seed"]), cast("Mapping[str, JSON]", about["params"])
    return Trained(str(row["canonical_hash"]), environment, done, seed, params, kept)


def tolerance_of(p: Platform, mv: ModelVersion) -> float:
    """As it was recorded at registration."""
    rows = p.journal.rows("probes", {"version": str(mv)})
    return cast("float", rows[0]["tolerance"]) if rows else probe.TOLERANCE


def gone(p: Platform, recipe: Recipe) -> list[str]:
    """Table versions of the recipe that the store no longer has."""
    present = {table: p.table_store.version(table) for table in recipe.pins}
    return [f"{table}@{pin}" for table, pin in recipe.pins.items() if (found := present[table]) is None or found < pin]


# --- the training, once more ---


class UntilModel(Pipeline):
    """A training pipeline cut after the step that gives the model: evaluation and registration are not the model.

    Without the step's name it is the first one that returns a Model.
    """

    def __init__(self, whole: Pipeline, step: str) -> None:
        super().__init__(whole.fn)
        self.step = step

    def spec(self) -> Spec:
        whole = super().spec()
        for at, node in enumerate(whole.nodes):
            if node.id == self.step or (not self.step and Model in self.steps[node.id].returns):
                return replace(whole, nodes=whole.nodes[: at + 1])
        raise InputError(
            f"The pipeline '{self.name}' has no step that returns the model.", code="model-absent", hint="Annotate it: -> Model."
        )


def retrain(p: Platform, engine: Engine[Pipeline], pipeline: Pipeline, recipe: Recipe, environment: Environment) -> Trained:
    """The model trained anew; the platform's journal and object store are empty ones of its own."""
    cut = UntilModel(pipeline, recipe.step)
    params = {name: from_json(value, classes_in(cut.types.get(name, Any))) for name, value in recipe.params.items()}
    now = cast("Mapping[str, JSON]", asdict(environment))
    run = engine.start(cut, params, pins=recipe.pins, code=recipe.code, environment=now, fresh=True)
    engine.drive(cut, run)
    last = cut.spec().nodes[-1]
    outputs = cast("list[dict[str, str]]", p.journal.rows("steps", {"run": run, "step": last.id})[0]["outputs"])
    stored = next(output for output in outputs if output["kind"] == model_codec.kind)
    model = model_codec.load(p, p.object_store.get([stored["key"]])[stored["key"]])
    identity = canonical_hash(p.model_format[model.format], model)
    measured = probe.predictions(p, run, last, model)
    return Trained(identity, environment, _done(p, run), model.seed, cast("Mapping[str, JSON]", dict(model.params)), measured)


def _done(p: Platform, run: str) -> tuple[Done, ...]:
    rows = p.journal.rows("steps", {"run": run}, order=("seq",))
    finished = [row for row in rows if row["status"] in ("finished", "cached")]
    return tuple(map(_as_done, finished))


def _as_done(row: Row) -> Done:
    reads, files = cast("list[str]", row["reads"]), cast("dict[str, str | None]", row["files"] or {})
    return Done(str(row["step"]), str(row["code_sha256"]), _digests(row), tuple(reads), files)


def _digests(row: Row) -> tuple[str, ...]:
    return tuple(output["digest"] for output in cast("list[dict[str, str]]", row["outputs"]))


# --- the comparison ---


def comparable(recorded: Environment, architecture: str) -> str:
    """Why nothing trained on this architecture could be compared, empty when it could."""
    then = str(recorded.facts.get("machine", {}).get("architecture", architecture))
    return "" if then == architecture else f"machine architecture: {then!r} -> {architecture!r}"


def judged(
    version: str,
    recorded: Trained,
    again: Trained,
    *,
    tolerance: float,
    altered: Sequence[str] = (),
    stored: Sequence[str] = (),
    second: Trained | None = None,
) -> Rebuilt:
    """`altered` are installed files that are not what their RECORD says, `stored` sentences on what was kept of the version and
    has changed; `second` is another repetition, where one was made to tell a training that does not repeat itself from one
    whose tables have changed."""
    inputs = [*_inputs(recorded, again), *(f"installed file: {line}" for line in altered), *stored]
    tables = [*_tables(recorded, again, second)]
    causes = (*inputs, *tables, *_trouble(recorded, again, second, known=bool(inputs or tables)))
    far = probe.distance(recorded.probe, again.probe, tolerance)
    outcome = _outcome(recorded.identity, again.identity, bool(inputs or tables), far)
    return Rebuilt(version, outcome, recorded.identity, again.identity, causes, far if recorded.probe else None)


def unexplained(recorded: Trained, again: Trained) -> bool:
    """Whether a step gave another result though all that is recorded of its inputs is equal."""
    return not _inputs(recorded, again) and _first(recorded, again) is not None


def _outcome(recorded: str, rebuilt: str, differs: bool, far: Distance) -> Outcome:
    if recorded.rpartition(":")[0] != rebuilt.rpartition(":")[0]:
        return "not comparable"
    if recorded == rebuilt:
        return "equivalent" if differs else "identical"
    return "equivalent" if far.within else "different"


def _inputs(recorded: Trained, again: Trained) -> list[str]:
    lines = [f"environment: {line}" for line in differences(recorded.environment, again.environment)]
    codes = {done.step: done.code for done in recorded.steps}
    lines += [f"code: that of step '{d.step}' is not what ran" for d in again.steps if codes.get(d.step, d.code) != d.code]
    lines += _files(recorded, again)
    if recorded.seed is not None and recorded.seed != again.seed:
        lines.append(f"seed: {recorded.seed} -> {again.seed}")
    names = sorted({*recorded.params, *again.params} - {"seed"}) if recorded.params else []
    then, now = recorded.params, again.params
    return [*lines, *(f"parameter {n}: {then.get(n)!r} -> {now.get(n)!r}" for n in names if then.get(n) != now.get(n))]


def _files(recorded: Trained, again: Trained) -> Iterator[str]:
    then = {done.step: done.files for done in recorded.steps}
    for done in again.steps:
        for name, digest in done.files.items():
            if then.get(done.step, done.files).get(name) != digest:
                yield f"file: the {name} that step '{done.step}' reads is not what it read"


def _first(recorded: Trained, again: Trained) -> Done | None:
    """The first step, in order, whose result is not the recorded one."""
    outputs = {done.step: done.outputs for done in recorded.steps}
    return next((done for done in again.steps if outputs.get(done.step, done.outputs) != done.outputs), None)


def _repeats(done: Done, second: Trained | None) -> bool:
    return second is not None and done in second.steps


def _tables(recorded: Trained, again: Trained, second: Trained | None) -> Iterator[str]:
    """A step that repeats itself, with the recorded code, and gives another result than recorded: its tables have changed."""
    first = _first(recorded, again)
    if first is not None and first.reads and _repeats(first, second):
        yield f"data: {' or '.join(first.reads)} no longer holds what step '{first.step}' read"


def _trouble(recorded: Trained, again: Trained, second: Trained | None, *, known: bool) -> Iterator[str]:
    first = _first(recorded, again)
    if first is None or (recorded.identity == again.identity and not known):
        return
    if known:
        yield f"step '{first.step}' is the first whose result differs"
    elif _repeats(first, second):
        yield f"step '{first.step}' depends on something that is not recorded: it repeats itself here, with another result"
    else:
        yield f"the training does not repeat itself: step '{first.step}' gives another result each time"
