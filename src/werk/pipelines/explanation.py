"""Any prediction asked again from what was recorded of it: the same score, and what each feature added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk import models
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError
from werk.core.journal import Row
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.spec import FromStep, Spec
from werk.models import Model
from werk.models.compiled import answered
from werk.pipelines.prediction import Served, prediction
from werk.pipelines.steps import batch_inference, load
from werk.serving.score import batch_of, prediction_ids
from werk.serving.signature import Signature
from werk.workflow.payloads import Payload, Payloads

Numbers = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Contribution:
    """`added` moves the score in margin space: log-odds for a binary model, the number itself for most regressions.

    `value` is what the feature was.
    """

    feature: str
    value: JSON
    added: float


@dataclass(frozen=True, slots=True)
class Explained:
    """`again` is the score computed anew from the recorded features; `base` plus all contributions is its margin.

    A batch prediction names the `run` that made it, a served one the `deployment` that answered. `of` is the class that a
    multiclass model found the likeliest: `score` is its probability, and the contributions speak of it.
    """

    prediction: str
    model: str
    run: str | None
    deployment: str | None
    score: float
    again: float
    base: float
    contributions: tuple[Contribution, ...]
    of: str | None = None

    def to_json(self) -> dict[str, object]:
        told = asdict(self)
        return told if self.of else {name: value for name, value in told.items() if name != "of"}


def explain(p: Platform, id: str) -> Explained:
    """`InputError` for an unknown prediction, `Failed` when the score no longer comes out or the features are gone."""
    found = prediction(p, id)
    return _of_served(p, found) if isinstance(found, Served) else _of_batch(p, id, found)


def _of_batch(p: Platform, id: str, found: Mapping[str, object]) -> Explained:
    mv = ModelVersion(str(found["model"]), int(cast("int", found["version"])))
    model = load(p, mv)
    row = _features(p, mv, model, found)
    score, of = _again(p, mv, model, models.matrix(model, row), found["score"])
    base, said = _contributions(p, model, models.matrix(model, row), row.select(model.features).row(0, named=True), of)
    return Explained(id, str(mv), str(found["run"]), None, score, score, base, said, _class(model, of))


def _of_served(p: Platform, found: Served) -> Explained:
    """From the values in the log, made into the model's numbers as the server has made them."""
    model = load(p, found.mv)
    values = Signature.of(model).encode({name: [value] for name, value in found.features.items()}, 1)
    score, of = _again(p, found.mv, model, values, found.score)
    base, said = _contributions(p, model, values, found.features, of)
    return Explained(found.prediction_id, str(found.mv), None, found.deployment, score, score, base, said, _class(model, of))


def _again(p: Platform, mv: ModelVersion, model: Model, values: Numbers, score: object) -> tuple[float, int | None]:
    """The score and, of a multiclass model, which class it is the probability of; a served one was told all of them."""
    again = answered(p.model_format[model.format], model, values)
    if again.ndim != 1 and not model.classes:
        raise InputError(f"{mv} gives {again.shape[1]} scores a row.", code="score-shape", hint="One score a row is explained.")
    of = int(again[0].argmax()) if model.classes else None
    told = float(again[0] if of is None else again[0][of])
    if score not in (told, again[0].tolist()):
        raise Failed(f"{mv} now answers {again[0]}, not {score}.", code="replay-unequal", hint="Run `werk audit verify`.")
    return told, of


def _class(model: Model, of: int | None) -> str | None:
    return None if of is None else model.classes[of]


def _contributions(
    p: Platform, model: Model, values: Numbers, shown: Mapping[str, object], of: int | None
) -> tuple[float, tuple[Contribution, ...]]:
    found = models.contributions(p, model, values)[0]
    *added, base = (found if of is None else found[of]).tolist()
    said = [Contribution(name, _plain(shown[name]), size) for name, size in zip(model.features, added, strict=True)]
    return base, tuple(sorted(said, key=lambda one: (-abs(one.added), one.feature)))


def _features(p: Platform, mv: ModelVersion, model: Model, found: Mapping[str, object]) -> pl.DataFrame:
    """The row that was scored, from what the run's earlier steps had handed over: the id says which, whatever code makes now."""
    run, identity = found["run"], models.canonical_hash(p.model_format[model.format], model)
    handed = _handed_over(p, str(run))
    kept = [payload for payload in handed if Payloads(p).present([payload])]
    for payload in kept:
        row = _row(p, model, payload, found)
        batch = batch_of(mv, str(found["window"]), payload.digest)
        if prediction_ids(row, model.key, identity, batch) == [found["prediction_id"]]:
            return row
    if len(kept) < len(handed):
        raise Failed(f"The features of run {run} are no longer kept.", code="features-gone", hint="Score the window again.")
    raise Failed(
        f"Of no row that run {run} had scored comes the id '{found['prediction_id']}'.",
        code="features-unequal",
        hint="If an older werk wrote it, score the window again; otherwise run `werk audit verify`.",
    )


def _row(p: Platform, model: Model, payload: Payload, found: Mapping[str, object]) -> pl.DataFrame:
    """The row with the prediction's key; empty when the payload has none."""
    frame = cast("pl.DataFrame", Payloads(p).load(payload, pl.DataFrame))
    return frame.filter(*(pl.col(name) == pl.lit(found[name], dtype=frame.schema[name]) for name in model.key))


def _handed_over(p: Platform, run: str) -> list[Payload]:
    """What each batch inference of the run has scored from."""
    spec = Spec.from_json(cast("Mapping[str, object]", _one(p, "runs", run=run)["spec"]))
    given = [node.inputs["rows"] for node in spec.nodes if node.fn == batch_inference.target]
    sources = [source for source in given if isinstance(source, FromStep)]
    if not sources:
        raise InputError(f"The run {run} was given its rows by hand.", code="features-unrecorded", hint="Compute them in a step.")
    rows = {str(row["step"]): cast("list[JSON] | None", row["outputs"]) for row in p.journal.rows("steps", {"run": run})}
    outputs = [(rows.get(source.node), source.index or 0) for source in sources]
    return [Payload.from_json(output[at]) for output, at in outputs if output]


def _one(p: Platform, projection: str, **where: str) -> Row:
    rows = p.journal.rows(projection, cast("Mapping[str, Any]", where))
    if not rows:
        lost = f"The lineage is broken: {where} is not in the journal."
        raise Failed(lost, code="lineage-broken", hint="Run `werk audit verify`.")
    return rows[0]


def _plain(value: object) -> JSON:
    return value if isinstance(value, int | float | str) or value is None else str(value)
