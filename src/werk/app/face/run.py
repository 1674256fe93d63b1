"""One run: its steps, what each was given and gave, and its evaluations."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from typing import Any, cast

from werk.app.code import cells_file, pipeline_named
from werk.app.commands import verdicts
from werk.app.commands.differing import differing
from werk.app.commands.past import reader
from werk.app.commands.show import run_record, run_row
from werk.app.face import starting
from werk.app.face.cells import kept_cells, typed_here
from werk.app.face.frame import Frame
from werk.app.face.graph import graph
from werk.app.face.html import block, table, verbatim, word
from werk.app.face.project import Project
from werk.app.wiring import Session
from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.spec import Const, FromParam, FromStep, Source, Spec
from werk.pipelines.story.markup import Html, tag
from werk.workflow.capture import kept_file
from werk.workflow.params import from_json
from werk.workflow.payloads import Payload, Payloads


class Run:
    """`id`, `status`, `pipeline`, `params`, `steps` (by name, in order) and `evaluations`, as recorded when it was asked for."""

    def __init__(self, project: Project, id: str, as_of: str | None = None) -> None:
        self._project = project
        self.id = id
        with project.session() as session:
            then = reader(session, as_of)
            self.record = run_record(session.p, then, id)
            self._spec = Spec.from_json(cast("Mapping[str, Any]", run_row(then, id)["spec"]))
        told = {str(step["step"]): step for step in cast("list[dict[str, Any]]", self.record["steps"])}
        self.steps = {node.id: StepOfRun(self, node.id, told.get(node.id, {})) for node in self._spec.nodes}

    @property
    def status(self) -> str:
        return str(self.record["status"])

    @property
    def pipeline(self) -> str:
        return str(self.record["pipeline"])

    @property
    def params(self) -> dict[str, Any]:
        """What it was started with; of a dataclass its fields."""
        return cast("dict[str, Any]", _plain(self.record["params"]))

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        """Each model that came to a gate: metrics with intervals, the gate's rules, golden points, behaviour tests."""
        return cast("list[dict[str, Any]]", self.record["evaluations"])

    @property
    def error(self) -> dict[str, Any] | None:
        """Of a failed or refused run the step, the sentence, the code and the user's own traceback."""
        return cast("dict[str, Any] | None", self.record["error"])

    def step(self, name: str) -> StepOfRun:
        if name not in self.steps:
            raise unknown(f"step of {self.pipeline}", name, self.steps, code="step-unknown")
        return self.steps[name]

    def resume(self) -> Run:
        """Go on with a failed, refused or killed run, with the code as the files, or this notebook's cells, say it now."""
        pipeline = typed_here(self._project.root, self.pipeline)
        with kept_cells(self._project.root, pipeline) if pipeline else nullcontext():
            starting.resumed(self._project.root, self._project.profile, self.id)
        return Run(self._project, self.id)

    def refresh(self) -> Run:
        """The same run as it stands now."""
        return Run(self._project, self.id)

    def logs(self) -> str:
        """What each step did and printed, and of a failure the user's own traceback."""
        return self._project.ask("logs.logs", run=self.id, step=None, attempt=None).text

    def diff(self, other: Run | str) -> dict[str, Any]:
        """What changed from another run of the same pipeline to this one: `code`, `params`, `data`, `environment`, `metrics`, by
        name the value before and after, and `parts`, the first step that gave something else. Raises `InputError` for a run of
        another pipeline."""
        with self._project.session() as session:
            return differing(session, self.id, other.id if isinstance(other, Run) else other)

    def cells(self) -> list[str]:
        """All cells that the notebook had run when it started this pipeline of its own, in that order; none for one of a file."""
        file = cells_file(self.pipeline)
        if not file:
            return []
        with self._project.session() as session:
            facts = session.p.journal.facts(run=self.id, kinds=("run.started", "run.resumed"))
            codes = [cast("dict[str, Any]", fact.body["code"]) for fact in facts if fact.body and fact.body.get("code")]
        if not codes:
            return []  # erased
        tree = str(codes[-1]["tree"])
        kept = kept_file(self._project.root / ".werk" / "code.git", tree, file.replace(".py", ".ipynb"))
        return ["".join(cell["source"]) for cell in json.loads(kept)["cells"]] if kept else []

    def lineage(self) -> Any:
        return self._project.lineage(self.id)

    def __repr__(self) -> str:
        lines = [f"{self.id}  {self.pipeline}  {self.status}", *(f"  {step!r}" for step in self.steps.values())]
        lines += [line for found in self.evaluations for line in verdicts.told(found)]
        return "\n".join([*lines, *([str(self.error["message"])] if self.error else [])])

    def _repr_html_(self) -> str:
        drawn = graph(self._spec, {name: step.status for name, step in self.steps.items()}, self._took())
        given = table([self.params], list(self.params)) if self.params else ""
        return block(self.pipeline, self.id, tag("div", word(self.status)), drawn, given, *self._judged(), *self._wrong())

    def _took(self) -> dict[str, str]:
        return {name: f"{step.usage['wall_s']:.1f} s" for name, step in self.steps.items() if step.usage}

    def _judged(self) -> Iterator[Html]:
        for found in self.evaluations:
            yield verbatim("\n".join(verdicts.told(found)))

    def _wrong(self) -> Iterator[Html]:
        if self.error:
            yield tag("div", str(self.error["message"]), class_="bad")
            yield verbatim(str(self.error.get("traceback") or "").rstrip())

    # --- for its steps ---

    def _inputs(self, step: str) -> dict[str, object]:
        node = self._spec.node(step)
        with self._project.session() as session:
            return {name: self._given(session, source) for name, source in node.inputs.items()}

    def _given(self, session: Session, source: Source) -> object:
        match source:
            case FromStep(id, index):
                outputs = self._outputs(session, id)
                return outputs[index or 0]
            case FromParam(name):
                return self.params.get(name)
            case Const(value):
                return _plain(value)

    def _outputs(self, session: Session, step: str) -> list[object]:
        stored = self.steps[step].stored
        if not stored:
            hint = "Only a finished step has given something."
            raise InputError(f"The step {step} of {self.id} has no output.", code="output-missing", hint=hint)
        payloads = Payloads(session.p, session.codecs)
        return [self._loaded(payloads, Payload.from_json(one), step, at) for at, one in enumerate(stored)]

    def _loaded(self, payloads: Payloads, payload: Payload, step: str, at: int) -> object:
        """A dataclass is made by its class in the project's code; all else needs none."""
        load = partial(payloads.load, payload)
        try:
            found = load()
        except InputError as wrong:
            if wrong.code != "class-refused":
                raise
            found = load(produced_as=pipeline_named(self._project.root, self.pipeline).steps[step].returns[at])
        return Frame(found) if payload.kind == "frame" else found  # type: ignore[arg-type]  # a frame is polars' where nothing else is asked


