"""Which version answers behind which endpoint: deploy one, go back to the one before, list them all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import cast

from werk import governance, registry
from werk.app.answers import Answer
from werk.app.code import MODULE, load_pipelines
from werk.app.commands.runs import drain, drive, start
from werk.app.commands.show import time_of
from werk.app.commands.verdicts import evaluation_of, interval
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.journal import Row
from werk.core.nouns import ModelVersion, from_micros
from werk.pipelines.deploy import check_deployable, put_live, roll_back
from werk.serving.deploy import SERVING, held_deployment, redeploy, undoes
from werk.serving.deploy import deployments as history

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
        known = _known(session, newest)
        drain(session)
    text = f"{newest['model']}:{newest['version']} is the champion and answers at '{newest['endpoint']}' again ({deployment})"
    return Answer(record=newest | known, text="\n".join([text, *_told(known)]))


def _known(session: Session, newest: Mapping[str, object]) -> dict[str, object]:
    """Of the version that came back: what it was accepted with, who approved it, and what took its place before."""
    from werk.models.task import MEASURE

    mv = ModelVersion(str(newest["model"]), int(str(newest["version"])))
    version = registry.version_row(session.p, mv)
    found = evaluation_of(session.p, session.p.journal, version)
    metrics = cast("Mapping[str, JSON]", found["metrics"]) if found else {}
    approvals = session.p.journal.rows("approvals", {"model": mv.model, "version": mv.version, "action": "approved"})
    measure = MEASURE[str(found["task"] or "binary")] if found else ""
    accepted = {"measure": measure, "value": metrics[measure]} if measure in metrics else None
    return {"accepted": accepted, "approved": [_approval(session, row) for row in approvals], "left": _left(session, newest)}


def _approval(session: Session, row: Row) -> dict[str, object]:
    by = governance.actor_named(session.p.journal, str(row["actor"]))
    return {"by": by, "at": time_of(row["at"]), "comment": row["comment"]}


def _left(session: Session, newest: Mapping[str, object]) -> dict[str, object] | None:
    """The deployment that took its place when it last answered, and why it has been undone now where somebody said so."""
    rows = history(session.p, str(newest["endpoint"]))
    for later, row in pairwise(rows[1:]):
        if (row["model"], row["version"]) == (newest["model"], newest["version"]) != (later["model"], later["version"]):
            by = f"{later['model']}:{later['version']}"
            return {"at": time_of(later["at"]), "for": by, "rolled_back": undoes(later), "comment": _comment(later["cause"])}
    return None


def _comment(cause: JSON) -> str:
    return str(cause.get("comment") or "") if isinstance(cause, Mapping) else ""


def _told(known: Mapping[str, object]) -> Iterator[str]:
    if accepted := cast("dict[str, object] | None", known["accepted"]):
        yield f"  accepted with {accepted['measure']} {interval(accepted['value'])}"
    for one in cast("list[dict[str, object]]", known["approved"]):
        yield f"  approved by {one['by']} at {one['at']}{_quoted(one['comment'])}"
    left = cast("dict[str, object] | None", known["left"])
    if left:
        why = "a rollback to" if left["rolled_back"] else "the deployment of"
        yield f"  left at {left['at']} with {why} {left['for']}{_quoted(left['comment'])}"


def _quoted(comment: object) -> str:
    return f": {comment}" if comment else ""


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
