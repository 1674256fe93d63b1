"""Model versions: list them, approve, reject, name."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.app.answers import Answer
from werk.app.commands.past import reader
from werk.app.commands.runs import drain
from werk.app.wiring import opened
from werk.core.nouns import ModelVersion
from werk.pipelines.deploy import take_out
from werk.serving.deploy import SERVING


def models(as_of: str | None, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        then = reader(session, as_of)
        names = {(row["model"], row["version"]): row["alias"] for row in then.rows("aliases")}
        rows = then.rows("versions", order=("model", "version"))
    shown = [
        {
            "model": row["model"],
            "version": row["version"],
            "status": row["status"],
            "alias": names.get((row["model"], row["version"])),
            "canonical_hash": row["canonical_hash"],
            "run": row["run"],
        }
        for row in rows
    ]
    return Answer(rows=shown)


def approve(version: str, comment: str, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile) as session:
        fact = registry.approve(session.p, mv, comment)
        body = fact.body or {}
        record = {"version": str(mv), "status": "approved", "by": session.p.actor.name, "assurance": body.get("assurance")}
        drain(session)
    return Answer(record=record, text=f"{mv} approved by {record['by']} (assurance: {record['assurance']})")


def reject(version: str, comment: str, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile) as session:
        registry.reject(session.p, mv, comment)
    return Answer(record={"version": str(mv), "status": "rejected"}, text=f"{mv} rejected")


def retire(version: str, comment: str, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile) as session:
        take_out(session.p, mv, session.p.project.root / SERVING, comment)
    return Answer(record={"version": str(mv), "status": "retired"}, text=f"{mv} retired")


def alias(version: str, name: str, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile) as session:
        registry.set_alias(session.p, mv, name)
    return Answer(record={"version": str(mv), "alias": name}, text=f"{mv} is now {mv.model}@{name}")
