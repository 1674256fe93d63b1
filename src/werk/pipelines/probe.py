"""A fixed set of predictions kept with each version, so that a rebuilt model can be measured and not only called different.

The probe rows are the `ROWS` training rows whose key hashes lowest: the same ones whatever the order, from the recorded
tables alone. They are predicted on one thread. What is kept is the hash of each row's key and its prediction; the rows
themselves are taken from the tables again.

Two models are equivalent when no probe prediction of one is further than `TOLERANCE` from the other's, relative to it
where it is above 1. The tolerance is recorded at registration, before anything is compared, and is never widened.
"""

from __future__ import annotations

import heapq
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np
import polars as pl

from werk import models
from werk.core.canonical import JSON, canonical_json, sha256_hex
from werk.core.errors import Tampered
from werk.core.journal import NewFact
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.spec import FromStep, Node, Spec
from werk.models import Model

ROWS = 256
TOLERANCE = 1e-6

Predictions = Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two sets of probe predictions lie apart; `largest` is None when they are not of the same rows."""

    rows: int
    largest: float | None
    tolerance: float

    @property
    def within(self) -> bool:
        return self.largest is not None and self.largest <= self.tolerance


def record(p: Platform, mv: ModelVersion, model: Model, run: str) -> None:
    """Keep the probe of a version this run has trained, with its seed and parameters; once per version."""
    if p.journal.rows("probes", {"version": str(mv)}):
        return
    node = trained_in(p, run, models.canonical_hash(p.model_format[model.format], model))
    found = {} if node is None else predictions(p, run, node, model)
    text = canonical_json(found).encode()
    place = f"probes/{sha256_hex(text)}.json"
    p.object_store.put({place: text}, if_absent=True)
    about: dict[str, JSON] = {"seed": model.seed, "params": cast("Mapping[str, JSON]", dict(model.params))}
    body = {"step": node.id if node else "", "object": place, "rows": len(found), "tolerance": TOLERANCE, **about}
    p.journal.append([NewFact("model.probed", str(mv), body, dedupe_key=f"probed/{mv}")])


def recorded(p: Platform, place: str) -> Predictions:
    """Raises `Tampered` when the stored predictions are not those that were registered."""
    text = p.object_store.get([place])[place]
    if place != f"probes/{sha256_hex(text)}.json":
        raise Tampered("The probe predictions are not what was registered.", code="probe-tampered", hint="Restore a backup.")
    return cast("Predictions", json.loads(text))


def trained_in(p: Platform, run: str, identity: str) -> Node | None:
    """The step of a run that gave the model of this canonical hash; None when the run made it in no step of its own."""
    digest = sha256_hex(identity.rpartition(":")[2])
    rows = p.journal.rows("runs", {"run": run})
    for node in Spec.from_json(cast("Mapping[str, object]", rows[0]["spec"])).nodes if rows else ():
        if any(output["kind"] == models.model_codec.kind and output["digest"] == digest for output in _outputs(p, run, node.id)):
            return node
    return None


def predictions(p: Platform, run: str, node: Node, model: Model) -> Predictions:
    """By the hash of the row's key; empty when the step was given no frame with the model's key and features."""
    for frame in _frames(p, run, node):
        if model.key and {*model.key, *model.features} <= set(frame.columns):
            return _lowest(p, frame, model)
    return {}


def key_hashes(frame: pl.DataFrame, key: Sequence[str]) -> list[str]:
    """SHA-256 of each row's key as text."""
    texts = frame.select(pl.concat_str([pl.col(name).cast(pl.String) for name in key], separator="|")).to_series()
    return [sha256_hex(text) for text in texts]


def distance(a: Predictions, b: Predictions, tolerance: float) -> Distance:
    """
    >>> distance({"k": [0.5]}, {"k": [0.5000004]}, 1e-6).within
    True
    """
    if not a or a.keys() != b.keys():
        return Distance(len(a), None, tolerance)
    one, two = (np.array([side[name] for name in sorted(a)]) for side in (a, b))
    if one.shape != two.shape:
        return Distance(len(a), None, tolerance)
    return Distance(len(a), float(np.max(np.abs(one - two) / np.maximum(1.0, np.abs(one)))), tolerance)


def _lowest(p: Platform, frame: pl.DataFrame, model: Model) -> Predictions:
    hashes = key_hashes(frame, model.key)
    lowest = heapq.nsmallest(ROWS, range(len(hashes)), key=hashes.__getitem__)
    values = models.predict(p, model, frame[lowest]).reshape(len(lowest), -1)
    # JSON holds no infinity; a model that predicts one cannot be measured by distance.
    return {hashes[at]: told for at, told in zip(lowest, values.tolist(), strict=True)} if np.isfinite(values).all() else {}


def _frames(p: Platform, run: str, node: Node) -> Iterator[pl.DataFrame]:
    for source in node.inputs.values():
        if isinstance(source, FromStep):
            output = _outputs(p, run, source.node)[source.index or 0]
            if output["kind"] == "frame":
                yield pl.read_parquet(io.BytesIO(p.object_store.get([output["key"]])[output["key"]]))


def _outputs(p: Platform, run: str, step: str) -> list[dict[str, str]]:
    rows = p.journal.rows("steps", {"run": run, "step": step})
    return cast("list[dict[str, str]]", rows[0]["outputs"] or []) if rows else []
