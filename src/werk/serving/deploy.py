"""Put an approved version behind an endpoint, or the one before it back."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from werk import registry
from werk.core.canonical import JSON, digest_of, sha256_hex
from werk.core.errors import InputError, Refused, Tampered
from werk.core.journal import NewFact, Reader, Row
from werk.core.nouns import ModelVersion, new_id
from werk.core.platform import Platform
from werk.governance import tokens_that_count
from werk.serving.manifest import Manifest, manifest_path, place, read_manifest, write_manifest

SERVING = ".werk/serving"  # of a project: what its servers follow
FILES = ("model.bin", "model.json")


def deploy(
    p: Platform,
    mv: ModelVersion,
    directory: Path,
    endpoint: str | None = None,
    *,
    cause: JSON = None,
    champion: bool = False,
) -> str:
    """Serve an approved version at an endpoint (named like the model unless said) and return the deployment's id.

    The files come first, then the fact, and the manifest that the server follows last; killed in between, `redeploy`
    ends it. With a `cause` (the approval's `{seq, kind}`) a second call returns the first deployment and adds no fact.
    With `champion` the alias moves in the transaction that tells of the deployment.
    """
    name = endpoint or mv.model
    version = approved(p.journal, mv)
    _copy(p, str(version["package_key"]), str(version["canonical_hash"]), directory)
    deployment = _create(p, name, mv, cause, champion=champion)
    _follow(p, name, directory)
    return deployment


def rollback(p: Platform, endpoint: str, directory: Path, comment: str = "", *, champion: bool = False) -> str:
    """Deploy again what this endpoint answered with before its present version; returns the new deployment's id.

    Its cause names the deployment that is undone, and why.
    """
    now, target = previous(p, endpoint)
    cause: dict[str, JSON] = {"rollback_of": now["deployment"]}
    said = {**cause, "comment": comment} if comment else cause
    return deploy(p, target, directory, endpoint, cause=said, champion=champion)


def previous(p: Platform, endpoint: str) -> tuple[Row, ModelVersion]:
    """The present deployment, and the version a rollback goes to: never forward to one that was rolled back before."""
    stack: list[Row] = []
    for row in reversed(deployments(p, endpoint)):
        while undoes(row) and stack and stack[-1]["version"] != row["version"]:
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


def undoes(row: Row) -> bool:
    """Whether a deployment is a rollback."""
    return isinstance(row["cause"], Mapping) and "rollback_of" in row["cause"]


def deployments(p: Platform, endpoint: str) -> list[Row]:
    """Everything this endpoint has answered with, newest first."""
    return p.journal.rows("deployments", {"endpoint": endpoint}, order=("-seq",))


def redeploy(p: Platform, directory: Path) -> list[str]:
    """Let every manifest say what the journal says, with the tokens issued by now; no fact is added. Returns what changed.

    A version that is no longer approved is taken out. A manifest whose deployment this journal does not know is another
    profile's and is left alone.
    """
    names = sorted({str(row["endpoint"]) for row in p.journal.rows("deployments")})
    return [name for name in names if _is_behind(p, name, directory) and _follow(p, name, directory)]


def unsettled(p: Platform, endpoint: str, directory: Path) -> bool:
    """Whether the newest deployment was told in the journal and its manifest was not written any more."""
    rows, held = deployments(p, endpoint), held_deployment(directory, endpoint)
    if not rows or not _is_approved(p, rows[0]) or held == rows[0]["deployment"]:
        return False
    return held is None or _knows(rows, held)


def held_deployment(directory: Path, endpoint: str) -> str | None:
    """The deployment that the files name: what a server answers with. None when there is none to be read."""
    try:
        return read_manifest(directory, endpoint).deployment
    except (InputError, Tampered):
        return None


def _is_behind(p: Platform, endpoint: str, directory: Path) -> bool:
    rows, held = deployments(p, endpoint), held_deployment(directory, endpoint)
    if held is None or held != rows[0]["deployment"] or not _is_approved(p, rows[0]):
        return unsettled(p, endpoint, directory) or (not _is_approved(p, rows[0]) and _knows(rows, held))
    return read_manifest(directory, endpoint).tokens != _issued(p)


def _knows(rows: Sequence[Row], deployment: str | None) -> bool:
    return any(row["deployment"] == deployment for row in rows)


def _follow(p: Platform, endpoint: str, directory: Path) -> bool:
    """Write what the newest deployment says, and again when another one was told meanwhile: whoever ends last is right."""
    written: Row | None = None
    while (newest := deployments(p, endpoint)[0]) != written:
        if _is_approved(p, newest):
            _put(p, newest, directory)
        else:
            manifest_path(directory, endpoint).unlink(missing_ok=True)
        written = newest
    return True


def _put(p: Platform, row: Row, directory: Path) -> None:
    identity = str(row["canonical_hash"])
    folder, sums = _copy(p, str(row["package_key"]), identity, directory)
    said = (str(row["endpoint"]), str(row["deployment"]), str(row["model"]), int(str(row["version"])))
    write_manifest(directory, Manifest(*said, identity, folder, sums, _issued(p)))


def _is_approved(p: Platform, row: Row) -> bool:
    found = p.journal.rows("versions", {"model": row["model"], "version": row["version"]})
    return bool(found) and found[0]["status"] == "approved"


def approved(journal: Reader, mv: ModelVersion) -> Row:
    """The version's row when it may be served, `Refused` when it may not."""
    rows = journal.rows("versions", {"model": mv.model, "version": mv.version})
    if not rows:
        raise InputError(f"There is no version {mv}.", code="version-unknown", hint="List the model's versions.")
    if rows[0]["status"] != "approved":
        hint = f"Ask for approval of {mv} first." if rows[0]["status"] == "pending" else "Deploy a version that is approved."
        raise Refused(f"{mv} is {rows[0]['status']}, not approved.", code="not-approved", hint=hint)
    return rows[0]


def _create(p: Platform, endpoint: str, mv: ModelVersion, cause: JSON, *, champion: bool) -> str:
    """Asked again in the transaction: whoever retires the version at the same moment comes before or after, never between."""
    dedupe = None if cause is None else f"deploy/{endpoint}/{mv}/{digest_of(cause)}"
    with p.journal.write() as facts:
        known = next(facts.facts(dedupe_key=dedupe), None) if dedupe else None
        if known is not None:
            return known.subject
        version = approved(facts, mv)
        if champion:
            registry.point(p, facts, mv, "champion")
        body = {name: version[name] for name in ("model", "version", "canonical_hash", "package_key")}
        new = NewFact("deployment.created", new_id("dep"), {"endpoint": endpoint, "cause": cause, **body}, dedupe_key=dedupe)
        return facts.append([new])[0].subject


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


def _issued(p: Platform) -> tuple[str, ...]:
    """sha256 of every token that may call."""
    return tuple(tokens_that_count(p.journal))
