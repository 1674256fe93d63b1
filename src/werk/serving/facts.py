"""Deployments and written predictions as facts, and the tables read from them."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.canonical import JSON
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Upsert
from werk.core.nouns import ModelVersion, Snapshot
from werk.core.platform import Platform


def _deployed(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = {name: body[name] for name in ("endpoint", "model", "version", "canonical_hash", "package_key", "cause")}
    yield Upsert({"deployment": fact.subject, "at": fact.at, "actor": fact.actor, **said})


def _written(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = {name: body[name] for name in ("model", "model_version", "rows", "window", "input_snapshot")}
    yield Upsert({"table": fact.subject, "version": body["version"], "at": fact.at, "run": fact.run, **said})


PROJECTIONS: tuple[Projection, ...] = (
    Projection(
        name="deployments",
        columns=(
            *(Column(name) for name in ("deployment", "endpoint", "model")),
            Column("version", "int"),
            *(Column(name) for name in ("canonical_hash", "package_key", "actor")),
            Column("cause", "json"),
            Column("at", "int"),
        ),
        key=("deployment",),
        kinds=("deployment.created",),
        apply=_deployed,
        index=(("endpoint",),),
    ),
    Projection(
        name="predictions_written",
        columns=(
            Column("table"),
            Column("version", "int"),
            Column("model"),
            *(Column(name, "int") for name in ("model_version", "rows")),
            *(Column(name) for name in ("window", "input_snapshot", "run")),
            Column("at", "int"),
        ),
        key=("table", "version"),
        kinds=("predictions.written",),
        apply=_written,
        index=(("model", "model_version"),),
    ),
)


def record_predictions(
    p: Platform, written: Snapshot, mv: ModelVersion, *, rows: int, input_snapshot: Snapshot | str, window: str | None = None
) -> Fact:
    """Say that `written` holds `rows` predictions of `mv` over `input_snapshot`; saying it twice writes one fact."""
    body: dict[str, JSON] = {
        "table": written.table,
        "version": written.version,
        "model": mv.model,
        "model_version": mv.version,
        "rows": rows,
        "window": window,
        "input_snapshot": str(input_snapshot),
    }
    [fact] = p.journal.append([NewFact("predictions.written", written.table, body, dedupe_key=f"predictions/{written}/{mv}")])
    return fact
