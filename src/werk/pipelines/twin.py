"""The version that was already made from the same things: a rerun that brings nothing new adds no version.

What made a model is read step by step, from the one that gave it back to the first: code, inputs, table versions and files of
the project, and the environment. What else lies in the project's folder made nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from werk import registry
from werk.core.canonical import JSON
from werk.core.journal import Row
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.core.spec import Const, FromParam, FromStep, Node, Source, Spec
from werk.pipelines import probe
from werk.registry import Gate
from werk.workflow.capture import result_digest

# What the report says of other things than the model's own answers: a clock, the champion of that day, which files it read.
_ASIDE = ("latency", "champion", "files")
# What a gate may ask for or not: where it does not, nothing of it has been judged.
_OPTIONAL = ("golden", "behaviour", "slices", "bias")


def twin(p: Platform, name: str, identity: str, report: Mapping[str, JSON], gate: Gate, run: str) -> ModelVersion | None:
    """The newest version with this canonical hash that the same things made and the same gate judged by the same evidence.

    Golden points, behaviour tests, slices and bias that the gate does not ask for are no evidence.
    """
    made = making(p, run, identity)
    if made is None:
        return None
    evidence = _evidence(report, gate)
    for row in p.journal.rows("versions", {"model": name, "canonical_hash": identity}, order=("-version",)):
        seen = row["gate_sha256"] == gate.sha256 and _evidence(registry.stored_report(p, row), gate) == evidence
        if seen and making(p, str(row["run"]), identity) == made:
            return ModelVersion(name, cast("int", row["version"]))
    return None


def making(p: Platform, run: str, identity: str) -> dict[str, JSON] | None:
    """Everything a run made the model of this canonical hash from; None when it made none, or when that was erased."""
    last = probe.trained_in(p, run, identity)
    environment = _environment(p, run)
    if last is None or environment is None:
        return None
    [row] = p.journal.rows("runs", {"run": run})
    spec = Spec.from_json(cast("Mapping[str, object]", row["spec"]))
    params = cast("Mapping[str, JSON]", row["params"])
    steps = {str(step["step"]): step for step in p.journal.rows("steps", {"run": run})}
    return {"environment": environment, **{node.id: _of(node, steps[node.id], params) for node in spec.upstream(last)}}


def _of(node: Node, step: Row, params: Mapping[str, JSON]) -> dict[str, JSON]:
    inputs = {name: _given(source, params) for name, source in node.inputs.items()}
    return {"inputs": inputs, **{name: step[name] for name in ("code_sha256", "reads", "files")}}


def _given(source: Source, params: Mapping[str, JSON]) -> JSON:
    match source:
        case FromStep(node, index):
            return [node, index]
        case FromParam(name):
            return {"value": params[name]}
        case Const(value):
            return {"value": value}


def _environment(p: Platform, run: str) -> str | None:
    """Of the start, or of the last resume that captured another; None when it was erased."""
    bodies = [fact.body for fact in p.journal.facts(run=run, kinds=("run.started", "run.resumed"))]
    if None in bodies:
        return None
    told = [body["environment"] for body in bodies if body is not None and body.get("environment")]
    return result_digest(cast("Mapping[str, JSON]", told[-1])) if told else None


def _evidence(report: Mapping[str, JSON], gate: Gate) -> dict[str, JSON]:
    unasked = {name for name in _OPTIONAL if not getattr(gate, name)}
    return {name: value for name, value in report.items() if name not in unasked.union(_ASIDE)}
