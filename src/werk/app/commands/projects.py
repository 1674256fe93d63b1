"""New use cases, from a template or from a table of one's own."""

from __future__ import annotations

import errno
import os
import re
import secrets
import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file
from importlib.resources import files as shelf_of
from pathlib import Path

from werk.app import every_project
from werk.app.answers import Answer
from werk.app.own import files as own
from werk.app.own.columns import Columns, columns_of
from werk.core.errors import InputError, WerkError, disk_full, unknown
from werk.core.nouns import check_name, new_id
from werk.governance import UNCHECKED

# What werk makes is no code: were it captured with the code, every story would look like a change.
IGNORED = ".werk/\nlake/\nstory.html\n__pycache__/\n.env*\n!.env.example\n"


OWN = "tabular"  # the template of one's own data
# A variant holds the files that differ; all others are those of the template it varies.
VARIANTS = {"flights-pandas": "flights"}


def init(
    name: str,
    template: str | None,
    data: Path | None,
    outcome: str | None,
    key: list[str],
    task: str | None = None,
    time: str | None = None,
) -> Answer:
    """Copy a template into a new folder and give the project its id; with `data` it is made for that file's columns."""
    target = Path(name).resolve()
    template = template or (OWN if data else "flights")
    _check_fitting(template, data, outcome or task or time, key)
    columns = columns_of(data, outcome, key, task, time) if data else None
    create(target, template, columns)
    record = {"project": target.name, "path": str(target), "template": template}
    return Answer(record=record, text="\n".join([f"created {target}", *_told(target, name, columns)]))


def _check_fitting(template: str, data: Path | None, outcome: str | None, key: list[str]) -> None:
    hint = "werk init NAME --from FILE --target COLUMN"
    if template == OWN and data is None:
        raise InputError("The template 'tabular' is made from your data.", code="template-data", hint=f"Write {hint}.")
    if template != OWN and (data is not None or outcome is not None or key):
        said = (
            f"The template '{template}' brings its own data."
            if data
            else "There is no file that --target, --key, --task or --time speak of."
        )
        raise InputError(said, code="template-data", hint=f"For your own: {hint}.")


def _describe(target: Path, columns: Columns) -> None:
    own.write(target, columns)
    readme = target / "README.md"
    text = readme.read_text(encoding="utf-8").replace("raw.rows ../rows.csv", _landing(target, columns))
    text = text.replace("--contract raw.rows", f"--contract {columns.table}")
    readme.write_text(text, encoding="utf-8")


def _landing(target: Path, columns: Columns) -> str:
    """What `werk ingest` takes, as one types it in the project's folder."""
    source = columns.source.resolve()
    near = os.path.relpath(source, target)
    return f"{columns.table} {shlex.quote(str(source) if near.startswith(f'..{os.sep}..') else near)}"


def _told(target: Path, name: str, columns: Columns | None) -> list[str]:
    if columns is None:
        return [f"  next: cd {name}, read README.md, then: {_first_command(target)}"]
    made = "a key made of what each row says" if columns.made_key else f"the key {', '.join(columns.key)}"
    features = f"  {len(columns.features)} features of '{columns.target}', {len(columns.categories)} of them categories; {made}"
    asked = [f"  {_question(columns)}"] if columns.outcome.task != "binary" or columns.time else []
    times = f"  look at {', '.join(columns.times)}: rows seem to have a time; --time COLUMN holds out the newest of them"
    newest = [times] if columns.times else []
    nobody = columns.rows - columns.known
    unknown_yet = [f"  {nobody:,} of {columns.rows:,} rows have no outcome: no model learns from them"] if nobody else []
    left_out = ["  left out:", *(f"    {one}" for one in columns.left_out)] if columns.left_out else []
    mended = "text because of such cells, and numbers once they are mended or left empty"
    nearly = [f"  look at {', '.join(columns.nearly)}: {mended}"] if columns.nearly else []
    then = (
        f"  next: cd {name}, read what is marked '{UNCHECKED}' (plan.toml first), then: werk ingest {_landing(target, columns)}"
    )
    return [features, *asked, *unknown_yet, *left_out, *nearly, *newest, then]


def _question(columns: Columns) -> str:
    """What the model will answer with, whether that was guessed, and which rows are held out."""
    outcome = columns.outcome
    kinds = {
        "binary": "1 or 0",
        "regression": "a number (regression)",
        "multiclass": f"one of {len(outcome.classes)} classes (multiclass)",
    }
    guess = "; guessed: --task says otherwise" if outcome.guessed else ""
    rare = f"; few rows of {', '.join(outcome.rare()[:6])}" if outcome.rare() else ""
    held = f"; held out are the newest by '{columns.time}'" if columns.time else ""
    return f"'{columns.target}' is {kinds[outcome.task]}{guess}{rare}{held}"


def _first_command(target: Path) -> str:
    """The first of the project's README."""
    lines = (target / "README.md").read_text(encoding="utf-8").splitlines()
    return next((line for line in lines if line.startswith("werk ")), "werk run training")


def create(target: Path, template: str, columns: Columns | None = None) -> None:
    check_name("project", target.name)
    if target.is_file() or (target.is_dir() and any(target.iterdir())):
        raise InputError(f"{target.name} exists already.", code="project-exists", hint="Choose another name, or remove it.")
    shelf = shelf_of("werk") / "templates"
    known = sorted(entry.name for entry in shelf.iterdir() if entry.is_dir() and not entry.name.startswith("_"))
    if template not in known:
        raise unknown("template", template, known, code="template-unknown")
    with _appearing(target) as folder:
        for layer in (VARIANTS.get(template), template):
            if layer:
                with as_file(shelf / layer) as source:
                    shutil.copytree(source, folder, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
        _personalise(folder, target.name)
        if columns is not None:
            _describe(folder, columns)
        every_project.add(folder)


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
