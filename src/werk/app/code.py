"""A project's own code: its pipelines, imported from its folder."""

from __future__ import annotations

import importlib
import sys
import traceback
from functools import partial
from pathlib import Path

from werk.core.errors import StepFailed, unknown
from werk.workflow import Pipeline
from werk.workflow.capture import file_secrets, mask

MODULE = "pipelines"
EXTRAS = ("pandas",)  # libraries of a project that an extra of werk brings
CELLS = "notebook_cells"  # modules that a notebook's cells became; their pipelines are named MODULE:PIPELINE


def load_pipelines(root: Path) -> dict[str, Pipeline]:
    """The pipelines in the project's `pipelines.py`; an error in that code is shown as the user's own."""
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    if not (root / f"{MODULE}.py").is_file():
        raise unknown("file", f"{MODULE}.py", [p.name for p in root.glob("*.py")], code="project-code-missing")
    return _pipelines_of(root, MODULE)


def pipeline_named(root: Path, name: str) -> Pipeline:
    """`NAME` of pipelines.py, or `NOTEBOOK:NAME` of a notebook's cells."""
    notebook, of_cells, own = name.rpartition(":")
    found = _of_cells(root, notebook) if of_cells else load_pipelines(root)
    if own not in found:
        raise unknown("pipeline", name, [f"{notebook}{of_cells}{other}" for other in found], code="pipeline-unknown")
    return found[own]


def cells_file(pipeline: str) -> str:
    """The file below the project that a pipeline's cells became, nothing for one of pipelines.py."""
    notebook = pipeline.rpartition(":")[0]
    return f"{CELLS}/{notebook}.py" if notebook else ""


def _of_cells(root: Path, notebook: str) -> dict[str, Pipeline]:
    known = [path.stem for path in (root / CELLS).glob("*.py")]
    if notebook not in known:
        raise unknown("notebook", notebook, known, code="notebook-unknown")
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    found = _pipelines_of(root, f"{CELLS}.{notebook}")
    for name, pipeline in found.items():
        pipeline.name = f"{notebook}:{name}"
    return found


def _pipelines_of(root: Path, name: str) -> dict[str, Pipeline]:
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as wrong:
        covered = partial(mask, values=file_secrets(root))
        raise StepFailed(
            f"{name.replace('.', '/')}.py cannot be imported: {covered(_kind(wrong))}.",
            code="project-code-broken",
            hint=_way_out(wrong),
            user_traceback=covered(_theirs(wrong, root)),
        ) from wrong
    return {name: value for name, value in vars(module).items() if isinstance(value, Pipeline)}


def _way_out(error: BaseException) -> str:
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        return f"pip install 'werk[{error.name}]', and run again."
    return "Mend it and run again."


def _kind(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")


def _theirs(error: BaseException, root: Path) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).is_relative_to(root)]
    return "".join([*traceback.format_list(frames), *traceback.format_exception_only(error)])
