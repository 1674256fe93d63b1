"""Who acts here, and tokens for others."""

from __future__ import annotations

from pathlib import Path

from werk import governance
from werk.app.answers import Answer
from werk.app.wiring import Session, opened
from werk.pipelines.steps import SERVING
from werk.serving.manifest import allow_tokens, endpoints


def add(name: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        made, token = governance.issue_token(session.p, name)
        _admit(session)
    text = f"{made.name} may act with this token, shown only now:\n  export WERK_TOKEN={token}"
    return Answer(record={"actor": made.id, "name": made.name, "token": token}, text=text)


def _admit(session: Session) -> None:
    """A running prediction server takes new tokens over without loading its models again."""
    folder = session.p.project.root / SERVING
    issued = [str(row["token_sha256"]) for row in session.p.journal.rows("tokens")]
    for endpoint in endpoints(folder) if folder.is_dir() else ():
        allow_tokens(folder, endpoint, issued)


def actors(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = session.p.journal.rows("actors", order=("seq",))
    shown = [
        {"id": r["id"], "name": r["name"], "proof": str(r["proof"]).partition(":")[0], "issued_by": r["issued_by"]} for r in rows
    ]
    return Answer(rows=shown)
