"""Which version answers behind which endpoint: deploy one, go back to the one before, list them all."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.app.answers import Answer
from werk.app.code import MODULE, load_pipelines
from werk.app.commands.runs import drain, drive, start
from werk.app.wiring import Session, opened
from werk.core.nouns import ModelVersion, from_micros
from werk.pipelines.deploy import check_deployable, put_live, roll_back
from werk.pipelines.steps import SERVING
from werk.serving.deploy import deployments as history
from werk.serving.deploy import held_deployment, redeploy

PIPELINE = "deployment"


def deploy(version: str, project: Path | None, profile: str | None) -> Answer:
    """By the project's own `deployment` pipeline where it has one: what its authors check is checked here too."""
    with opened(project, profile, writes=True) as session:
        mv = registry.resolve(session.p, version)
        check_deployable(session.p, mv)
        run = _by_pipeline(session, mv) if _has_pipeline(session) else None
        if run is None:
            put_live(session.p, mv, session.p.project.root / SERVING)
        drain(session)
        newest = _newest(session, mv.model)
    return Answer(record=newest | {"run": run}, text=f"{mv} answers at '{newest['endpoint']}' ({newest['deployment']})")


def _has_pipeline(session: Session) -> bool:
    root = session.p.project.root
    return (root / f"{MODULE}.py").is_file() and PIPELINE in load_pipelines(root)


def _by_pipeline(session: Session, mv: ModelVersion) -> str:
    run = start(session, PIPELINE, {"model": str(mv)}, fresh=True)
    drive(session, PIPELINE, run)
    return run


def rollback(model: str, comment: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile, writes=True) as session:
        deployment = roll_back(session.p, model, session.p.project.root / SERVING, comment)
        newest = _newest(session, model)
        drain(session)
    text = f"{newest['model']}:{newest['version']} is the champion and answers at '{newest['endpoint']}' again ({deployment})"
    return Answer(record=newest, text=text)


def settle(project: Path | None, profile: str | None) -> None:
    """What the server follows says what the journal says, also after a kill in between."""
    with opened(project, profile) as session:
        redeploy(session.p, session.p.project.root / SERVING)


def deployments(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = session.p.journal.rows("deployments", order=("-seq",))
        folder = session.p.project.root / SERVING
    live = {held_deployment(folder, endpoint) for endpoint in {str(row["endpoint"]) for row in rows}}
    shown = [
        {
            "deployment": row["deployment"],
            "endpoint": row["endpoint"],
            "version": f"{row['model']}:{row['version']}",
            "live": row["deployment"] in live,
            "at": from_micros(int(str(row["at"]))).isoformat(timespec="seconds"),
            "cause": row["cause"],
        }
        for row in rows
    ]
    return Answer(rows=shown)


def _newest(session: Session, endpoint: str) -> dict[str, object]:
    row = history(session.p, endpoint)[0]
    return {name: row[name] for name in ("deployment", "endpoint", "model", "version", "canonical_hash", "cause")}
