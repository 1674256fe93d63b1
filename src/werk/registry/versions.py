"""Model versions: what was registered, from which code and data, and what each is allowed to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import cast

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.journal import Reader, Row
from werk.core.nouns import Assurance, ModelVersion, Snapshot, Status, from_micros
from werk.core.platform import Platform


@dataclass(frozen=True, slots=True)
class Registered:
    """One version as it stands. `trainer` is who registered it, `assurance_needed` what its gate asks of an approval."""

    mv: ModelVersion
    status: Status
    run: str
    canonical_hash: str
    package_key: str
    manifest_sha256: str
    snapshots: tuple[Snapshot, ...]
    code: Mapping[str, JSON]
    environment_sha256: str
    report_key: str
    report_sha256: str
    gate_sha256: str
    plan_sha256: str
    assurance_needed: Assurance
    trainer: str
    at: datetime


@dataclass(frozen=True, slots=True)
class AliasChange:
    """From `at` (fact `seq`) on the alias meant `mv`, because `actor` said so."""

    mv: ModelVersion
    seq: int
    at: datetime
    actor: str


def versions(p: Platform, model: str) -> list[Registered]:
    """A model's versions, oldest first; an unknown model is an `InputError`."""
    rows = p.journal.rows("versions", {"model": model}, order=("version",))
    if not rows:
        raise _unknown_model(p.journal, model)
    return [_registered(row) for row in rows]


def registered(journal: Reader, mv: ModelVersion) -> Registered:
    """One version; an unknown one is an `InputError` with the known ones."""
    return _registered(_row(journal, mv))


def version_row(p: Platform, mv: ModelVersion) -> Row:
    """One version as the row of the projection `versions`; an unknown one is an `InputError`."""
    return _row(p.journal, mv)


def _row(journal: Reader, mv: ModelVersion) -> Row:
    rows = journal.rows("versions", {"model": mv.model, "version": mv.version})
    if rows:
        return rows[0]
    known = [str(row["version"]) for row in journal.rows("versions", {"model": mv.model}, order=("version",))]
    if not known:
        raise _unknown_model(journal, mv.model)
    listed = ", ".join(f"{mv.model}:{version}" for version in known[-12:])
    raise InputError(f"There is no version {mv}.", code="version-unknown", hint=f"Known: {listed}.")


def resolve(p: Platform, ref: str) -> ModelVersion:
    """The version meant by `m:3`, `m@alias`, or `m` for its champion."""
    if ":" in ref:
        return registered(p.journal, ModelVersion.parse(ref)).mv
    model, at, alias = ref.partition("@")
    found = _aliased(p.journal, model, alias if at else "champion")
    if found is not None:
        return found
    known = versions(p, model)
    if at:
        aliases = [str(row["alias"]) for row in p.journal.rows("aliases", {"model": model})]
        raise unknown(f"alias of {model}", alias, aliases, code="alias-unknown")
    listed = ", ".join(f"{version.mv} ({version.status})" for version in known[-5:])
    raise InputError(f"{model} has no champion yet.", code="champion-missing", hint=f"Name a version: {listed}.")


def alias_history(p: Platform, model: str, alias: str) -> list[AliasChange]:
    """Every change of an alias, oldest first."""
    facts = p.journal.facts(kinds=("alias.set",), subject=model)
    return [
        AliasChange(ModelVersion(model, cast(int, fact.body["version"])), fact.seq, from_micros(fact.at), fact.actor)
        for fact in facts
        if fact.body is not None and fact.body["alias"] == alias
    ]


def champion_at(p: Platform, model: str, micros: int) -> ModelVersion | None:
    """The champion at a time (microseconds UTC), None when there was none yet."""
    return _aliased(p.journal.at(p.journal.seq_at(micros)), model, "champion")


def _aliased(journal: Reader, model: str, alias: str) -> ModelVersion | None:
    rows = journal.rows("aliases", {"model": model, "alias": alias})
    return ModelVersion(model, cast(int, rows[0]["version"])) if rows else None


def _registered(row: Row) -> Registered:
    fields = {name: row[name] for name in Registered.__slots__ if name not in ("mv", "snapshots", "at")}
    snapshots = tuple(Snapshot.parse(str(text)) for text in cast(list[str], row["snapshots"]))
    mv = ModelVersion(str(row["model"]), cast(int, row["version"]))
    at = from_micros(cast(int, row["at"]))
    return Registered(mv=mv, snapshots=snapshots, at=at, **fields)  # type: ignore[arg-type]  # columns as _version wrote them


def _unknown_model(journal: Reader, model: str) -> InputError:
    return unknown("model", model, {str(row["model"]) for row in journal.rows("versions")}, code="model-unknown")
