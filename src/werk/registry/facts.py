"""Evaluations, versions, approvals and aliases: the tables read from the registry's facts."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.journal import Change, Column, Fact, Projection, Update, Upsert

_REGISTERED = (
    "canonical_hash",
    "package_key",
    "manifest_sha256",
    "snapshots",
    "code",
    "environment_sha256",
    "report_key",
    "report_sha256",
    "gate_sha256",
    "plan_sha256",
    "assurance_needed",
    "trainer",
)
_STATUS = {"model.approved": "approved", "model.rejected": "rejected", "model.retired": "retired"}


def _evaluation(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = ("model", "report_key", "report_sha256", "gate_sha256", "passed", "rules", "canonical_hash")
    yield Upsert({**{name: body[name] for name in said}, "run": fact.run or "", "at": fact.at})


def _version(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    key = {"model": body["model"], "version": body["version"]}
    if fact.kind != "model.registered":
        yield Update(key, {"status": _STATUS[fact.kind]})
        return
    registered = {name: body[name] for name in _REGISTERED}
    yield Upsert({**key, **registered, "status": "pending", "run": fact.run or "", "at": fact.at})


def _approval(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    said = {name: body[name] for name in ("model", "version", "comment", "assurance")}
    yield Upsert({**said, "action": _STATUS[fact.kind], "actor": fact.actor, "at": fact.at})


def _alias(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({**{name: body[name] for name in ("model", "alias", "version")}, "actor": fact.actor, "at": fact.at})


def _texts(*names: str) -> tuple[Column, ...]:
    return tuple(map(Column, names))


PROJECTIONS = (
    Projection(
        name="evaluations",
        columns=(
            *_texts("model", "run", "report_key", "gate_sha256", "report_sha256", "canonical_hash"),
            Column("passed", "bool"),
            Column("rules", "json"),
            Column("at", "int"),
        ),
        key=("model", "run", "report_key", "gate_sha256"),
        kinds=("model.evaluated",),
        apply=_evaluation,
    ),
    Projection(
        name="versions",
        columns=(
            Column("model"),
            Column("version", "int"),
            *_texts("status", "run"),
            *(Column(name, "json" if name in ("snapshots", "code") else "text") for name in _REGISTERED),
            Column("at", "int"),
        ),
        key=("model", "version"),
        kinds=("model.registered", *_STATUS),
        apply=_version,
        index=(("canonical_hash",), ("run",)),
    ),
    Projection(
        name="approvals",
        columns=(
            Column("model"),
            Column("version", "int"),
            *_texts("action", "actor", "comment", "assurance"),
            Column("at", "int"),
        ),
        key=("model", "version", "action"),
        kinds=tuple(_STATUS),
        apply=_approval,
    ),
    Projection(
        name="aliases",
        columns=(*_texts("model", "alias"), Column("version", "int"), Column("actor"), Column("at", "int")),
        key=("model", "alias"),
        kinds=("alias.set",),
        apply=_alias,
        history=True,
    ),
)