class StepOfRun:
    """One step of a run: `status`, `usage`, `reads`, `writes`, and the values it was given and gave."""

    def __init__(self, run: Run, name: str, record: Mapping[str, Any]) -> None:
        self._run = run
        self._record = record
        self.name = name

    @property
    def status(self) -> str:
        """finished, cached, failed, refused or, where nothing is recorded of it yet, waiting."""
        return str(self._record.get("status") or "waiting")

    @property
    def usage(self) -> dict[str, float]:
        """`wall_s`, `cpu_s`, `peak_bytes` of the attempt that counted; empty for one from the cache."""
        return cast("dict[str, float]", self._record.get("usage") or {})

    @property
    def reads(self) -> list[str]:
        """Table versions it read, `zone.table@version`."""
        return cast("list[str]", self._record.get("reads") or [])

    @property
    def writes(self) -> list[str]:
        """Table versions it wrote."""
        return cast("list[str]", self._record.get("writes") or [])

    @property
    def stored(self) -> list[dict[str, Any]]:
        """Where its outputs lie, with their digests."""
        return cast("list[dict[str, Any]]", self._record.get("outputs") or [])

    def inputs(self) -> dict[str, object]:
        """Each argument with the value it was given; frames as `Frame`."""
        return self._run._inputs(self.name)

    def output(self) -> object:
        """What it gave; a tuple where it gave several. Raises `Tampered` when stored bytes are not those that were written."""
        with self._run._project.session() as session:
            found = self._run._outputs(session, self.name)
        return found[0] if len(found) == 1 else tuple(found)

    def logs(self) -> str:
        """What is recorded of a failure here; empty otherwise."""
        error = self._run.error or {}
        return str(error.get("traceback") or error.get("message") or "") if error.get("step") == self.name else ""

    def __repr__(self) -> str:
        took = f"{self.usage['wall_s']:.2f} s" if self.usage else ""
        return f"{self.name:<22} {self.status:<9} {took}".rstrip()


def _plain(value: object) -> object:
    """Recorded JSON as the value it stands for; a dataclass, whose class may be gone, as a mapping of its fields."""
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    if "$class" in value:
        return _plain(value["fields"])
    if any(name.startswith("$") for name in value):
        return from_json(cast("JSON", value))
    return {name: _plain(item) for name, item in value.items()}
