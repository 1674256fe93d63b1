"""From one prediction or model version back to the files it came from."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import cast

import polars as pl

from werk import data
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError
from werk.core.journal import Row
from werk.core.nouns import ModelVersion, Snapshot
from werk.core.platform import Platform
from werk.pipelines.steps import PREDICTIONS
from werk.registry import version_row


@dataclass(frozen=True, slots=True)
class Origin:
    """A table version and the source file it was landed from."""

    snapshot: str
    source: str
    source_sha256: str
    contract_sha256: str | None


@dataclass(frozen=True, slots=True)
class Lineage:
    """`prediction` and `inputs` (what it was scored from) are empty when the question was about a model version."""

    prediction: dict[str, JSON]
    inputs: tuple[Origin, ...]
    model: str
    canonical_hash: str
    run: str
    steps: dict[str, str]
    code: dict[str, JSON]
    snapshots: tuple[Origin, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def lineage(p: Platform, id: str) -> Lineage:
    """`Failed` when an edge on the way is missing: a lineage with a hole is no lineage."""
    if id.startswith("prd_"):
        found = _prediction(p, id)
        mv = ModelVersion(str(found["model"]), cast("int", found["version"]))
        inputs = tuple(_origin(p, text) for text in str(found["input_snapshot"]).split())
    else:
        found, mv, inputs = {}, ModelVersion.parse(id), ()
    row = version_row(p, mv)
    steps = p.journal.rows("steps", {"run": row["run"]}, order=("seq",))
    if not steps:
        raise _broken(f"the run {row['run']} of {mv}")
    return Lineage(
        prediction=found,
        inputs=inputs,
        model=str(mv),
        canonical_hash=str(row["canonical_hash"]),
        run=str(row["run"]),
        steps={str(step["step"]): str(step["code_sha256"]) for step in steps},
        code=cast("dict[str, JSON]", row["code"]),
        snapshots=tuple(_origin(p, str(text)) for text in cast("list[str]", row["snapshots"])),
    )


def _prediction(p: Platform, id: str) -> Row:
    if data.known(p, PREDICTIONS) is None:
        raise InputError(
            "Nothing has been predicted yet.", code="prediction-unknown", hint="Run the batch inference pipeline first."
        )
    found = data.scan(p, PREDICTIONS).filter(pl.col("prediction_id") == id).drop("attributions", strict=False).head(1).collect()
    if found.is_empty():
        raise InputError(
            f"There is no prediction '{id}'.",
            code="prediction-unknown",
            hint=f'`werk sql "select prediction_id from {PREDICTIONS} limit 5"` shows some.',
        )
    row = found.row(0, named=True)
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in row.items()}


def _origin(p: Platform, text: str) -> Origin:
    snapshot = Snapshot.parse(text)
    rows = p.journal.rows("table_versions", {"table": snapshot.table, "version": snapshot.version})
    if not rows:
        raise _broken(f"the table version {snapshot}")
    source = cast("dict[str, str]", rows[0]["source"])
    return Origin(text, source.get("name", ""), source.get("sha256", ""), cast("str | None", rows[0]["contract_sha256"]))


def _broken(what: str) -> Failed:
    return Failed(f"The lineage is broken: {what} is not in the journal.", code="lineage-broken", hint="Run `werk audit verify`.")
