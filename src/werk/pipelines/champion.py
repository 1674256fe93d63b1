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
from werk.models import Champion
from werk.workflow.payloads import Payload, Payloads

MODEL = models.model_codec.kind


def pinned_champion(p: Platform, version: str) -> Champion:
    """A registered version with its package verified, and the keys of what it learnt from as its run kept them."""
    row = registry.version_row(p, ModelVersion.parse(version))
    model = models.load_package(p, str(row["package_key"]))
    return Champion(version, model, trained_on(p, str(row["run"]), model.key))


def trained_on(p: Platform, run: str, key: Sequence[str]) -> pl.DataFrame | None:
    """The keys of all rows that the run's training steps were given; None when they are no longer kept."""
    payloads = Payloads(p)
    kept = list(_given_to_training(p, run))
    if not kept or not payloads.present(kept):
        return None
    frames = [cast("pl.DataFrame", payloads.load(payload, pl.DataFrame)) for payload in kept]
    keyed = [frame.select(key) for frame in frames if set(key) <= set(frame.columns)]
    return pl.concat(keyed) if keyed else None


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


def _given_to_training(p: Platform, run: str) -> Iterable[Payload]:
    [row] = p.journal.rows("runs", {"run": run})
    spec = Spec.from_json(cast("dict[str, Any]", row["spec"]))
    outputs = {str(step["step"]): _outputs(step["outputs"]) for step in p.journal.rows("steps", {"run": run})}
    for node in spec.nodes:
        if any(payload.kind == MODEL for payload in outputs.get(node.id, ())):
            yield from (payload for payload in _inputs(node, outputs) if payload.kind == "frame")


def _inputs(node: Node, outputs: dict[str, list[Payload]]) -> Iterable[Payload]:
    return (outputs[source.node][source.index or 0] for source in node.inputs.values() if isinstance(source, FromStep))


def _outputs(stored: object) -> list[Payload]:
    return [Payload.from_json(one) for one in cast("list[Any]", stored or [])]
