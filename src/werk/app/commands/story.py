"""The story page of a project."""

from __future__ import annotations

from pathlib import Path

from werk import data
from werk.app.answers import Answer
from werk.app.wiring import Session, opened
from werk.pipelines.lineage import Lineage, lineage
from werk.pipelines.steps import PREDICTIONS, words
from werk.pipelines.story import render
from werk.pipelines.story.tell import tell


def story(file: Path, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        outcome, things = words(session.p)
        page = render(tell(session.p, _one(session), outcome, things))
    file.write_text(page, encoding="utf-8")
    return Answer(record={"file": str(file), "size_bytes": len(page)}, text=f"written to {file} ({len(page) // 1024} kB)")


def _one(session: Session) -> Lineage | None:
    """The lineage of one prediction: the first by id, so that the same page follows the same one."""
    if session.p.table_store.version(PREDICTIONS) is None:
        return None
    found = data.sql(session.p, f"select min(prediction_id) as id from {PREDICTIONS}")
    return lineage(session.p, str(found["id"][0]))
