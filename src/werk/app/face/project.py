"""An opened project: what the commands answer, as objects that a notebook shows.

What loads a dataframe library is imported where it is used, so that `werk.open()` is there at once.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from werk.app.face.shown import Listing, Record
from werk.app.settings import load_settings

if TYPE_CHECKING:
    from werk.app.answers import Answer
    from werk.app.face.frame import Frame
    from werk.app.face.model import Model
    from werk.app.face.monitors import Monitors
    from werk.app.face.run import Run
    from werk.app.face.table import Table
    from werk.app.wiring import Session
    from werk.workflow import Pipeline


class Project:
    """A project of werk, as `werk.open()` finds it.

    Each call opens the stores, answers and closes them again, so that nothing is held while a notebook rests. What it gives
    shows itself as text and as HTML, and has `to_polars()`, `to_pandas()` and `to_arrow()` where it is rows.
    """

    def __init__(self, root: Path, profile: str | None = None) -> None:
        self.root = root
        self.profile = profile

    def tables(self, *, as_of: str | None = None) -> Listing:
        """Every table with its newest version, rows, quarantined rows and owner; `as_of` a time with a zone, as text."""
        return Listing.of(self.ask("tables.tables", as_of=as_of))

    def table(self, name: str, *, version: int | None = None, as_of: str | None = None) -> Table:
        """One table, at a version, as it stood at a time, or (with neither) its newest version."""
        from werk.app.face.table import Table

        return Table(self, name, version, as_of)

    def sql(self, query: str) -> Frame:
        """One SELECT over the tables (`raw.flights`) and the journal's own (`journal.runs`), in DuckDB's SQL."""
        from werk.app.commands.tables import asked
        from werk.app.face.frame import Frame

        with self.session() as session:
            return Frame(asked(session, query))

    def pipelines(self) -> Listing:
        """The project's pipelines, with the parameters they take."""
        from werk.app.commands.pipelines import pipelines

        return Listing.of(pipelines(None, self.root))

    def start(self, pipeline: str | Pipeline, /, *, fresh: bool = False, **params: object) -> Run:
        """Run a pipeline to its end, in a process of its own as `werk run` does, and return its run.

        Give its name in pipelines.py, or one that stands in the notebook's cells: what it needs of them is written to
        `notebook_cells/` and kept with the run. So the code is what files and cells say now, and the arithmetic is pinned as on
        the command line, whatever this notebook has loaded. `params` are the pipeline's parameters; for fields of a dataclass
        give a mapping: `params={"rounds": 300}`. `fresh` takes nothing from the cache. Ctrl-C stops it; `run.resume()` goes on.
        Raises what the command ends with:
        `StepFailed` with the user's traceback, `Refused` by a gate, `InputError`.
        """
        from werk.app.face.starting import started

        with self._named(pipeline) as name:
            return self.run(started(self.root, self.profile, name, params, fresh=fresh))

    def runs(self, limit: int = 20, *, as_of: str | None = None) -> Listing:
        """The newest runs."""
        return Listing.of(self.ask("runs.runs", limit=limit, as_of=as_of))

    def run(self, id: str, *, as_of: str | None = None) -> Run:
        """One run by its id, `run_...`: its steps, what each was given and gave, its evaluations."""
        from werk.app.face.run import Run

        return Run(self, id, as_of)

    def models(self, *, as_of: str | None = None) -> Listing:
        """Every model version with its status and alias."""
        return Listing.of(self.ask("models.models", as_of=as_of))

    def model(self, name: str) -> Model:
        """One version: `NAME:VERSION` or `NAME@ALIAS`; a name alone is its champion."""
        from werk.app.face.model import Model

        return Model(self, name)

    def monitor(self, model: str | None = None, *, window: str | None = None, as_of: str | None = None) -> Monitors:
        """What the monitors said, window by window (of the project's own model without one)."""
        from werk.app.face.monitors import Monitors

        return Monitors(self.ask("monitor.monitor", model=model, window=window, check=False, as_of=as_of))

    def lineage(self, id: str) -> Record:
        """Where a prediction, run, version, deployment or table version came from, and what came of it."""
        return Record.of(self.ask("proof.lineage", id=id))

    def show(self, id: str, *, as_of: str | None = None) -> Record:
        """Everything recorded of one thing, by its id."""
        return Record.of(self.ask("show.show", id=id, as_of=as_of))

    def status(self) -> Record:
        """The project on one screen, and what to do next."""
        return Record.of(self.ask("status.status"))

    def __getitem__(self, id: str) -> Table | Run | Model:
        """By its id, which Tab completes: `zone.table`, `zone.table@VERSION`, `run_...`, `model:VERSION` or `model@ALIAS`."""
        if id.startswith("run_"):
            return self.run(id)
        name, at, version = id.rpartition("@")
        if at and version.isdigit():
            return self.table(name, version=int(version))
        return self.model(id) if at or ":" in id else self.table(id)

    def _ipython_key_completions_(self) -> list[str]:
        """Tables, versions, aliases and the newest runs; nothing where the project cannot be asked: Tab raises no error."""
        from werk.core.errors import WerkError

        try:
            with self.session() as session:
                rows = session.p.journal.rows
                tables = [str(row["table"]) for row in rows("tables", order=("table",), columns=("table",))]
                versions = [f"{row['model']}:{row['version']}" for row in rows("versions", order=("model", "-version"))]
                aliases = [f"{row['model']}@{row['alias']}" for row in rows("aliases", order=("model", "alias"))]
                return [*tables, *aliases, *versions, *(str(row["run"]) for row in rows("runs", order=("-started",), limit=20))]
        except WerkError:
            return []

    def __repr__(self) -> str:
        return f"<werk project {self._name()} in {self.root}, profile {self.profile or 'local'}>"

    def _repr_html_(self) -> str:
        from werk.app.face.html import block, verbatim

        return block(f"project {self._name()}", str(self.root), verbatim(repr(self.status())))

    def _name(self) -> str:
        return load_settings(self.root, self.profile).project.name

    @contextmanager
    def _named(self, pipeline: str | Pipeline) -> Iterator[str]:
        """A pipeline's name for a command; while it runs, nobody else writes the cells that it stands in."""
        from werk.app.code import MODULE
        from werk.app.face.cells import kept_cells

        if isinstance(pipeline, str) or pipeline.fn.__module__ == MODULE:
            yield pipeline if isinstance(pipeline, str) else pipeline.name
            return
        with kept_cells(self.root, pipeline) as name:
            yield name

    # --- for the objects beside ---

    def ask(self, command: str, **given: object) -> Answer:
        """The answer of a command of `app.commands`, named `module.function`."""
        module, _, name = command.partition(".")
        work = getattr(importlib.import_module(f"werk.app.commands.{module}"), name)
        answer: Answer = work(**given, project=self.root, profile=self.profile)
        return answer

    @contextmanager
    def session(self) -> Iterator[Session]:
        """The project, open for one question."""
        from werk.app.wiring import opened

        with opened(self.root, self.profile) as session:
            yield session
