"""The files every new use case gets beside its template's: for an editor's debugger, for the CI of GitHub and GitLab."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import version
from importlib.resources import files as shelf_of
from pathlib import Path

_PLACES = {
    "launch.json": ".vscode/launch.json",
    "github.yml": ".github/workflows/werk.yml",
    "gitlab.yml": ".gitlab-ci.yml",
}
_COMMAND = re.compile(r"^( *- (?:run: )?)COMMAND$", re.MULTILINE)


def add(folder: Path) -> None:
    """Into a folder that holds the template's own; what is there already is left as it is."""
    values = {"VERSION": version("werk"), "PYTHON": f"{sys.version_info.major}.{sys.version_info.minor}"}
    commands = list(checks(folder))
    for name, place in _PLACES.items():
        text = (shelf_of("werk") / "templates" / "_every" / name).read_text(encoding="utf-8")
        for word, value in values.items():
            text = text.replace(word, value)
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            target.write_text(_filled(text, commands), encoding="utf-8")


def checks(folder: Path) -> Iterator[str]:
    """What CI does, in its order: a gate that refuses the model ends it with exit code 3."""
    yield 'pip install -q "$WERK" pytest'
    yield "python -m pytest -q tests"
    yield "werk doctor"
    lines = (folder / "README.md").read_text(encoding="utf-8").splitlines()
    landing = [line for line in lines if re.fullmatch(r"werk ingest \S+ data/\S+", line)]
    yield from (*landing, "werk run training") if landing else ()


def _filled(text: str, commands: Sequence[str]) -> str:
    """One line for each command, quoted as YAML where it needs to be."""
    return _COMMAND.sub(lambda found: "\n".join(f"{found[1]}{_plain(command)}" for command in commands), text)


def _plain(command: str) -> str:
    return json.dumps(command) if re.search(r"[\"':#{}\[\]]", command) else command
