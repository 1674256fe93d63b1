"""The baseline a version is watched against: kept under its own hash, named by a fact, and fixed by the approval."""

from __future__ import annotations

import json

from werk import registry
from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import InputError, Tampered
from werk.core.journal import NewFact
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.monitoring import Baseline


def keep(p: Platform, mv: ModelVersion, accepted: Baseline, run: str) -> str:
    """Store it and say so; returns its key. What an approver has seen stays: a decided version keeps the one it has."""
    known = key_of(p, mv)
    if known is not None and registry.registered(p.journal, mv).status != "pending":
        return known
    text = canonical_json(accepted.to_json()).encode()
    key = f"baselines/{sha256_hex(text)}.json"
    if key != known:
        p.object_store.put({key: text}, if_absent=True)
        p.journal.append([NewFact("baseline.kept", str(mv), {"key": key, "sha256": sha256_hex(text)}, run)])
    return key


def key_of(p: Platform, mv: ModelVersion) -> str | None:
    """Where the version's baseline lies, None while there is none."""
    rows = p.journal.rows("baselines", {"version": str(mv)})
    return str(rows[0]["key"]) if rows else None


def baseline_of(p: Platform, mv: ModelVersion) -> Baseline:
    """`InputError` when there is none, `Tampered` when it is not the one that was kept."""
    rows = p.journal.rows("baselines", {"version": str(mv)})
    if not rows:
        hint = "Add steps.monitor to the pipeline that trains it."
        raise InputError(f"{mv} has no baseline.", code="baseline-missing", hint=hint)
    key = str(rows[0]["key"])
    if not p.object_store.exists([key]):
        raise Tampered(f"The baseline '{key}' of {mv} is gone.", code="baseline-tampered", hint="Restore a backup.")
    text = p.object_store.get([key])[key]
    if sha256_hex(text) != rows[0]["sha256"]:
        said = f"The baseline '{key}' of {mv} is not the one that was kept."
        raise Tampered(said, code="baseline-tampered", hint="Restore a backup.")
    return Baseline.from_json(json.loads(text))
