"""Who acts here, and tokens for others."""

from __future__ import annotations

from pathlib import Path

from werk import governance
from werk.app.answers import Answer
from werk.app.wiring import opened
from werk.pipelines.steps import SERVING
from werk.serving.deploy import redeploy


def add(name: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        made, token = governance.issue_token(session.p, name)
        redeploy(session.p, session.p.project.root / SERVING)  # a running server takes new tokens over at once
    text = f"{made.name} may act with this token, shown only now:\n  export WERK_TOKEN={token}"
    return Answer(record={"actor": made.id, "name": made.name, "token": token}, text=text)


def actors(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = session.p.journal.rows("actors", order=("seq",))
    shown = [
        {"id": r["id"], "name": r["name"], "proof": str(r["proof"]).partition(":")[0], "issued_by": r["issued_by"]} for r in rows
    ]
    return Answer(rows=shown)
