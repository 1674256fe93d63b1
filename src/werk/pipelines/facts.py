"""One row a run with everything asked of it most: parameters, metrics, data, code and cost."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.journal import Change, Column, Fact, Projection, Upsert

_TEXTS = ("pipeline", "model", "canonical_hash", "code_tree", "code_commit", "environment_sha256")
_TREES = ("params", "metrics", "snapshots", "usage")


def _stored(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"run": fact.subject, **{name: body.get(name) for name in (*_TEXTS, "version", *_TREES, "eur")}})


def _measured(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = {name: body[name] for name in ("place", "knows", "rows", *_INTERVAL)}
    yield Upsert({"model": fact.subject, "run": fact.run or "", **said})


_INTERVAL = ("auc", "low", "high")


_COMPARED = ("auc_a", "auc_b", "difference", "low", "high")


def _compared(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({name: body.get(name) for name in ("a", "b", "window", "rows", *_COMPARED)})


def _rebuilt(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"version": fact.subject, "outcome": body["outcome"], "causes": body["causes"], "at": fact.at})


def _probed(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = {name: body[name] for name in ("step", "object", "rows", "tolerance", "seed", "params")}
    yield Upsert({"version": fact.subject, "run": fact.run, **said})


def _kept(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"version": fact.subject, "key": body["key"], "sha256": body["sha256"], "run": fact.run})


PROJECTIONS = (
    Projection(
        name="baselines",
        columns=tuple(map(Column, ("version", "key", "sha256", "run"))),
        key=("version",),
        kinds=("baseline.kept",),
        apply=_kept,
    ),
    Projection(
        name="probes",
        columns=(
            *(Column(name) for name in ("version", "run", "step", "object")),
            *(Column(name, "int") for name in ("rows", "seed")),
            Column("tolerance", "real"),
            Column("params", "json"),
        ),
        key=("version",),
        kinds=("model.probed",),
        apply=_probed,
    ),
    Projection(
        name="rebuilds",
        columns=(Column("version"), Column("outcome"), Column("causes", "json"), Column("at", "int")),
        key=("version",),
        kinds=("model.rebuilt",),
        apply=_rebuilt,
    ),
    Projection(
        name="comparisons",
        columns=(Column("a"), Column("b"), Column("window"), Column("rows", "int"), *(Column(n, "real") for n in _COMPARED)),
        key=("a", "b", "window"),
        kinds=("models.compared",),
        apply=_compared,
    ),
    Projection(
        name="metadata",
        columns=(
            Column("run"),
            *(Column(name) for name in _TEXTS),
            Column("version", "int"),
            *(Column(name, "json") for name in _TREES),
            Column("eur", "real"),
        ),
        key=("run",),
        kinds=("metadata.stored",),
        apply=_stored,
        index=(("model", "version"),),
    ),
    Projection(
        name="rungs",
        columns=(
            Column("model"),
            Column("place", "int"),
            Column("knows"),
            Column("rows", "int"),
            *(Column(name, "real") for name in _INTERVAL),
            Column("run"),
        ),
        key=("model", "place"),
        kinds=("rung.measured",),
        apply=_measured,
    ),
)
