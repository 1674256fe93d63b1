"""A model becomes a version: only after its gate, and only with its code, data and package at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import cast

from werk.core.canonical import JSON, sha256_hex
from werk.core.errors import InputError, Refused, Tampered
from werk.core.journal import Fact, NewFact, Reader, Row, Writer
from werk.core.nouns import ModelVersion, Snapshot, check_name
from werk.core.platform import Platform
from werk.governance import Plan, record_plan
from werk.registry.decision import Decision


def record_evaluation(
    p: Platform, model: str, report_key: str, report_sha256: str, decision: Decision, canonical_hash: str, run: str
) -> Fact:
    """Write what the gate said about a stored report, passed or not; the report must be the one with this hash."""
    check_name("model", model)
    _check_report(p, report_key, report_sha256)
    _check_same_model(decision, canonical_hash)
    body: dict[str, JSON] = {
        "model": model,
        "report_key": report_key,
        "report_sha256": report_sha256,
        "gate_sha256": decision.gate_sha256,
        "passed": decision.passed,
        "rules": decision.rules_json(),
        "canonical_hash": canonical_hash,
    }
    key = f"evaluated/{run}/{model}/{report_sha256}/{decision.gate_sha256}"
    return p.journal.append([NewFact("model.evaluated", model, body, run, key)])[0]


def register(
    p: Platform,
    model: str,
    *,
    run: str,
    package_key: str,
    manifest_sha256: str,
    canonical_hash: str,
    snapshots: Sequence[Snapshot | str],
    code: Mapping[str, JSON],
    environment_sha256: str,
    report_key: str,
    decision: Decision,
    plan: Plan | None,
) -> ModelVersion:
    """The new version, `pending`; the same run registering the same model again gets the version it already has.

    `Refused`: `gate-failed` (names the rules), `plan-missing`, `evaluation-missing`, `artifact-missing` (code, data or model).
    `Tampered`: the stored report or package is not what was recorded.
    """
    check_name("model", model)
    _check_gate(model, decision, canonical_hash)
    _check_artifacts(p, package_key, manifest_sha256, canonical_hash, snapshots, code)
    evaluation = _evaluation(p.journal, model, report_key, decision, canonical_hash)
    _check_report(p, report_key, str(evaluation["report_sha256"]))
    body: dict[str, JSON] = {
        "model": model,
        "canonical_hash": canonical_hash,
        "package_key": package_key,
        "manifest_sha256": manifest_sha256,
        "snapshots": sorted(map(str, snapshots)),
        "code": dict(code),
        "environment_sha256": environment_sha256,
        "report_key": report_key,
        "report_sha256": evaluation["report_sha256"],
        "gate_sha256": decision.gate_sha256,
        "plan_sha256": _planned(p, plan),
        "assurance_needed": decision.assurance,
        "trainer": p.actor.id,
    }
    with p.journal.write() as facts:
        return _numbered(facts, model, run, body)


def _numbered(facts: Writer, model: str, run: str, body: Mapping[str, JSON]) -> ModelVersion:
    """The next number is read and taken in one transaction, so that four at once get four."""
    key = f"registered/{run}/{model}/{body['canonical_hash']}"
    newest = facts.rows("versions", {"model": model}, order=("-version",), limit=1)
    version = cast(int, newest[0]["version"]) + 1 if newest else 1
    for fact in facts.facts(dedupe_key=key):
        return ModelVersion.parse(fact.subject)
    mv = ModelVersion(model, version)
    facts.append([NewFact("model.registered", str(mv), {**body, "version": version}, run, key)])
    return mv


def _planned(p: Platform, plan: Plan | None) -> str:
    if plan is None:
        raise Refused("This project has no plan, so no model is registered.", code="plan-missing", hint="Write plan.toml first.")
    record_plan(p, plan)
    return plan.sha256


def _check_gate(model: str, decision: Decision, canonical_hash: str) -> None:
    _check_same_model(decision, canonical_hash)
    if decision.passed:
        return
    failed = decision.failed
    named = ", ".join(rule.rule for rule in failed) or "no rule was checked"
    raise Refused(
        f"The gate refused {model}: {named}.",
        code="gate-failed",
        hint=" ".join(rule.sentence for rule in failed[:3]) or "Evaluate the model first.",
    )


def _check_same_model(decision: Decision, canonical_hash: str) -> None:
    if decision.canonical_hash != canonical_hash:
        raise Refused("The report speaks of another model.", code="report-mismatch", hint="Decide on a report of this model.")


def _evaluation(journal: Reader, model: str, report_key: str, decision: Decision, canonical_hash: str) -> Row:
    """The recorded evaluation that the decision claims to be: a decision made up beside the journal has none."""
    where = {"model": model, "report_key": report_key, "gate_sha256": decision.gate_sha256}
    for row in journal.rows("evaluations", where):
        if row["canonical_hash"] == canonical_hash and row["passed"] and row["rules"] == decision.rules_json():
            return row
    raise Refused(
        f"No evaluation of {model} with this decision is recorded.",
        code="evaluation-missing",
        hint="Call record_evaluation before register.",
    )


def _check_report(p: Platform, key: str, expected: str) -> None:
    if not p.object_store.exists([key]):
        raise InputError(f"There is no report '{key}'.", code="report-missing", hint="Store the report before recording it.")
    if sha256_hex(p.object_store.get([key])[key]) != expected:
        raise Tampered(f"The report '{key}' is not the one that was evaluated.", code="report-tampered", hint="Evaluate again.")


def _check_artifacts(
    p: Platform,
    package_key: str,
    manifest_sha256: str,
    canonical_hash: str,
    snapshots: Sequence[Snapshot | str],
    code: Mapping[str, JSON],
) -> None:
    """A version without any one of the three could never be rebuilt."""
    if not any(code.values()):
        raise _missing("code", "the run recorded none")
    if not snapshots:
        raise _missing("data", "the run read no table version")
    for snapshot in (Snapshot.parse(str(named)) for named in snapshots):
        present = p.table_store.version(snapshot.table)
        if present is None or present < snapshot.version:
            raise _missing("data", f"there is no {snapshot}")
    manifest = f"{package_key}/manifest.json"
    if not package_key or not p.object_store.exists([manifest]):
        raise _missing("model", f"there is no package at '{package_key}'")
    _check_manifest(p.object_store.get([manifest])[manifest], manifest_sha256, canonical_hash)


def _check_manifest(manifest: bytes, expected: str, canonical_hash: str) -> None:
    if sha256_hex(manifest) != expected or json.loads(manifest).get("canonical_hash") != canonical_hash:
        raise Tampered(
            "The package is not of the model that was evaluated.", code="package-tampered", hint="Package the model again."
        )


def stored_report(p: Platform, row: Mapping[str, JSON]) -> dict[str, JSON]:
    """The report that a row of `versions` or `evaluations` names; `Tampered` when it is not the recorded one."""
    key = str(row["report_key"])
    if not p.object_store.exists([key]):
        raise Tampered(f"The report '{key}' is gone.", code="report-gone", hint="Restore a backup.")
    _check_report(p, key, str(row["report_sha256"]))
    found: dict[str, JSON] = json.loads(p.object_store.get([key])[key])
    return found


def _missing(what: str, why: str) -> Refused:
    return Refused(f"The {what} is missing: {why}.", code="artifact-missing", hint="A version needs code, data and model.")
