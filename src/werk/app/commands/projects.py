"""New use cases from templates."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path

from werk.app.answers import Answer
from werk.core.errors import InputError, WerkError, disk_full, unknown
from werk.core.nouns import check_name, new_id

# What werk makes is no code: were it captured with the code, every story would look like a change.
IGNORED = ".werk/\nlake/\nstory.html\n__pycache__/\n"


def init(name: str, template: str) -> Answer:
    """Copy a template into a new folder and give the project its id."""
    target = Path(name).resolve()
    create(target, template)
    text = f"created {target}\n  next: cd {name}, read README.md, then: werk ingest raw.airlines data/airlines.parquet"
    return Answer(record={"project": target.name, "path": str(target), "template": template}, text=text)


def create(target: Path, template: str) -> None:
    check_name("project", target.name)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"{target.name} exists already.", code="project-exists", hint="Choose another name, or remove it.")
    shelf = files("werk") / "templates"
    known = sorted(entry.name for entry in shelf.iterdir() if entry.is_dir() and not entry.name.startswith("_"))
    if template not in known:
        raise unknown("template", template, known, code="template-unknown")
    with _appearing(target) as folder, as_file(shelf / template) as source:
        shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        _personalise(folder, target.name)


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """A folder beside it that takes its place when it is whole; until then, and after any failure, nothing is there."""
    folder = target.with_name(f".{target.name}.unfinished-{secrets.token_hex(4)}")
    try:
        folder.mkdir(parents=True)
        yield folder
        _put(folder, target)
    except OSError as closed:
        raise _unwritable(target, closed) from closed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _put(folder: Path, target: Path) -> None:
    """An empty folder that is there may be where somebody's shell stands: it is filled, not replaced."""
    if not target.exists():
        folder.rename(target)
        return
    for path in folder.iterdir():
        path.rename(target / path.name)


def _unwritable(target: Path, closed: OSError) -> WerkError:
    """A copy of many files says what stopped it file by file, and nothing of its own."""
    reason = closed.strerror or str(closed.args[0][0][2] if isinstance(closed, shutil.Error) else closed)
    if os.strerror(errno.ENOSPC) in reason or closed.errno == errno.EDQUOT:
        return disk_full(str(target))
    hint = "Choose a folder you own."
    return InputError(f"{target} cannot be written: {reason}.", code="project-unwritable", hint=hint)


def _personalise(target: Path, name: str) -> None:
    """The project's own name and id; its models are named like it, in the README's commands too."""
    settings, pipelines = target / "werk.toml", target / "pipelines.py"
    text = settings.read_text(encoding="utf-8")
    text = re.sub(r'(?m)^name = ".*"$', f'name = "{name}"', text, count=1)
    text = re.sub(r'(?m)^id = ".*"$', f'id = "{new_id("prj")}"', text, count=1)
    settings.write_text(text, encoding="utf-8")
    (target / ".gitignore").write_text(IGNORED, encoding="utf-8")
    code = pipelines.read_text(encoding="utf-8")
    pipelines.write_text(re.sub(r'"[a-z0-9_-]+@champion"', f'"{name}@champion"', code), encoding="utf-8")
    readme = target / "README.md"
    text = readme.read_text(encoding="utf-8")
    readme.write_text(re.sub(r"\b[a-z0-9_-]+:1\b", f"{name}:1", text), encoding="utf-8")
