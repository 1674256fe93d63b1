"""Which version answers behind which endpoint: deploy one, go back to the one before, list them all."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.app.answers import Answer
from werk.app.commands.runs import drive, start
from werk.app.wiring import Session, opened
from werk.core.errors import Refused
from werk.core.nouns import ModelVersion, from_micros
from werk.pipelines import rollback as back
from werk.registry import version_row
from werk.serving.deploy import deployments as history

PIPELINE = "deployment"


def deploy(version: str, project: Path | None, profile: str | None) -> Answer:
    """By the project's own `deployment` pipeline, so that whatever it adds happens here too."""
    with opened(project, profile) as session:
        mv = registry.resolve(session.p, version)
        status = version_row(session.p, mv)["status"]
        if status != "approved":
            hint = f"Let a second actor run `werk approve {mv}`."
            raise Refused(f"{mv} is {status}, not approved.", code="not-approved", hint=hint)
        run = start(session, PIPELINE, {"model": str(mv)}, fresh=True)
        drive(session, PIPELINE, run)
        newest = _newest(session, mv)
    return Answer(record=newest | {"run": run}, text=f"{mv} answers at '{newest['endpoint']}' ({newest['deployment']})")


def rollback(endpoint: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        mv, deployment = back.rollback(session.p, endpoint)
    record = {"endpoint": endpoint, "version": str(mv), "deployment": deployment}
    return Answer(record=record, text=f"'{endpoint}' answers with {mv} again ({deployment}); it is the champion")


def deployments(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = session.p.journal.rows("deployments", order=("-seq",))
    live = {str(row["endpoint"]): row["deployment"] for row in reversed(rows)}
    shown = [
        {
            "deployment": row["deployment"],
            "endpoint": row["endpoint"],
            "version": f"{row['model']}:{row['version']}",
            "live": live[str(row["endpoint"])] == row["deployment"],
            "at": from_micros(int(str(row["at"]))).isoformat(timespec="seconds"),
            "cause": row["cause"],
        }
        for row in rows
    ]
    return Answer(rows=shown)


def _newest(session: Session, mv: ModelVersion) -> dict[str, object]:
    row = history(session.p, mv.model)[0]
    return {name: row[name] for name in ("deployment", "endpoint", "model", "version", "canonical_hash")}
