"""Drives a pipeline through the journal: a finished step is a fact, so to resume is to walk on and skip those."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, cast

from werk.core.canonical import JSON, canonical_json, digest_of
from werk.core.errors import InputError, Lost, Refused, StepFailed, Transient, WerkError, unknown
from werk.core.journal import NewFact, Row
from werk.core.nouns import RunStatus, Snapshot, new_id
from werk.core.platform import Platform
from werk.core.ports.engine import Progress
from werk.core.spec import Const, FromParam, FromStep, Node, Source, Spec
from werk.workflow import params as values
from werk.workflow.capture import result_digest
from werk.workflow.codehash import Sources, code_hash
from werk.workflow.context import Resource, StepContext
from werk.workflow.failure import user_traceback
from werk.workflow.heartbeat import Heartbeat
from werk.workflow.memory import out_of_memory
from werk.workflow.payloads import Codec, Payload, Payloads, classes_in
from werk.workflow.pipeline import Pipeline
from werk.workflow.project_files import Digests, check_unchanged, digests, input_of
from werk.workflow.run_journal import RunJournal
from werk.workflow.step import Step

Body = Mapping[str, JSON]
AnyStep = Step[..., Any]


@dataclass(slots=True)
class _Walk:
    """One drive of one run: who may write it, what it was started with, what is done and where its tables stand."""

    pipeline: Pipeline
    spec: Spec
    started: Body
    params: Mapping[str, object]
    p: Platform
    beat: Heartbeat
    done: dict[str, Body]
    failed: dict[str, int]
    pins: dict[str, int]
    codes: Mapping[str, str]
    code: Body
    environment: Body
    environment_key: str

    @property
    def run(self) -> str:
        return self.beat.lease.run


class Engine:
    """Runs pipelines of one platform; its promises are numbered in `werk.core.ports.engine`.

    `resources` gives steps their keyword-only parameters; `p` (the platform, its journal bound to the run) and
    `context` (the `StepContext`) are always there. `mask` hides secrets in what is recorded of a failure.
    A step's own function is called inside `kept`, which may keep what it prints.
    """

    def __init__(
        self,
        p: Platform,
        resources: Mapping[str, Resource],
        codecs: Sequence[Codec] = (),
        lease_s: float = 30.0,
        mask: Callable[[str], str] = lambda text: text,
        progress: Callable[[Progress], None] | None = None,
        kept: Callable[[StepContext], AbstractContextManager[None]] = lambda _: nullcontext(),
    ) -> None:
        self._p = p
        self._resources: dict[str, Resource] = {"p": lambda bound, _: bound, "context": lambda _, context: context, **resources}
        self._payloads = Payloads(p, codecs)
        self._lease_s = _lease(lease_s)
        self._mask = mask
        self._tell = progress or (lambda _: None)
        self._kept_of = kept
        self._owner = new_id("own")
        self._sources = Sources(p.project.root)

    def start(
        self,
        pipeline: Pipeline,
        params: Mapping[str, object],
        *,
        pins: Mapping[str, int],
        code: Body,
        environment: Body,
        cause: Body | None = None,
        fresh: bool = False,
    ) -> str:
        """Record a run, ready to be driven, and return its id. Nothing is recorded when the input is wrong."""
        spec = pipeline.spec()
        self._check(pipeline, spec)
        run = new_id("run")
        body: dict[str, JSON] = {
            "pipeline": pipeline.name,
            "spec": spec.to_json(),
            "params": self._params(pipeline, params),
            "pins": dict(pins),
            "code": dict(code),
            "environment": dict(environment),
            "cause": None if cause is None else dict(cause),
            "fresh": fresh,
            "stage": self._p.stage,
        }
        self._p.journal.append([NewFact("run.started", run, body, run, f"{run}/start")])
        return run

    def drive(self, pipeline: Pipeline, run: str) -> RunStatus:
        """Walk the run from where the journal says it stands; returns its status.

        Raises `StepFailed` when a step's code raises, a step's own `WerkError` as itself, `Transient` while another
        worker drives the run, `Lost` when another one has taken it over.
        """
        return self._drive(pipeline, run, None)

    def resume(self, pipeline: Pipeline, run: str, *, code: Body | None = None, environment: Body | None = None) -> RunStatus:
        """Go on with a failed, refused or interrupted run: finished steps are kept, the others run with today's code.

        A finished run is left as it is, and `progress` says so. `code` and `environment` are what was captured today.
        """
        given = {"code": code, "environment": environment}
        return self._drive(pipeline, run, {name: None if body is None else dict(body) for name, body in given.items()})

    def _drive(self, pipeline: Pipeline, run: str, resumed: Body | None) -> RunStatus:
        with self._claimed(run) as beat:
            row = self._row(run)
            status = cast("RunStatus", row["status"])
            if status == "finished" and resumed is not None:
                self._tell(Progress(run, "", "already-finished", note=f"The run {run} has already finished; nothing to do."))
            if status == "finished" or (status != "running" and resumed is None):
                return status
            walk = self._walk(pipeline, beat, resumed or {})
            kept = self._kept(walk)
            if resumed is not None:
                body: Body = {**resumed, "kept": kept, "steps_done": sorted(walk.done)}
                walk.p.journal.append([NewFact("run.resumed", run, body, dedupe_key=f"{run}/resumed/{beat.lease.token}")])
            for index, node in enumerate(walk.spec.nodes):
                if node.id not in walk.done:
                    self._step(walk, node, index)
            walk.p.journal.append([NewFact("run.finished", run, {}, dedupe_key=f"{run}/finished")])
            return "finished"

    @contextmanager
    def _claimed(self, run: str) -> Iterator[Heartbeat]:
        self._row(run)
        lease = self._p.journal.claim(run, self._owner, ttl_s=self._lease_s)
        if lease is None:
            raise Transient(
                f"Another worker is driving the run {run}.",
                code="run-held",
                hint=f"Wait for it; if it has died, its hold ends after {self._lease_s:g} s.",
            )
        try:
            with Heartbeat(self._p.journal, lease, self._lease_s) as beat:
                yield beat
        finally:
            self._p.journal.release(lease)

    def _row(self, run: str) -> Row:
        rows = self._p.journal.rows("runs", {"run": run})
        if not rows:
            known = self._p.journal.rows("runs", order=("-seq",), limit=12)
            raise unknown("run", run, [str(row["run"]) for row in known], code="run-unknown")
        return rows[0]

    def _walk(self, pipeline: Pipeline, beat: Heartbeat, resumed: Body) -> _Walk:
        run = beat.lease.run
        started = next(iter(self._p.journal.facts(dedupe_key=f"{run}/start"))).body
        if started is None:
            raise InputError(f"What the run {run} was started with is erased.", code="run-erased", hint="Start a new run.")
        spec = pipeline.spec()
        _same_graph(run, Spec.from_json(cast("Mapping[str, object]", started["spec"])), spec)
        codes = self._check(pipeline, spec)
        rows = self._p.journal.rows("steps", {"run": run})
        done = {str(row["step"]): row for row in rows if row["status"] in ("finished", "cached")}
        failed = {str(row["step"]): _int(row["attempt"]) for row in rows if str(row["step"]) not in done}
        pins = dict(cast("Mapping[str, int]", started["pins"]))
        for node in spec.nodes:
            pins.update(_versions(done[node.id]["writes"]) if node.id in done else {})
        bound = replace(self._p, journal=RunJournal(self._p.journal, beat.lease))
        given = _param_values(pipeline, cast("Mapping[str, JSON]", started["params"]))
        code, environment = (cast("Body", resumed.get(name) or started[name]) for name in ("code", "environment"))
        key = result_digest(environment)
        return _Walk(pipeline, spec, started, given, bound, beat, dict(done), failed, pins, codes, code, environment, key)

    def _kept(self, walk: _Walk) -> list[str]:
        """Finished steps whose code has changed since: their results stay, and that is said."""
        changed = [id for id in walk.done if walk.codes[id] != walk.done[id]["code_sha256"]]
        for id in changed:
            note = f"The code of '{id}' has changed since it finished; its result is kept."
            self._tell(Progress(walk.run, id, "kept", note=note))
        return changed

    def _step(self, walk: _Walk, node: Node, index: int) -> None:
        tell = partial(Progress, walk.run, node.id, index=index, total=len(walk.spec.nodes))
        began = time.monotonic()
        files = self._files(walk, node)
        found = self._cached(walk, node, files)
        if found is None:
            self._tell(tell("started"))
            found = self._executed(walk, node, files, tell)
        walk.beat.check()
        fact = NewFact("step.finished", walk.run, found, dedupe_key=f"{walk.run}/{node.id}")
        written = walk.p.journal.append([fact])[0].body or found
        walk.done[node.id] = written
        walk.pins.update(_versions(written["writes"]))
        event: Literal["cached", "finished"] = "cached" if written.get("cached_from") else "finished"
        self._tell(tell(event, seconds=time.monotonic() - began, note=str(written.get("cached_from") or "")))

    # --- the cache ---

    def _cached(self, walk: _Walk, node: Node, files: Digests) -> dict[str, JSON] | None:
        """The fact of an equal earlier step, when the tables it read stand where they stood then."""
        key = self._cache_key(walk, node, files)
        if key is None or walk.started["fresh"]:
            return None
        for row in walk.p.journal.rows("cache", {"key": key}, order=("-seq",)):
            outputs = [Payload.from_json(item) for item in cast("list[JSON]", row["outputs"])]
            if _reads_hold(row, walk.pins) and self._payloads.present(outputs):
                kept: dict[str, JSON] = {name: row[name] for name in ("outputs", "reads", "writes")}
                origin = f"{row['run']}/{row['step']}"
                return {**_fact(node, 0, walk.codes[node.id], files, key), **kept, "cached_from": origin, "usage": None}
        return None

    def _cache_key(self, walk: _Walk, node: Node, files: Digests) -> str | None:
        if not walk.pipeline.steps[node.id].cache:
            return None
        inputs = {name: _identity(walk, source) for name, source in node.inputs.items()}
        key = {"code": walk.codes[node.id], "inputs": inputs, "files": dict(files), "environment": walk.environment_key}
        return digest_of(key)

    def _files(self, walk: _Walk, node: Node) -> Digests:
        """What the project's files that the step has declared hold now."""
        named = ((name, input_of(name)) for name in walk.pipeline.steps[node.id].files)
        names = [str(self._value(walk, node.inputs[by], str)) if by else name for name, by in named]
        return digests(self._p.project.root, names)

    # --- one step's own work ---

    def _executed(self, walk: _Walk, node: Node, files: Digests, tell: Callable[..., Progress]) -> dict[str, JSON]:
        attempt = walk.failed.get(node.id, 0)
        for left in range(node.retries, -1, -1):
            attempt += 1
            context = self._context(walk, node, attempt, files)
            try:
                return self._attempt(walk, node, context)
            except Lost:
                raise
            except Refused as no:
                self._ended(walk, context, "run.refused", no, tell)
                raise
            except InputError as wrong:
                self._ended(walk, context, "run.failed", wrong, tell)
                raise
            except Exception as error:
                if not left:
                    self._ended(walk, context, "run.failed", error, tell)
                    if isinstance(error, WerkError):
                        raise
                    raise self._step_failed(walk, node, error) from error
                self._tell(tell("retried", note=self._mask(_said(error))))
        raise AssertionError("unreachable")  # the last attempt returns or raises

    def _attempt(self, walk: _Walk, node: Node, context: StepContext) -> dict[str, JSON]:
        walk.beat.check()
        step = walk.pipeline.steps[node.id]
        given = self._inputs(walk, node, step)
        given.update({name: self._resources[name](walk.p, context) for name in step.resources})
        mark = self._p.meter.start()
        try:
            with self._kept_of(context):
                result = step.fn(**given)
            check_unchanged(context.root, context.files, node.id)
            outputs = self._payloads.save(_outputs(step, result))
        finally:
            usage = self._p.meter.stop(mark)
        return {
            **_fact(node, context.attempt, context.code_sha256, context.files, self._cache_key(walk, node, context.files)),
            "outputs": [payload.to_json() for payload in outputs],
            "reads": [str(snapshot) for snapshot in sorted(context.reads)],
            "writes": [str(snapshot) for snapshot in sorted(context.writes)],
            "usage": asdict(usage),
        }

    def _context(self, walk: _Walk, node: Node, attempt: int, files: Digests) -> StepContext:
        sources = {name: source for name, source in node.inputs.items() if isinstance(source, FromStep)}
        return StepContext(
            run=walk.run,
            step=node.id,
            pins=dict(walk.pins),
            root=self._p.project.root,
            attempt=attempt,
            inputs={name: _payload(walk, source).digest for name, source in sources.items()},
            files=files,
            code=walk.code,
            environment=walk.environment,
            code_sha256=walk.codes[node.id],
        )

    def _inputs(self, walk: _Walk, node: Node, step: AnyStep) -> dict[str, object]:
        return {name: self._value(walk, source, step.types.get(name, Any)) for name, source in node.inputs.items()}

    def _value(self, walk: _Walk, source: Source, annotation: object) -> object:
        match source:
            case FromStep(id, index):
                produced_as = walk.pipeline.steps[id].returns[index or 0]
                return self._payloads.load(_payload(walk, source), annotation, produced_as)
            case FromParam(name):
                return walk.params[name]
            case Const(value):
                return values.from_json(value, classes_in(annotation))

    # --- failures ---

    def _ended(self, walk: _Walk, context: StepContext, kind: str, error: Exception, tell: Callable[..., Progress]) -> None:
        """Record why the run stops here. Only a failure keeps a traceback; what is raised again is as covered as what is kept."""
        if isinstance(error, WerkError):
            error.message, error.hint = self._mask(error.message), self._mask(error.hint)
        code = error.code if isinstance(error, WerkError) else "step-failed"
        message = error.message if isinstance(error, WerkError) else self._mask(_said(error))
        body: dict[str, JSON] = {"step": context.step, "attempt": context.attempt, "code": code, "message": message}
        if kind == "run.failed":
            body["traceback"] = self._mask(user_traceback(error))
        walk.p.journal.append([NewFact(kind, walk.run, body)])
        self._tell(tell("refused" if kind == "run.refused" else "failed", note=message))

    def _step_failed(self, walk: _Walk, node: Node, error: Exception) -> StepFailed:
        return StepFailed(
            f"The step '{node.id}' failed: {self._mask(_said(error))}.",
            hint=f"Mend it, then: werk resume {walk.run}. Finished steps are kept.",
            step=node.id,
            user_traceback=self._mask(user_traceback(error)),
        )

    # --- checks before anything runs ---

    def _check(self, pipeline: Pipeline, spec: Spec) -> dict[str, str]:
        """The code hash of every step; raises `InputError` for what could not be run."""
        for node in spec.nodes:
            if node.kind != "step" or node.map_over or node.when:
                raise _not_yet(node)
            for name in pipeline.steps[node.id].resources:
                if name not in self._resources:
                    raise unknown(f"resource for step '{node.id}'", name, self._resources, code="resource-unknown")
        hashed = partial(code_hash, root=self._p.project.root, sources=self._sources, entry=pipeline.fn)
        return {node.id: hashed(pipeline.steps[node.id]) for node in spec.nodes}

    def _params(self, pipeline: Pipeline, given: Mapping[str, object]) -> JSON:
        for name in given:
            if name not in pipeline.params:
                raise unknown("parameter", name, pipeline.params, code="param-unknown")
        full = {name: given.get(name, parameter.default) for name, parameter in pipeline.params.items()}
        for name, parameter in pipeline.params.items():
            if full[name] is parameter.empty:
                raise InputError(f"The parameter '{name}' is missing.", code="param-missing", hint=f"Add {name}=VALUE.")
        told = {name: values.to_json(value) for name, value in full.items()}
        for name, value in told.items():
            # A masked value could not be resumed with, and a plain one would stay in the journal for good.
            if any(self._mask(text) != text for text in (canonical_json(value), *_texts(value))):
                raise InputError(
                    f"The parameter '{name}' holds a secret.", code="param-secret", hint="Give it by reference in werk.toml."
                )
        return told


