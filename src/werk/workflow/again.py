"""One step called again with what its run recorded, outside of any run: what a debugger starts from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.journal import Reader, Row
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.spec import Const, FromParam, FromStep, Node, Source, Spec
from werk.workflow import params as values
from werk.workflow.context import Resource, StepContext
from werk.workflow.payloads import Codec, Payload, Payloads, classes_in
from werk.workflow.pipeline import Pipeline
from werk.workflow.project_files import digests, input_of
from werk.workflow.step import Step


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the journal tells of one step of one run; `error` is empty when the run did not end at this step.

    `code` and `environment` are those of the last start or resume, `outputs` by step those of the steps before it, `pins` the
    table versions as these steps left them.
    """

    run: str
    pipeline: str
    node: Node
    params: Mapping[str, JSON]
    pins: Mapping[str, int]
    code: Mapping[str, JSON]
    environment: Mapping[str, JSON]
    outputs: Mapping[str, Sequence[Payload]]
    attempt: int = 1
    error: Mapping[str, JSON] = field(default_factory=dict)

    @property
    def step(self) -> str:
        return self.node.id

    def inputs(self) -> dict[str, Payload]:
        """By name, what earlier steps have given; `InputError` for one that has not come so far."""
        found = {name: source for name, source in self.node.inputs.items() if isinstance(source, FromStep)}
        return {name: self._given(source) for name, source in found.items()}

    def _given(self, source: FromStep) -> Payload:
        if source.node not in self.outputs:
            raise InputError(
                f"The run {self.run} never came to '{self.step}': '{source.node}' before it has given nothing.",
                code="step-not-reached",
                hint=f"Debug that one: werk debug {self.run} {source.node}.",
            )
        return self.outputs[source.node][source.index or 0]


def recorded(reader: Reader, row: Row, step: str | None) -> Recorded:
    """The named step of a run, or without a name the one at which it failed."""
    run = str(row["run"])
    body = begun_with(reader, run)
    spec = Spec.from_json(cast("Mapping[str, object]", body["spec"]))
    error = cast("Mapping[str, JSON]", row["error"] or {})
    at = _node(spec, run, step or str(error.get("step") or ""), str(row["status"]))
    error = error if error.get("step") == at.id else {}
    steps = {str(one["step"]): one for one in reader.rows("steps", {"run": run})}
    before = [node.id for node in spec.nodes[: spec.nodes.index(at)] if steps.get(node.id, {}).get("outputs") is not None]
    return Recorded(
        run,
        str(row["pipeline"]),
        at,
        cast("Mapping[str, JSON]", body["params"]),
        dict(_pins(cast("Mapping[str, int]", body["pins"]), [steps[id] for id in before])),
        cast("Mapping[str, JSON]", body["code"]),
        cast("Mapping[str, JSON]", body["environment"]),
        {id: [Payload.from_json(one) for one in cast("list[JSON]", steps[id]["outputs"])] for id in before},
        max(cast("int", error.get("attempt") or 1), 1),
        error,
    )


def _node(spec: Spec, run: str, name: str, status: str) -> Node:
    if not name:
        said = "is still going on, or was killed" if status == "running" else f"is {status}"
        hint = f"Name a step, to stop at its first line: werk debug {run} {spec.nodes[-1].id} --break."
        raise InputError(f"No step of the run {run} has failed: it {said}.", code="nothing-failed", hint=hint)
    found = {node.id: node for node in spec.nodes}
    if name not in found:
        raise unknown("step", name, found, code="step-unknown")
    return found[name]


def begun_with(reader: Reader, run: str) -> dict[str, JSON]:
    """What the run was started with; code and environment are those it was last resumed with. Raises `InputError` when erased."""
    started = next(iter(reader.facts(dedupe_key=f"{run}/start"))).body
    if started is None:
        raise InputError(f"What the run {run} was started with is erased.", code="run-erased", hint="Start a new run.")
    body = dict(started)
    for resumed in reader.facts(kinds=("run.resumed",), subject=run):
        body |= {name: value for name in ("code", "environment") if (value := (resumed.body or {}).get(name))}
    return body


def _pins(pins: Mapping[str, int], done: Sequence[Row]) -> Iterator[tuple[str, int]]:
    yield from pins.items()
    for row in done:
        for written in sorted(Snapshot.parse(text) for text in cast("list[str]", row["writes"] or [])):
            yield written.table, written.version


@dataclass(frozen=True, slots=True)
class Call:
    """A step's function and what it is called with; `keep` is what a run does with its result."""

    step: Step[..., Any]
    given: Mapping[str, object]
    context: StepContext
    payloads: Payloads

    def keep(self, result: object) -> None:
        """Raises what a run would raise for a result that cannot travel to the next step."""
        values = [result] if len(self.step.returns) == 1 else result
        self.payloads.save(cast("Sequence[object]", values))


def call_of(
    p: Platform, pipeline: Pipeline, then: Recorded, resources: Mapping[str, Resource], codecs: Sequence[Codec] = ()
) -> Call:
    """The step with its recorded inputs, as the code that is loaded now defines it."""
    nodes = {node.id: node for node in pipeline.spec().nodes}
    if then.step not in nodes:
        raise unknown("step", then.step, nodes, code="step-unknown")
    if dict(nodes[then.step].inputs) != dict(then.node.inputs):
        raise InputError(
            f"The step '{then.step}' is given other things than when {then.run} was started.",
            code="pipeline-changed",
            hint="Start a new run; unchanged steps come from the cache.",
        )
    step, inputs, payloads = pipeline.steps[then.step], then.inputs(), Payloads(p, codecs)

    def value(name: str, source: Source) -> object:
        annotation = step.types.get(name, Any)
        match source:
            case FromStep(id, index):
                return payloads.load(inputs[name], annotation, pipeline.steps[id].returns[index or 0])
            case FromParam(param):
                return values.from_json(then.params[param], classes_in(pipeline.types.get(param, Any)))
            case Const(constant):
                return values.from_json(constant, classes_in(annotation))

    given = {name: value(name, source) for name, source in then.node.inputs.items()}
    named = ((name, input_of(name)) for name in step.files)
    files = digests(p.project.root, [str(given[by]) if by else name for name, by in named])
    context = StepContext(
        run=then.run,
        step=then.step,
        pins=dict(then.pins),
        root=p.project.root,
        attempt=then.attempt,
        inputs={name: payload.digest for name, payload in inputs.items()},
        files=files,
        code=then.code,
        environment=then.environment,
    )
    of: Mapping[str, Resource] = {"p": lambda bound, _: bound, "context": lambda _, told: told, **resources}
    for name in step.resources:
        if name not in of:
            raise unknown(f"resource for step '{then.step}'", name, of, code="resource-unknown")
    return Call(step, {**given, **{name: of[name](p, context) for name in step.resources}}, context, payloads)
