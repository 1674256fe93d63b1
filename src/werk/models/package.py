"""A model as signed files: what the registry stores and every server checks before it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import Tampered
from werk.core.platform import Platform
from werk.models.compiled import Model, canonical_hash, model_json, restored

_SIGNED = ("model.bin", "model.json")


@dataclass(frozen=True, slots=True)
class Package:
    key: str
    manifest_sha256: str
    canonical_hash: str
    size_bytes: int


def package(p: Platform, model: Model, *, name: str, facts: Mapping[str, object]) -> Package:
    """Write and sign the model's files below `models/<name>/<digest>/`; the manifest goes last."""
    form = p.model_format[model.format]
    parts = {"model.bin": form.dump(model.estimator), "model.json": model_json(model)}
    identity = canonical_hash(form, model)
    sums = {file: sha256_hex(data) for file, data in parts.items()}
    manifest = canonical_json({"canonical_hash": identity, "facts": dict(facts), "files": sums}).encode()
    key = f"models/{name}/{sha256_hex(manifest)}"
    parts["manifest.sig"] = p.key_store.sign("werk", [manifest])[0]
    parts["manifest.pub"] = p.key_store.public_key("werk")
    p.object_store.put({f"{key}/{file}": data for file, data in parts.items()})
    p.object_store.put({f"{key}/manifest.json": manifest})
    size = sum(map(len, parts.values())) + len(manifest)
    return Package(key, sha256_hex(manifest), identity, size)


def load_package(p: Platform, key: str) -> Model:
    """The model of a package, once its signature, its key, every file's hash and the model's own hash have been checked."""
    stored = p.object_store.get([f"{key}/{name}" for name in (*_SIGNED, "manifest.json", "manifest.sig")])
    files = {at.rpartition("/")[2]: data for at, data in stored.items()}
    manifest = _signed_manifest(p, key, files)
    sums = manifest["files"]
    for name in _SIGNED:
        if sums.get(name) != sha256_hex(files[name]):
            raise _tampered(name)
    form = p.model_format[restored(files["model.json"], None).format]
    model = restored(files["model.json"], form.load(files["model.bin"]))
    if canonical_hash(form, model) != manifest["canonical_hash"]:
        raise _tampered("canonical hash")
    return model


def _signed_manifest(p: Platform, key: str, files: Mapping[str, bytes]) -> Mapping[str, Any]:
    """The manifest that this key was given to: another one, signed just as validly, is not this package."""
    # Our own key, never the one lying beside the files: whoever changes them could change that too.
    valid = _valid(p.key_store.public_key("werk"), files["manifest.sig"], files["manifest.json"])
    if key.rpartition("/")[2] != sha256_hex(files["manifest.json"]):
        raise _tampered("manifest.json")
    if not valid:
        raise _tampered("manifest.sig")
    manifest: Mapping[str, Any] = json.loads(files["manifest.json"])
    return manifest


def _valid(public: bytes, signature: bytes, manifest: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, manifest)
    except InvalidSignature:
        return False
    return True


def _tampered(name: str) -> Tampered:
    return Tampered(f"The package's {name} is not what was signed.", code="package-tampered", hint="Package the model again.")
