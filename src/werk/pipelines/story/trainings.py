"""Every training that came to the gate, what the gate said of it and what it became."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, cast

from werk.core.canonical import JSON, digest_of
from werk.core.journal import Fact, Row
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.pipelines.story.nouns import GateVerdict, Retrain, Rule
from werk.workflow.params import to_json

_EVIDENCE = ("model", "run", "report_key", "gate_sha256")


@dataclass(frozen=True, slots=True)
class Training:
    """One evaluation by one gate; `version` was registered on it, or `known` stood already. A refused one has neither."""

    run: str
    canonical_hash: str
    passed: bool
    rules: tuple[Rule, ...] = ()
    version: str = ""
    known: str = ""
    erased: bool = False


def trainings(p: Platform) -> list[Training]:
    """In the order in which they came to the gate; last the versions of which the gate's words were erased."""
    versions = {_evidence(row): row for row in p.journal.rows("versions", order=("model", "version"))}
    evaluations = {_evidence(row): row for row in p.journal.rows("evaluations", order=("seq",))}
    judged = [_training(p, row, versions.get(key)) for key, row in evaluations.items()]
    return [*judged, *(_erased(row) for key, row in versions.items() if key not in evaluations)]


def gates(p: Platform) -> Iterator[GateVerdict]:
    """Each version by what it was registered on, each refused run by its own; what found a version again adds nothing to it."""
    found = trainings(p)
    names = {training.canonical_hash: training.version for training in reversed(found) if training.version}
    for one in found:
        if not one.known:
            registered = bool(one.version)
            yield GateVerdict(one.version or one.run, one.passed, one.rules, _note(one, names), registered)


def retrainings(p: Platform) -> Iterator[Retrain]:
    """Every run that a violation started, told by the newest violation that it answers."""
    facts = {fact.seq: fact for fact in p.journal.facts(kinds=("drift.detected",))}
    found = {training.run: training for training in trainings(p)}
    newest = {str(row["run"]): row for row in p.journal.rows("firings", order=("fact",))}
    for run, row in newest.items():
        fact = facts.get(cast("int", row["fact"]))
        if fact and fact.body:
            yield _retrain(fact, row, found.get(run))


def _retrain(fact: Fact, row: Row, of: Training | None) -> Retrain:
    body = cast("dict[str, Any]", fact.body)
    told = (body["window"], body["sentence"], fact.subject)
    run, pipeline = str(row["run"]), str(row["pipeline"])
    if of is None:
        return Retrain(*told, came="nothing", run=run, pipeline=pipeline)
    if of.version:
        return Retrain(*told, of.version, run=run, pipeline=pipeline)
    if of.known:
        return Retrain(*told, of.known, came="known", run=run, pipeline=pipeline)
    return Retrain(*told, came="nothing" if of.passed else "refused", run=run, pipeline=pipeline)


def _training(p: Platform, row: Row, version: Row | None) -> Training:
    rules = tuple(_rule(rule) for rule in cast("list[dict[str, Any]]", row["rules"]))
    known = _answer(p, row) if version is None and row["passed"] else ""
    return Training(str(row["run"]), str(row["canonical_hash"]), bool(row["passed"]), rules, _name(version), known)


def _erased(row: Row) -> Training:
    return Training(str(row["run"]), str(row["canonical_hash"]), True, version=_name(row), erased=True)


def _answer(p: Platform, row: Row) -> str:
    """The version of this learned state that a step of the run gave back; empty when the run came to none."""
    given = {out["digest"] for step in p.journal.rows("steps", {"run": row["run"]}) for out in _outputs(step)}
    same: dict[str, JSON] = {name: row[name] for name in ("model", "canonical_hash")}
    names = (_version(found) for found in p.journal.rows("versions", same, order=("version",)))
    return next((str(mv) for mv in names if digest_of(to_json(mv)) in given), "")


def _outputs(step: Row) -> list[Mapping[str, str]]:
    return cast("list[Mapping[str, str]]", step["outputs"] or [])


def _rule(rule: Mapping[str, Any]) -> Rule:
    return Rule(rule["rule"], rule["passed"], rule["sentence"], rule.get("value") is not None)


def _note(one: Training, names: Mapping[str, str]) -> str:
    said = f"Run {one.run}, model {one.canonical_hash[-12:]}" if one.version else f"Model {one.canonical_hash[-12:]}"
    twin = names.get(one.canonical_hash, one.version)
    same = f", the same learned state as {twin}" if twin != one.version else ""
    return f"{said}{same}.{' What the gate said was erased.' if one.erased else ''}"


def _evidence(row: Row) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in _EVIDENCE)


def _version(row: Row) -> ModelVersion:
    return ModelVersion(str(row["model"]), cast("int", row["version"]))


def _name(row: Row | None) -> str:
    return str(_version(row)) if row else ""
