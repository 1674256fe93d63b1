"""The prediction server alone."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from werk.app.settings import find_root
from werk.core.errors import InputError
from werk.serving.manifest import endpoints
from werk.serving.server import serve as run_server

FOLDER = Path(".werk") / "serving"


def serve(port: int, project: Path | None, profile: str | None) -> None:
    """Needs no journal: what is served lies in files that a deployment wrote."""
    folder = find_root((project or Path.cwd()).resolve()) / FOLDER
    if not folder.is_dir():
        raise InputError(
            "Nothing is deployed yet.", code="deployment-missing", hint="Approve a version; its approval deploys it."
        )
    run_server(folder, port=port, on_ready=partial(_ready, folder))


def _ready(folder: Path, url: str) -> None:
    print(f"ready at {url}", flush=True)
    for endpoint in endpoints(folder):
        print(f'  what it takes: curl -H "Authorization: Bearer $WERK_TOKEN" {url}/v2/models/{endpoint}', flush=True)
    print("  Ctrl-C ends it", flush=True)
