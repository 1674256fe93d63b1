"""The champion a new model is held against, with the rows it was trained on: those prove nothing between the two."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, cast

import polars as pl

from werk import models, registry
from werk.core.errors import Refused
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.spec import FromStep, Node, Spec
from werk.models import Champion, Model
from werk.workflow.payloads import Payload, Payloads

MODEL = models.model_codec.kind
SCORING = "werk.pipelines.steps:batch_inference"


def pinned_champion(p: Platform, version: str, run: str, step: str) -> Champion:
    """A registered version with its package verified, and what its run kept: the keys it learnt from, the rows it was judged on.

    `step` of `run` is the one that asks.
    """
    row = registry.version_row(p, ModelVersion.parse(version))
    model, made_in = models.load_package(p, str(row["package_key"])), str(row["run"])
    learnt, judged = trained_on(p, made_in, model.key), judged_on(p, made_in, model)
    return Champion(version, model, learnt, judged, _changed(p, made_in, run, step))


def trained_on(p: Platform, run: str, key: Sequence[str]) -> pl.DataFrame | None:
    """The keys of all rows that the run's training steps were given; None when they are no longer kept."""
    payloads = Payloads(p)
    kept = list(_given_to_training(p, run))
    if not kept or not payloads.present(kept):
        return None
    frames = [cast("pl.DataFrame", payloads.load(payload, pl.DataFrame)) for payload in kept]
    keyed = [frame.select(key) for frame in frames if set(key) <= set(frame.columns)]
    return pl.concat(keyed) if keyed else None


def scored_in(p: Platform, run: str, key: Sequence[str]) -> pl.DataFrame | None:
    """The keys of the rows that the run's batch inference was given; None when they are no longer kept, or it scored twice."""
    spec, outputs = _walked(p, run)
    given = [_inputs(node, outputs) for node in spec.nodes if node.fn == SCORING and node.map_over is None]
    payloads, kept = Payloads(p), [one for inputs in given for one in inputs if one.kind == "frame"]
    if len(kept) != 1 or not payloads.present(kept):
        return None
    return cast("pl.DataFrame", payloads.load(kept[0], pl.DataFrame)).select(key)


def judged_on(p: Platform, run: str, model: Model) -> pl.DataFrame | None:
    """The rows, as the run's own steps made them, on which its model was asked; None when they are no longer kept."""
    payloads = Payloads(p)
    learnt = set(_given_to_training(p, run))
    kept = [one for one in dict.fromkeys(_given_with_a_model(p, run)) if one not in learnt]
    if not payloads.present(kept):
        return None
    wanted = list(dict.fromkeys([*model.key, *model.features, model.target]))
    frames = [cast("pl.DataFrame", payloads.load(payload, pl.DataFrame)) for payload in kept]
    whole = [frame.select(wanted) for frame in frames if set(wanted) <= set(frame.columns)]
    return pl.concat(whole).unique(model.key, keep="first", maintain_order=True) if whole else None


def _changed(p: Platform, made_in: str, run: str, step: str) -> tuple[str, ...]:
    """The steps that made the rows this one asks about, and whose code the champion's run did not have."""
    spec, outputs = _walked(p, run)
    given = [spec.node(source.node) for source in spec.node(step).inputs.values() if isinstance(source, FromStep)]
    made_rows = {node.id for one in given if not _gave_a_model(outputs[one.id]) for node in spec.upstream(one)}
    theirs = {str(row["code_sha256"]) for row in p.journal.rows("steps", {"run": made_in})}
    ours = p.journal.rows("steps", {"run": run}, order=("seq",))
    return tuple(str(row["step"]) for row in ours if row["step"] in made_rows and row["code_sha256"] not in theirs)


def _gave_a_model(outputs: Iterable[Payload]) -> bool:
    return any(payload.kind == MODEL for payload in outputs)


def check_pinned(p: Platform, run: str) -> None:
    """`Refused` when the run was started without its champion though there was one: nobody leaves the comparison out."""
    started = cast("int", p.journal.rows("runs", {"run": run})[0]["started"])
    champion = registry.champion_at(p, p.project.name, started)
    if champion is not None:
        raise Refused(
            f"The gate compares with the champion, but this run was started without {champion}.",
            code="champion-left-out",
            hint=f"Give steps.evaluate champion={p.project.name}@champion and start it again.",
        )


def _walked(p: Platform, run: str) -> tuple[Spec, dict[str, list[Payload]]]:
    """The run's spec and what its finished steps gave."""
    [row] = p.journal.rows("runs", {"run": run})
    outputs = {str(step["step"]): _outputs(step["outputs"]) for step in p.journal.rows("steps", {"run": run})}
    return Spec.from_json(cast("dict[str, Any]", row["spec"])), outputs


def _given_with_a_model(p: Platform, run: str) -> Iterable[Payload]:
    spec, outputs = _walked(p, run)
    for node in (node for node in spec.nodes if node.id in outputs):
        given = list(_inputs(node, outputs))
        if _gave_a_model(given):
            yield from (payload for payload in given if payload.kind == "frame")


def _given_to_training(p: Platform, run: str) -> Iterable[Payload]:
    spec, outputs = _walked(p, run)
    for node in spec.nodes:
        if _gave_a_model(outputs.get(node.id, ())):
            yield from (payload for payload in _inputs(node, outputs) if payload.kind == "frame")


def _inputs(node: Node, outputs: dict[str, list[Payload]]) -> Iterable[Payload]:
    return (outputs[source.node][source.index or 0] for source in node.inputs.values() if isinstance(source, FromStep))


def _outputs(stored: object) -> list[Payload]:
    return [Payload.from_json(one) for one in cast("list[Any]", stored or [])]
