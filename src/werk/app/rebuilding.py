"""The process a rebuild runs in: the recorded code, the pinned tables, and nothing else of the project.

Reads a job from standard input, answers with the canonical hash on the last line of standard output.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

from werk.app.code import pipeline_named
from werk.app.settings import load_settings
from werk.app.wiring import Session, open_with
from werk.core.errors import WerkError
from werk.pipelines.rebuild import Recipe, retrain
from werk.workflow.capture import capture_environment


def main() -> None:
    job = json.load(sys.stdin)
    folder, recipe = Path(job["folder"]), Recipe(**job["recipe"])
    settings = load_settings(folder)
    ports = {
        **settings.ports,
        "table_store": job["table_store"],
        "object_store": {"use": "memory"},
        "key_store": {"use": "memory"},
    }
    settings = replace(settings, ports=ports, journal_url=f"sqlite:///{folder}/.werk/journal.db", home=folder / ".werk")
    session = open_with(settings)
    try:
        print(_hash(session, recipe, folder))
    except WerkError as error:
        print(f"{error.message} {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)
    finally:
        session.journal.close()


def _hash(session: Session, recipe: Recipe, folder: Path) -> str:
    pipeline = pipeline_named(folder, recipe.pipeline)
    return retrain(session.p, session.engine(), pipeline, recipe, capture_environment())


if __name__ == "__main__":
    main()
