"""The prediction server alone."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

from werk.app.settings import find_root
from werk.core.errors import InputError
from werk.serving.manifest import endpoints
from werk.serving.server import serve as run_server

FOLDER = Path(".werk") / "serving"


def serve(port: int, project: Path | None, profile: str | None) -> None:
    """The files first say what the journal says: what is no longer approved is not answered with."""
    root = find_root((project or Path.cwd()).resolve())
    if not (root / FOLDER).is_dir():
        raise InputError(
            "Nothing is deployed yet.", code="deployment-missing", hint="Approve a version; its approval deploys it."
        )
    _settle(root, profile)
    run(port, root)


def run(port: int, root: Path) -> None:
    """Needs no journal: what is served lies in files that a deployment wrote."""
    run_server(root / FOLDER, port=port, on_ready=partial(_ready, root / FOLDER))


def _settle(root: Path, profile: str | None) -> None:
    """In a process of its own, so that this one never holds a journal; without one, what was deployed is served all the same."""
    command = [sys.executable, "-m", "werk.app.worker", "settle", str(root), profile or ""]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as asked:
        if asked.wait():
            print("warning: the journal was not asked; serving what was deployed last", file=sys.stderr)


def _ready(folder: Path, url: str) -> None:
    print(f"ready at {url}", flush=True)
    for endpoint in endpoints(folder):
        print(f'  what it takes: curl -H "Authorization: Bearer $WERK_TOKEN" {url}/v2/models/{endpoint}', flush=True)
    print("  Ctrl-C ends it", flush=True)
