"""Put an approved version behind an endpoint, or the one before it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from werk.core.canonical import JSON, digest_of, sha256_hex
from werk.core.errors import InputError, Refused, Tampered
from werk.core.journal import Fact, NewFact, Row
from werk.core.nouns import ModelVersion, new_id
from werk.core.platform import Platform
from werk.serving.manifest import Manifest, place, write_manifest

FILES = ("model.bin", "model.json")


def deploy(
    p: Platform,
    mv: ModelVersion,
    directory: Path,
    endpoint: str | None = None,
    *,
    cause: JSON = None,
    tokens: Sequence[str] | None = None,
) -> str:
    """Serve an approved version at an endpoint (named like the model unless said) and return the deployment's id.

    The files come first, then the fact, and the manifest that the server follows last. With a `cause` (the approval's
    `{seq, kind}`) a second call returns the first deployment and adds no fact. `tokens` are sha256 of the tokens that may
    call; without, it is every token the project has issued.
    """
    name = endpoint or mv.model
    version = approved(p, mv)
    folder, sums = _copy(p, str(version["package_key"]), str(version["canonical_hash"]), directory)
    created, fact = _create(p, name, version, cause)
    if created or _newest(p, name) == fact.subject:
        may_call = tuple(sorted(_issued(p) if tokens is None else tokens))
        written = Manifest(name, fact.subject, mv.model, mv.version, str(version["canonical_hash"]), folder, sums, may_call)
        write_manifest(directory, written)
    return fact.subject


def rollback(p: Platform, endpoint: str, directory: Path, comment: str = "") -> str:
    """Deploy again what this endpoint answered with before its present version; returns the new deployment's id.

    Its cause names the deployment that is undone, and why.
    """
    now, target = previous(p, endpoint)
    cause: dict[str, JSON] = {"rollback_of": now["deployment"]}
    return deploy(p, target, directory, endpoint, cause={**cause, "comment": comment} if comment else cause)


def previous(p: Platform, endpoint: str) -> tuple[Row, ModelVersion]:
    """The present deployment, and the version a rollback goes to: never forward to one that was rolled back before."""
    stack: list[Row] = []
    for row in reversed(deployments(p, endpoint)):
        while _undoes(row) and stack and stack[-1]["version"] != row["version"]:
            stack.pop()
        if stack and stack[-1]["version"] == row["version"]:
            stack.pop()
        stack.append(row)
    if len(stack) < 2:
        raise InputError(
            f"The endpoint '{endpoint}' has had no other version to go back to.",
            code="rollback-impossible",
            hint="See its history with `werk deployments`, or deploy the version you want.",
        )
    return stack[-1], ModelVersion(str(stack[-2]["model"]), int(str(stack[-2]["version"])))


def _undoes(row: Row) -> bool:
    return isinstance(row["cause"], Mapping) and "rollback_of" in row["cause"]


def deployments(p: Platform, endpoint: str) -> list[Row]:
    """Everything this endpoint has answered with, newest first."""
    return p.journal.rows("deployments", {"endpoint": endpoint}, order=("-seq",))


def redeploy(p: Platform, directory: Path) -> list[str]:
    """Put back the files of what each endpoint answers with by its newest deployment; no fact is added. Returns the endpoints."""
    newest = {str(row["endpoint"]): row for row in p.journal.rows("deployments", order=("seq",))}
    for endpoint, row in newest.items():
        identity = str(row["canonical_hash"])
        folder, sums = _copy(p, str(row["package_key"]), identity, directory)
        model, version, deployment = str(row["model"]), int(str(row["version"])), str(row["deployment"])
        write_manifest(
            directory, Manifest(endpoint, deployment, model, version, identity, folder, sums, tuple(sorted(_issued(p))))
        )
    return sorted(newest)


def _newest(p: Platform, endpoint: str) -> str | None:
    rows = p.journal.rows("deployments", {"endpoint": endpoint}, order=("-seq",), limit=1)
    return str(rows[0]["deployment"]) if rows else None


def approved(p: Platform, mv: ModelVersion) -> Row:
    """The version's row when it may be served, `Refused` when it may not."""
    rows = p.journal.rows("versions", {"model": mv.model, "version": mv.version})
    if not rows:
        raise InputError(f"There is no version {mv}.", code="version-unknown", hint="List the model's versions.")
    if rows[0]["status"] != "approved":
        hint = f"Ask for approval of {mv} first." if rows[0]["status"] == "pending" else "Deploy a version that is approved."
        raise Refused(f"{mv} is {rows[0]['status']}, not approved.", code="not-approved", hint=hint)
    return rows[0]


def _create(p: Platform, endpoint: str, version: Row, cause: JSON) -> tuple[bool, Fact]:
    fresh = new_id("dep")
    body = {name: version[name] for name in ("model", "version", "canonical_hash", "package_key")}
    dedupe = None if cause is None else f"deploy/{endpoint}/{version['model']}:{version['version']}/{digest_of(cause)}"
    [fact] = p.journal.append(
        [NewFact("deployment.created", fresh, {"endpoint": endpoint, "cause": cause, **body}, dedupe_key=dedupe)]
    )
    return fact.subject == fresh, fact


def _copy(p: Platform, package_key: str, canonical_hash: str, directory: Path) -> tuple[str, dict[str, str]]:
    keys = {file: f"{package_key}/{file}" for file in (*FILES, "manifest.json")}
    stored = p.object_store.get(list(keys.values()))
    signed = _signed_sums(stored[keys["manifest.json"]], canonical_hash)
    folder = f"packages/{sha256_hex(package_key)[:20]}"
    for file in FILES:
        if sha256_hex(stored[keys[file]]) != signed[file]:
            raise Tampered(f"The package's {file} is not what was signed.", code="package-tampered", hint="Package it again.")
        place(directory / folder / file, stored[keys[file]])
    return folder, signed


def _signed_sums(manifest: bytes, canonical_hash: str) -> dict[str, str]:
    described = json.loads(manifest)
    if described["canonical_hash"] != canonical_hash:
        raise Tampered("The package is not of the model that was registered.", code="package-tampered", hint="Register it again.")
    return {file: described["files"][file] for file in FILES}


def _issued(p: Platform) -> list[str]:
    return [str(row["token_sha256"]) for row in p.journal.rows("tokens")]