def _texts(value: JSON) -> Iterator[str]:
    """Every text in a value, as it is: in JSON a quote or an accent would hide a secret."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from (text for item in value.items() for part in item for text in _texts(part))
    elif isinstance(value, list):
        yield from (text for part in value for text in _texts(part))


def _lease(seconds: object) -> float:
    if isinstance(seconds, int | float) and not isinstance(seconds, bool) and 0 < seconds < float("inf"):
        return float(seconds)
    hint = "Write a number above 0 under [engine] in werk.toml; 30 keeps a step that holds the interpreter."
    raise InputError(f"A lease cannot last {seconds!r} seconds.", code="lease-malformed", hint=hint)


def _not_yet(node: Node) -> InputError:
    what = "is an approval" if node.kind == "approval" else "is mapped over a list" if node.map_over else "runs on a condition"
    hint = "Use plain steps: loop or branch inside one, and approve with `werk approve`."
    return InputError(f"'{node.id}' {what}, which this engine cannot run yet.", code="node-kind", hint=hint)


def _fact(node: Node, attempt: int, code: str, files: Digests, cache_key: str | None) -> dict[str, JSON]:
    about: dict[str, JSON] = {"step": node.id, "attempt": attempt, "code_sha256": code, "files": dict(files)}
    return {**about, "cache_key": cache_key, "cached_from": None}


def _outputs(step: AnyStep, result: object) -> Sequence[object]:
    count = len(step.returns)
    if count == 1:
        return [result]
    if not isinstance(result, tuple) or len(result) != count:
        raise InputError(
            f"Step '{step.name}' says it returns {count} values, but returned {type(result).__qualname__}.",
            code="outputs-count",
            hint="Return a tuple of that length, or change the annotation.",
        )
    return result


def _payload(walk: _Walk, source: FromStep) -> Payload:
    outputs = cast("list[JSON]", walk.done[source.node]["outputs"])
    return Payload.from_json(outputs[source.index or 0])


def _identity(walk: _Walk, source: Source) -> JSON:
    match source:
        case FromStep():
            return {"digest": _payload(walk, source).digest}
        case FromParam(name):
            return {"value": values.to_json(walk.params[name])}
        case Const(value):
            return {"value": value}


def _reads_hold(row: Row, pins: Mapping[str, int]) -> bool:
    """A step that reads what it has just written does not depend on where that table stood before."""
    own = _versions(row["writes"])
    return all(own.get(t) == v or pins.get(t) == v for t, v in _versions(row["reads"]).items())


def _versions(snapshots: JSON) -> dict[str, int]:
    found = sorted(Snapshot.parse(text) for text in cast("list[str]", snapshots))
    return {snapshot.table: snapshot.version for snapshot in found}


def _param_values(pipeline: Pipeline, told: Mapping[str, JSON]) -> dict[str, object]:
    return {name: values.from_json(value, classes_in(pipeline.types.get(name, Any))) for name, value in told.items()}


def _same_graph(run: str, then: Spec, now: Spec) -> None:
    """Code may change between a failure and its resume, the graph may not: earlier results would mean something else."""
    shapes = [{node.id: (dict(node.inputs), node.outputs) for node in spec.nodes} for spec in (then, now)]
    if shapes[0] != shapes[1]:
        raise InputError(
            f"The pipeline '{now.name}' has other steps or connections than when {run} was started.",
            code="pipeline-changed",
            hint="Start a new run; unchanged steps come from the cache.",
        )


def _said(error: BaseException) -> str:
    said = f"{type(error).__name__}: {error}".rstrip(":. ")
    held = out_of_memory() if isinstance(error, MemoryError) else ""
    return f"{said}; {held}" if held else said


def _int(value: JSON) -> int:
    return value if isinstance(value, int) else 0
