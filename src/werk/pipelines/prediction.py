"""One prediction by its id: a row of the table of batch scores, or a line of the prediction server's log."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from werk import data
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError
from werk.core.nouns import ModelVersion, Snapshot, from_micros
from werk.core.platform import Platform
from werk.pipelines.steps import PREDICTIONS
from werk.serving.deploy import SERVING
from werk.serving.prediction_log import FOLDER, find

_DEPLOYED = ("endpoint", "model", "version", "canonical_hash")


@dataclass(frozen=True, slots=True)
class Served:
    """What the server answered: `features` are the values as they were sent, `key` names the row where the caller did.

    Both may be personal data. They stand in the log alone, never in a fact, so that deleting the log's line erases them.
    """

    prediction_id: str
    score: JSON
    model: str
    version: int
    canonical_hash: str
    endpoint: str
    deployment: str
    at: str
    request: str | None
    key: Mapping[str, JSON]
    features: Mapping[str, JSON]

    @property
    def mv(self) -> ModelVersion:
        return ModelVersion(self.model, self.version)


def prediction(p: Platform, id: str) -> Mapping[str, object] | Served:
    """A batch prediction as its stored row without attributions, or one that was served.

    `InputError` for an unknown id, `Failed` for one that several rows have: none of them is chosen.
    """
    found = _batch(p, id) or served(p, id)
    if found is None:
        raise _unknown(p, id)
    return found


def served(p: Platform, id: str) -> Served | None:
    """The log's record of an answer; `Failed` when it names a deployment that the journal does not tell of like that."""
    line = find(_log(p), id)
    return None if line is None else _checked(p, id, line)


def _log(p: Platform) -> Path:
    return p.project.root / SERVING / FOLDER


def _batch(p: Platform, id: str) -> Mapping[str, object] | None:
    if data.known(p, PREDICTIONS) is None:
        return None
    rows = data.scan(p, PREDICTIONS).filter(pl.col("prediction_id") == id).drop("attributions", strict=False).collect()
    if len(rows) > 1:
        raise Failed(
            f"{len(rows)} rows of {PREDICTIONS} have the id '{id}', from {', '.join(sorted(set(rows['run'])))}.",
            code="prediction-ambiguous",
            hint="An older werk wrote them. Score the window again: every row then has an id of its own.",
        )
    return rows.row(0, named=True) if len(rows) else None


def _checked(p: Platform, id: str, line: Mapping[str, Any]) -> Served:
    told = p.journal.rows("deployments", {"deployment": line["deployment"]})
    if not told or any(told[0][name] != line[name] for name in _DEPLOYED):
        raise Failed(
            f"The log says that {line['deployment']} answered {id}; the journal does not tell of it like that.",
            code="lineage-broken",
            hint="Run `werk audit verify`; another profile has a journal of its own.",
        )
    said = {name: line[name] for name in (*_DEPLOYED, "deployment", "score", "request", "key")}
    at = from_micros(line["at"]).isoformat(timespec="milliseconds")
    return Served(prediction_id=id, at=at, features=line["row"], **said)


def _unknown(p: Platform, id: str) -> InputError:
    if (stray := _stray(p, id)) is not None:
        return InputError(
            f"The prediction '{id}' stands in {stray} alone, which this project did not write or has not told of.",
            code="prediction-foreign",
            hint="Nothing can be said of it; `werk audit verify` lists such versions.",
        )
    if data.known(p, PREDICTIONS) is None and not _log(p).is_dir():
        hint = "Run the batch inference pipeline, or ask the prediction server."
        return InputError("Nothing has been predicted yet.", code="prediction-unknown", hint=hint)
    hint = f'`werk sql "select prediction_id from {PREDICTIONS} limit 5"` shows some; one that was erased is unknown, too.'
    return InputError(f"There is no prediction '{id}'.", code="prediction-unknown", hint=hint)


def _stray(p: Platform, id: str) -> Snapshot | None:
    """The store's newest version, when the journal does not tell of it and it has a row of that id."""
    newest = p.table_store.version(PREDICTIONS)
    if newest is None or newest == data.known(p, PREDICTIONS):
        return None
    rows = data.scan(p, PREDICTIONS, newest)
    if "prediction_id" not in rows.collect_schema() or rows.filter(pl.col("prediction_id") == id).collect().is_empty():
        return None
    return Snapshot(PREDICTIONS, newest)
