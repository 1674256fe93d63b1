"""One row a run with everything asked of it most: parameters, metrics, data, code and cost."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.journal import Change, Column, Fact, Projection, Upsert

_TEXTS = ("pipeline", "model", "canonical_hash", "code_tree", "code_commit", "environment_sha256")
_TREES = ("params", "metrics", "snapshots", "usage")


def _stored(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"run": fact.subject, **{name: body.get(name) for name in (*_TEXTS, "version", *_TREES)}})


PROJECTIONS = (
    Projection(
        name="metadata",
        columns=(
            Column("run"),
            *(Column(name) for name in _TEXTS),
            Column("version", "int"),
            *(Column(name, "json") for name in _TREES),
        ),
        key=("run",),
        kinds=("metadata.stored",),
        apply=_stored,
        index=(("model", "version"),),
    ),
)
