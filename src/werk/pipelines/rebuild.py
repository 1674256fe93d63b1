"""A registered model trained again from what was recorded of it, and compared by its canonical hash."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.core.journal import Fact
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.ports.engine import Engine
from werk.core.spec import Spec
from werk.models import Model, canonical_hash, model_codec
from werk.registry import version_row
from werk.workflow import Pipeline
from werk.workflow.capture import Environment, differences
from werk.workflow.params import from_json
from werk.workflow.payloads import classes_in

Outcome = Literal["identical", "equivalent", "different", "not rebuildable"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything a rebuild may use: nothing of the stored model is in it."""

    pipeline: str
    params: Mapping[str, JSON]
    pins: Mapping[str, int]
    code: Mapping[str, JSON]
    environment: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """`identical`: every recorded input equal and the same canonical hash. `causes` names inputs that differ, first of all.

    With an input that differs the outcome is `equivalent` at best, even when the hashes agree.
    """

    version: str
    outcome: Outcome
    recorded: str
    rebuilt: str
    causes: tuple[str, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def recipe_of(p: Platform, mv: ModelVersion) -> Recipe:
    """What the version's run was started with; `InputError` when that was erased."""
    run = str(version_row(p, mv)["run"])
    fact: Fact = next(iter(p.journal.facts(kinds=("run.started",), run=run)))
    if fact.body is None:
        raise InputError(f"What {mv} was trained from is erased.", code="not-rebuildable", hint="This is final.")
    body = cast("Mapping[str, Any]", fact.body)
    return Recipe(body["pipeline"], body["params"], body["pins"], body["code"], body["environment"])


def gone(p: Platform, recipe: Recipe) -> list[str]:
    """Table versions of the recipe that the store no longer has."""
    present = {table: p.table_store.version(table) for table in recipe.pins}
    return [f"{table}@{pin}" for table, pin in recipe.pins.items() if (found := present[table]) is None or found < pin]


class UntilModel(Pipeline):
    """A training pipeline cut after the step that gives the model: evaluation and registration are not the model."""

    def spec(self) -> Spec:
        whole = super().spec()
        for at, node in enumerate(whole.nodes):
            if Model in self.steps[node.id].returns:
                return replace(whole, nodes=whole.nodes[: at + 1])
        raise InputError(
            f"The pipeline '{self.name}' has no step that returns a Model.", code="model-absent", hint="Annotate it."
        )


def retrain(p: Platform, engine: Engine[Pipeline], pipeline: Pipeline, recipe: Recipe, environment: Environment) -> str:
    """The canonical hash of the model trained anew; the platform's journal and object store are empty ones of its own."""
    cut = UntilModel(pipeline.fn)
    params = {name: from_json(value, classes_in(cut.types.get(name, Any))) for name, value in recipe.params.items()}
    now = cast("Mapping[str, JSON]", asdict(environment))
    run = engine.start(cut, params, pins=recipe.pins, code=recipe.code, environment=now, fresh=True)
    engine.drive(cut, run)
    last = cut.spec().nodes[-1].id
    outputs = cast("list[dict[str, str]]", p.journal.rows("steps", {"run": run, "step": last})[0]["outputs"])
    stored = next(output for output in outputs if output["kind"] == model_codec.kind)
    model = model_codec.load(p, p.object_store.get([stored["key"]])[stored["key"]])
    return canonical_hash(p.model_format[model.format], model)


def judged(mv: ModelVersion, recorded: str, rebuilt: str, recipe: Recipe, environment: Environment) -> Rebuilt:
    then = Environment(str(recipe.environment["sha256"]), cast("dict[str, Any]", recipe.environment["facts"]))
    causes = tuple(f"environment: {line}" for line in differences(then, environment))
    if recorded != rebuilt:
        return Rebuilt(str(mv), "different", recorded, rebuilt, causes or ("the training does not repeat itself",))
    return Rebuilt(str(mv), "equivalent" if causes else "identical", recorded, rebuilt, causes)
