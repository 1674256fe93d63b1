"""Rebuild a registered model in a process of its own and say what came of it."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from werk.app.answers import Answer
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.errors import Failed
from werk.core.journal import NewFact
from werk.core.nouns import ModelVersion
from werk.pipelines.rebuild import Rebuilt, Recipe, gone, judged, recipe_of
from werk.registry import version_row
from werk.workflow.capture import capture_environment, checkout_code


def rebuild(version: str, project: Path | None, profile: str | None) -> Answer:
    mv = ModelVersion.parse(version)
    with opened(project, profile) as session:
        recorded = str(version_row(session.p, mv)["canonical_hash"])
        recipe = recipe_of(session.p, mv)
        missing = gone(session.p, recipe)
        if missing:
            found = Rebuilt(version, "not rebuildable", recorded, "", tuple(f"{name} is gone" for name in missing))
        else:
            found = judged(mv, recorded, _again(session, recipe), recipe, capture_environment())
        body: dict[str, JSON] = {"outcome": found.outcome, "rebuilt": found.rebuilt, "causes": list(found.causes)}
        session.p.journal.append([NewFact("model.rebuilt", version, body)])
    text = f"{found.outcome}: {version} recorded {found.recorded}\n           rebuilt  {found.rebuilt}"
    text += "".join(f"\n  {cause}" for cause in found.causes)
    return Answer(record=found.to_json(), text=text, exit_code=0 if found.outcome == "identical" else 1)


def _again(session: Session, recipe: Recipe) -> str:
    """The hash from a new process that is given the code tree and the table versions, an empty cache and no stored model."""
    with tempfile.TemporaryDirectory(prefix="werk-rebuild-") as place:
        folder = Path(place)
        checkout_code(session.p.project.root / ".werk" / "code.git", str(recipe.code["tree"]), folder)
        job = {"folder": place, "recipe": asdict(recipe), "table_store": session.settings.ports["table_store"]}
        command = [sys.executable, "-m", "werk.app.rebuilding"]
        done = subprocess.run(command, input=json.dumps(job), capture_output=True, text=True, cwd=place, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Failed(f"The training could not be repeated: {last}", code="rebuild-failed", hint="Run the pipeline by hand.")
    return done.stdout.strip().splitlines()[-1]
