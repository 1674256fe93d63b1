"""What an endpoint answers with right now: one small file, replaced whole, that the server watches."""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from werk.core.canonical import canonical_json
from werk.core.errors import Tampered, unknown
from werk.core.nouns import check_name

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class Manifest:
    """`folder` is below the serving directory; `files` are sha256 by name; `tokens` are sha256 of the tokens that may call."""

    endpoint: str
    deployment: str
    model: str
    version: int
    canonical_hash: str
    folder: str
    files: Mapping[str, str]
    tokens: tuple[str, ...] = ()
    schema: int = SCHEMA


def manifest_path(directory: Path, endpoint: str) -> Path:
    return directory / "endpoints" / f"{check_name('endpoint', endpoint)}.json"


def endpoints(directory: Path) -> list[str]:
    """The names of everything deployed below this directory."""
    return sorted(path.stem for path in (directory / "endpoints").glob("*.json"))


def read_manifest(directory: Path, endpoint: str) -> Manifest:
    path = manifest_path(directory, endpoint)
    try:
        return parse_manifest(path.read_bytes())
    except FileNotFoundError:
        raise unknown(
            "endpoint", endpoint, endpoints(directory), code="endpoint-unknown", hint="Deploy a model version to it first."
        ) from None


def parse_manifest(data: bytes) -> Manifest:
    try:
        fields = json.loads(data)
        if fields["schema"] != SCHEMA:
            raise ValueError(f"schema {fields['schema']}, known is {SCHEMA}")
        fields["tokens"] = tuple(fields["tokens"])
        return Manifest(**fields)
    except (ValueError, KeyError, TypeError) as damage:
        raise Tampered(
            f"This endpoint manifest cannot be read: {damage}.", code="manifest-damaged", hint="Deploy the model again."
        ) from damage


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the endpoint's manifest; a server sees the old file or the new one."""
    place(manifest_path(directory, manifest.endpoint), canonical_json(asdict(manifest)).encode())


def place(target: Path, data: bytes) -> None:
    """Write a file whole or not at all, durable before it becomes visible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.{secrets.token_hex(6)}")
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(target)
    finally:
        unfinished.unlink(missing_ok=True)
