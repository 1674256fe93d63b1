"""Who is known here and what was planned: the tables read from governance's facts."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.journal import Change, Column, Fact, Projection, Upsert


def _actor(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"id": fact.subject, "name": body["name"], "proof": body["proof"], "issued_by": body["issued_by"]})


def _token(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({"token_sha256": body["token_sha256"], "actor": fact.subject, "issued_by": body["issued_by"]})


def _plan(fact: Fact) -> Iterable[Change]:
    body = dict(fact.body or {})
    yield Upsert({"subject": fact.subject, "sha256": body.pop("sha256"), "plan": body, "actor": fact.actor, "at": fact.at})


PROJECTIONS = (
    Projection(
        name="actors",
        columns=tuple(map(Column, ("id", "name", "proof", "issued_by"))),
        key=("id",),
        kinds=("actor.enrolled",),
        apply=_actor,
        index=(("proof",),),
    ),
    Projection(
        name="tokens",
        columns=tuple(map(Column, ("token_sha256", "actor", "issued_by"))),
        key=("token_sha256",),
        kinds=("token.issued",),
        apply=_token,
        index=(("actor",),),
    ),
    Projection(
        name="plans",
        columns=(Column("subject"), Column("sha256"), Column("plan", "json"), Column("actor"), Column("at", "int")),
        key=("subject",),
        kinds=("plan.recorded",),
        apply=_plan,
    ),
)
