"""Pipelines that stand in a notebook's cells: what they need of it becomes a module of the project, for a run's own process.

`notebook_cells/NOTEBOOK.py` holds the imports, values, functions and classes that the pipeline reaches, each as the notebook
holds it now, whatever the order in which its cells ran; `notebook_cells/NOTEBOOK.ipynb` all cells that were run. Both
lie in the project when a run's code is captured, so that they are found from the run and a rebuild needs no notebook.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from werk.app.code import CELLS
from werk.app.face.cells.alike import check_alike
from werk.app.face.cells.gathering import gathered
from werk.app.face.cells.module import keep, text_of
from werk.app.face.cells.sittings import Sitting, namespaces, sitting_of
from werk.core.errors import InputError
from werk.journal.filelock import alone
from werk.workflow import Pipeline

__all__ = ["kept_cells", "typed_here"]


@contextmanager
def kept_cells(root: Path, pipeline: Pipeline) -> Iterator[str]:
    """The pipeline's name for a command, `NOTEBOOK:PIPELINE`, while its cells lie in the project and nobody else writes there.

    `InputError` names what the pipeline needs and no run of its own would find.
    """
    sitting = sitting_of(pipeline.fn, root)
    lock = root / ".werk" / f"{CELLS}-{sitting.name}.lock"
    lock.parent.mkdir(exist_ok=True)
    with alone(lock) as free:
        if not free:
            hint = "Wait until it has ended, or save this one under a name of its own."
            raise InputError(f"Another run from cells named {sitting.name} is going on.", code="cells-busy", hint=hint)
        keep(root, sitting, _whole(sitting, pipeline))
        yield f"{sitting.name}:{pipeline.name}"


def typed_here(root: Path, name: str) -> Pipeline | None:
    """The pipeline that a run names `NOTEBOOK:PIPELINE`, where it stands in the cells of this very process."""
    notebook, _, own = name.rpartition(":")
    for names in namespaces() if notebook else ():
        found = names.get(own)
        if (
            isinstance(found, Pipeline)
            and getattr(found.fn, "__globals__", None) is names
            and sitting_of(found.fn, root).name == notebook
        ):
            return found
    return None


def _whole(sitting: Sitting, asked: Pipeline) -> str:
    """With the notebook's other pipelines, as far as they are whole: a run of one of them may want to be resumed."""
    parts = gathered(sitting, asked.fn.__name__, asked)
    check_alike(sitting, parts, text_of(sitting, parts))
    for name, value in list(sitting.names.items()):
        if isinstance(value, Pipeline) and value.fn.__name__ == name and value is not asked:
            try:
                more = gathered(sitting, name, value)
                check_alike(sitting, more, text_of(sitting, more))
            except InputError:
                continue
            parts = {**more, **parts}
    return text_of(sitting, parts)
