"""`werk.open()`: a project as Python objects, for a notebook or a REPL, by the same calls that the command line makes."""

from __future__ import annotations

from pathlib import Path

from werk.app.face.project import Project
from werk.app.settings import find_root, load_settings

__all__ = ["Project", "open"]


def open(path: str | Path | None = None, *, profile: str | None = None) -> Project:
    """The project whose `werk.toml` lies in `path` (the working directory) or above it.

    `profile` names a [profile.NAME] of werk.toml. `InputError` when there is no project, or its settings are wrong.
    """
    root = find_root(Path(path or Path.cwd()).resolve())
    load_settings(root, profile)
    return Project(root, profile)
