"""Any prediction asked again from what was recorded of it: the same score, and what each feature added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

import polars as pl

from werk import data, models
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError
from werk.core.journal import Row
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.spec import FromStep, Spec
from werk.models import Model
from werk.pipelines.steps import PREDICTIONS, batch_inference, load
from werk.workflow.payloads import Payload, Payloads


@dataclass(frozen=True, slots=True)
class Contribution:
    """`added` moves the score in margin space (log-odds for a binary model); `value` is what the feature was."""

    feature: str
    value: JSON
    added: float


@dataclass(frozen=True, slots=True)
class Explained:
    """`again` is the score computed anew from the recorded features; `base` plus all contributions is its margin."""

    prediction: str
    model: str
    run: str
    score: float
    again: float
    base: float
    contributions: tuple[Contribution, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def explain(p: Platform, id: str) -> Explained:
    """`InputError` for an unknown prediction, `Failed` when the score no longer comes out or the features are gone."""
    found = prediction(p, id)
    mv = ModelVersion(str(found["model"]), int(cast("int", found["version"])))
    model = load(p, mv)
    row = _features(p, model, found)
    again = float(models.predict(p, model, row)[0])
    if again != found["score"]:
        raise Failed(f"{mv} now answers {again}, not {found['score']}.", code="replay-unequal", hint="Run `werk audit verify`.")
    *added, base = models.explain(p, model, row)[0].tolist()
    values = row.select(model.features).row(0, named=True)
    said = [Contribution(name, _plain(values[name]), size) for name, size in zip(model.features, added, strict=True)]
    said.sort(key=lambda one: (-abs(one.added), one.feature))
    return Explained(id, str(mv), str(found["run"]), again, again, base, tuple(said))


def prediction(p: Platform, id: str) -> Mapping[str, object]:
    """The stored row of a prediction id, without its attributions."""
    if p.table_store.version(PREDICTIONS) is None:
        raise InputError("Nothing has been predicted yet.", code="prediction-unknown", hint="Run the batch inference pipeline.")
    rows = data.scan(p, PREDICTIONS).filter(pl.col("prediction_id") == id).drop("attributions", strict=False).head(1).collect()
    if rows.is_empty():
        hint = f'`werk sql "select prediction_id from {PREDICTIONS} limit 5"` shows some.'
        raise InputError(f"There is no prediction '{id}'.", code="prediction-unknown", hint=hint)
    return rows.row(0, named=True)


def _features(p: Platform, model: Model, found: Mapping[str, object]) -> pl.DataFrame:
    """The row that was scored, from what the run's earlier step had handed over."""
    run = str(found["run"])
    frame = cast("pl.DataFrame", Payloads(p).load(_handed_over(p, run), pl.DataFrame))
    return frame.filter(*(pl.col(name) == pl.lit(found[name], dtype=frame.schema[name]) for name in model.key)).head(1)


def _handed_over(p: Platform, run: str) -> Payload:
    spec = Spec.from_json(cast("Mapping[str, object]", _one(p, "runs", run=run)["spec"]))
    source = next((node.inputs["rows"] for node in spec.nodes if node.fn == batch_inference.target), None)
    if not isinstance(source, FromStep):
        raise InputError(f"The run {run} was given its rows by hand.", code="features-unrecorded", hint="Compute them in a step.")
    outputs = cast("list[JSON]", _one(p, "steps", run=run, step=source.node)["outputs"])
    payload = Payload.from_json(outputs[source.index or 0])
    if not Payloads(p).present([payload]):
        raise Failed(f"The features of run {run} are no longer kept.", code="features-gone", hint="Score the window again.")
    return payload


def _one(p: Platform, projection: str, **where: str) -> Row:
    rows = p.journal.rows(projection, cast("Mapping[str, Any]", where))
    if not rows:
        lost = f"The lineage is broken: {where} is not in the journal."
        raise Failed(lost, code="lineage-broken", hint="Run `werk audit verify`.")
    return rows[0]


def _plain(value: object) -> JSON:
    return value if isinstance(value, int | float | str) or value is None else str(value)
