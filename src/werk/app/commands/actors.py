"""Who acts here, and tokens for others."""

from __future__ import annotations

from pathlib import Path

from werk import governance
from werk.app.answers import Answer
from werk.app.wiring import opened
from werk.core.journal import Row
from werk.core.nouns import Actor
from werk.core.platform import Platform
from werk.serving.deploy import SERVING, redeploy


def add(name: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        return _issued(session.p, *governance.issue_token(session.p, name))


def renew(name: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        return _issued(session.p, *governance.renew_token(session.p, name))


def revoke(name: str, reason: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        of = governance.revoke_tokens(session.p, name, reason)
        _tell_servers(session.p)
    text = f"No token of {of.name} counts any more: neither for commands from now on nor for a server of this project here."
    return Answer(record={"actor": of.id, "name": of.name, "reason": reason}, text=text)


def actors(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = session.p.journal.rows("actors", order=("seq",))
        shown = [{"id": r["id"], "name": r["name"], "proof": _proof(session.p, r), "issued_by": r["issued_by"]} for r in rows]
    return Answer(rows=shown)


def _proof(p: Platform, row: Row) -> str:
    kind = str(row["proof"]).partition(":")[0]
    return "revoked token" if kind == "token" and not governance.tokens_that_count(p.journal, str(row["id"])) else kind


def _issued(p: Platform, made: Actor, token: str) -> Answer:
    _tell_servers(p)
    text = f"{made.name} may act with this token, shown only now:\n  export WERK_TOKEN={token}"
    return Answer(record={"actor": made.id, "name": made.name, "token": token}, text=text)


def _tell_servers(p: Platform) -> None:
    """A running server of this project takes over at once who may call."""
    redeploy(p, p.project.root / SERVING)
