"""From one prediction or model version back to the files it came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from werk.core.canonical import JSON
from werk.core.errors import Failed
from werk.core.nouns import ModelVersion, Snapshot
from werk.core.platform import Platform
from werk.pipelines.prediction import Served, prediction
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
    """`prediction` and `inputs` (what it was scored from) are empty when the question was about a model version.

    `run` is the one that trained the model, `scored_by` the one that made the prediction. A served prediction has no inputs but
    what its caller sent, and its deployment instead of a run.
    """

    prediction: dict[str, JSON]
    inputs: tuple[Origin, ...]
    model: str
    canonical_hash: str
    run: str
    scored_by: str | None
    steps: dict[str, str]
    code: dict[str, JSON]
    snapshots: tuple[Origin, ...]

    def to_json(self) -> dict[str, object]:
        return asdict(self)


def lineage(p: Platform, id: str) -> Lineage:
    """`Failed` when an edge on the way is missing: a lineage with a hole is no lineage."""
    if id.startswith("prd_"):
        found = _told(prediction(p, id))
        mv = ModelVersion(str(found["model"]), cast("int", found["version"]))
        inputs = tuple(_origin(p, text) for text in str(found.get("input_snapshot", "")).split())
    else:
        found, mv, inputs = dict[str, JSON](), ModelVersion.parse(id), ()
    row = version_row(p, mv)
    steps = p.journal.rows("steps", {"run": row["run"]}, order=("seq",))
    if not steps:
        raise _broken(f"the run {row['run']} of {mv}")
    if found and found["canonical_hash"] != row["canonical_hash"]:
        raise _broken(f"the model {found['canonical_hash']}")
    return Lineage(
        prediction=found,
        inputs=inputs,
        model=str(mv),
        canonical_hash=str(row["canonical_hash"]),
        run=str(row["run"]),
        scored_by=str(found["run"]) if "run" in found else None,
        steps={str(step["step"]): str(step["code_sha256"]) for step in steps},
        code=cast("dict[str, JSON]", row["code"]),
        snapshots=tuple(_origin(p, str(text)) for text in cast("list[str]", row["snapshots"])),
    )


def _told(found: Mapping[str, object] | Served) -> dict[str, JSON]:
    """What is known of the prediction itself; what a caller sent stays in the log."""
    if isinstance(found, Served):
        return {name: value for name, value in asdict(found).items() if name not in ("key", "features")}
    return {name: value if isinstance(value, int | float | str) else str(value) for name, value in found.items()}


def _origin(p: Platform, text: str) -> Origin:
    snapshot = Snapshot.parse(text)
    rows = p.journal.rows("table_versions", {"table": snapshot.table, "version": snapshot.version})
    if not rows:
        raise _broken(f"the table version {snapshot}")
    source = cast("dict[str, str]", rows[0]["source"])
    return Origin(text, source.get("name", ""), source.get("sha256", ""), cast("str | None", rows[0]["contract_sha256"]))


def _broken(what: str) -> Failed:
    return Failed(f"The lineage is broken: {what} is not in the journal.", code="lineage-broken", hint="Run `werk audit verify`.")
