"""The process a rebuild runs in: the recorded code, the pinned tables, and nothing else of the project.

Reads a job from standard input. Writes `environment.json` once the project's code is loaded and `trained.json` at the end into
the folder the job names; what the project's own code prints goes nowhere. Its object store, journal and keys are
empty ones of its own, so a step finds no stored model through the platform. (A step that opens the project's folder
by its path is not held back: that would need a container.)
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from werk.app.code import pipeline_named
from werk.app.settings import load_settings
from werk.app.wiring import Session, open_with
from werk.core.errors import WerkError
from werk.pipelines.rebuild import Recipe, retrain
from werk.workflow.capture import capture_environment


def main() -> None:
    job = json.load(sys.stdin)
    code, out, recipe = Path(job["code"]), Path(job["out"]), Recipe(**job["recipe"])
    settings = load_settings(code)
    ports = {
        **settings.ports,
        "table_store": job["table_store"],
        "object_store": {"use": "memory"},
        "key_store": {"use": "memory"},
        "identity": {"use": "local"},
    }
    settings = replace(settings, ports=ports, journal_url=f"sqlite:///{out}/journal.db", home=out / "home")
    session = open_with(settings)
    try:
        _train(session, recipe, code, out)
    except WerkError as error:
        print(f"{error.message} {error.hint}".replace("\n", " "), file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        session.journal.close()


def _train(session: Session, recipe: Recipe, code: Path, out: Path) -> None:
    pipeline = pipeline_named(code, recipe.pipeline)
    environment = capture_environment()
    (out / "environment.json").write_text(json.dumps(asdict(environment)), encoding="utf-8")
    trained = retrain(session.p, session.engine(), pipeline, recipe, environment)
    (out / "trained.json").write_text(json.dumps(trained.to_json()), encoding="utf-8")


if __name__ == "__main__":
    main()
