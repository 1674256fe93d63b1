"""What runs and their steps did, read from their facts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import cast

from werk.core.canonical import JSON, digest_of
from werk.core.journal import Change, Column, Fact, Projection, Upsert

Body = Mapping[str, JSON]


def _runs(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    match fact.kind:
        case "run.started":
            yield Upsert({"run": fact.subject, "status": "running", "started": fact.at, **_given(body)})
        case "run.resumed":
            yield Upsert({"run": fact.subject, "status": "running", "ended": None, "error": None})
        case "run.finished":
            yield Upsert({"run": fact.subject, "status": "finished", "ended": fact.at, "error": None})
        case _:
            status = "refused" if fact.kind == "run.refused" else "failed"
            yield Upsert({"run": fact.subject, "status": status, "ended": fact.at, "error": dict(body)})


def _given(body: Body) -> dict[str, JSON]:
    names = ("pipeline", "cause", "stage", "params", "spec", "pins", "code")
    return {**{name: body.get(name) for name in names}, "environment_sha256": environment_digest(body.get("environment"))}


def environment_digest(environment: JSON) -> str:
    """The digest an environment names itself, or that of everything it says."""
    named = environment.get("sha256") if isinstance(environment, Mapping) else None
    return str(named) if named else digest_of(environment)


def _steps(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    if fact.kind != "step.finished":
        if body.get("step"):
            status = "refused" if fact.kind == "run.refused" else "failed"
            yield Upsert({"run": fact.subject, "step": body["step"], "status": status, "attempt": body.get("attempt")})
        return
    status = "cached" if body.get("cached_from") else "finished"
    names = ("step", "outputs", "usage", "cached_from", "code_sha256", "reads", "writes", "attempt")
    told = {name: body.get(name) for name in names}
    yield Upsert({"run": fact.subject, "status": status, **told, "files": body.get("files") or {}})


def _edges(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    for field, direction in (("reads", "read"), ("writes", "write")):
        for dataset in cast("list[str]", body[field]):
            yield Upsert({"run": fact.subject, "step": body["step"], "direction": direction, "dataset": dataset})


def _cache(fact: Fact) -> Iterable[Change]:
    """What a step computed itself; a cached result stays with the run that computed it."""
    body = fact.body or {}
    if not body.get("cache_key") or body.get("cached_from"):
        return
    kept = {name: body[name] for name in ("step", "reads", "writes", "outputs")}
    yield Upsert({"key": body["cache_key"], "reads_sha256": digest_of(body["reads"]), "run": fact.subject, **kept})


PROJECTIONS = (
    Projection(
        name="runs",
        columns=(
            *(Column(name) for name in ("run", "pipeline", "status")),
            *(Column(name, "int") for name in ("started", "ended")),
            Column("stage"),
            *(Column(name, "json") for name in ("cause", "params", "spec", "pins", "code")),
            Column("environment_sha256"),
            Column("error", "json"),
        ),
        key=("run",),
        kinds=("run.started", "run.resumed", "run.finished", "run.failed", "run.refused"),
        apply=_runs,
        index=(("pipeline",), ("status",)),
    ),
    Projection(
        name="steps",
        columns=(
            *(Column(name) for name in ("run", "step", "status", "cached_from", "code_sha256")),
            *(Column(name, "json") for name in ("outputs", "usage", "reads", "writes", "files")),
            Column("attempt", "int"),
        ),
        key=("run", "step"),
        kinds=("step.finished", "run.failed", "run.refused"),
        apply=_steps,
    ),
    Projection(
        name="edges",
        columns=tuple(Column(name) for name in ("run", "step", "direction", "dataset")),
        key=("run", "step", "direction", "dataset"),
        kinds=("step.finished",),
        apply=_edges,
        index=(("dataset",),),
    ),
    Projection(
        name="cache",
        columns=(
            *(Column(name) for name in ("key", "reads_sha256", "run", "step")),
            *(Column(name, "json") for name in ("reads", "writes", "outputs")),
        ),
        # A table may go back to an earlier version, so each set of reads keeps its own result.
        key=("key", "reads_sha256"),
        kinds=("step.finished",),
        apply=_cache,
    ),
)
