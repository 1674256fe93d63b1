"""What each run was given, measured, read, wrote and cost: a row for every run, whatever became of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import cast

import polars as pl

from werk import registry
from werk.core.canonical import JSON, canonical_json
from werk.core.errors import Tampered
from werk.core.journal import Row
from werk.core.nouns import Usage
from werk.core.platform import Platform
from werk.monitoring import Prices

_TEXT, _INT, _REAL = pl.String, pl.Int64, pl.Float64
SCHEMA: Mapping[str, type[pl.DataType]] = {
    **dict.fromkeys(("run", "pipeline", "status"), _TEXT),
    **dict.fromkeys(("started", "ended"), _INT),
    **{"model": _TEXT, "version": _INT, "canonical_hash": _TEXT},
    **dict.fromkeys(("code_tree", "code_commit", "environment_sha256"), _TEXT),
    # JSON, as text.
    **dict.fromkeys(("params", "metrics", "snapshots", "writes", "files", "usage", "error"), _TEXT),
    **{"eur": _REAL, "seq": _INT},
}
# Facts that say what a run measured, by the name that tells them apart within it.
_MEASURED: Mapping[str, tuple[str, ...]] = {
    "models.compared": ("a", "b", "window"),
    "rung.measured": ("knows",),
    "monitor.checked": ("monitor", "window"),
}
_By = Mapping[str, list[Row]]


def metadata(p: Platform, prices: Prices | None) -> pl.DataFrame:
    """One row a run, in the columns of `SCHEMA`: finished, refused, failed, killed or under way.

    `metrics` of a training are those of its report, of other runs what its facts measured. `usage` sums the steps that ended
    well, null where none did; `eur` is what the run was told when it stored it, else `usage` by the price file of today.
    """
    stored, versions = _by_run(p, "metadata"), _by_run(p, "versions")
    predicted, evaluated = _by_run(p, "predictions_written"), _by_run(p, "evaluations")
    steps, edges, measured = _by_run(p, "steps"), _by_run(p, "edges"), _measured(p)
    rows = []
    for run in p.journal.rows("runs", order=("started", "run")):
        id = str(run["run"])
        about = _model(stored[id], versions[id], evaluated[id], predicted[id])
        told = stored[id][0]["metrics"] if stored[id] else _report(p, evaluated[id]) or measured.get(id)
        spent = _spent(steps[id])
        eur = stored[id][0]["eur"] if stored[id] else prices.eur(Usage(peak_bytes=0, **spent)) if prices and spent else None
        rows.append({**_of(run), **about, **_lineage(steps[id], edges[id]), "metrics": told, "usage": spent or None, "eur": eur})
    return pl.DataFrame([_flat(row) for row in rows], schema=dict(SCHEMA), orient="row")


def _by_run(p: Platform, projection: str) -> _By:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in p.journal.rows(projection, order=("seq",)):
        found[str(row["run"])].append(row)
    return found


def _measured(p: Platform) -> Mapping[str, dict[str, JSON]]:
    """By run, what its facts found: a comparison, the rungs of a ladder, the verdicts of the monitors."""
    found: dict[str, dict[str, JSON]] = defaultdict(dict)
    for fact in p.journal.facts(kinds=tuple(_MEASURED)):
        if fact.run and fact.body:
            named = _MEASURED[fact.kind]
            about = {name: value for name, value in fact.body.items() if name not in named}
            found[fact.run][" ".join(str(fact.body[name]) for name in named)] = about
    return found


def _of(run: Row) -> dict[str, JSON]:
    code = cast("Mapping[str, JSON]", run["code"] or {})
    said = {
        name: run[name] for name in ("run", "pipeline", "status", "started", "ended", "environment_sha256", "params", "error")
    }
    return {**said, "seq": run["seq"], "code_tree": code.get("tree"), "code_commit": code.get("commit")}


def _model(*told: Sequence[Row]) -> dict[str, JSON]:
    """The model that a run made, judged or scored with, by the first that names one."""
    row = next((rows[-1] for rows in told if rows), {})
    version = row.get("model_version", row.get("version"))
    return {"model": row.get("model"), "version": version and int(str(version)), "canonical_hash": row.get("canonical_hash")}


def _report(p: Platform, evaluations: Sequence[Row]) -> JSON:
    """The metrics of a report that was judged and never stored by its run; one that is gone or changed has none (`audit`)."""
    if not evaluations:
        return None
    try:
        return registry.stored_report(p, evaluations[-1]).get("metrics")
    except Tampered:
        return None


def _lineage(steps: Sequence[Row], edges: Iterable[Row]) -> dict[str, JSON]:
    sets: dict[str, set[str]] = {"read": set(), "write": set()}
    for edge in edges:
        sets[str(edge["direction"])].add(str(edge["dataset"]))
    files = {name: digest for step in steps for name, digest in cast("dict[str, JSON]", step["files"] or {}).items()}
    return {"snapshots": sorted(sets["read"]), "writes": sorted(sets["write"]), "files": files}


def _spent(steps: Sequence[Row]) -> dict[str, float]:
    """A step from the cache took nothing; one that raised or was killed was not measured."""
    used = [cast("Mapping[str, float]", step["usage"] or {}) for step in steps if step["usage"] or step["cached_from"]]
    return {name: sum(usage.get(name, 0.0) for usage in used) for name in ("cpu_s", "wall_s", "gb_s")} if used else {}


def _flat(row: Mapping[str, JSON]) -> list[JSON]:
    trees = ("params", "metrics", "snapshots", "writes", "files", "usage", "error")
    told = {**row, **{name: canonical_json(row[name]) for name in trees if row.get(name) is not None}}
    return [told.get(name) for name in SCHEMA]
