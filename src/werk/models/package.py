"""A model as signed files: what the registry stores and every server checks before it answers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import Tampered
from werk.core.platform import Platform
from werk.models.compiled import Model, canonical_hash, model_json, restored


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
    """The model of a package, once its signature and every file's hash have been checked."""
    names = ("manifest.json", "manifest.sig", "model.bin", "model.json")
    stored = p.object_store.get([f"{key}/{name}" for name in names])
    files = {name: stored[f"{key}/{name}"] for name in names}
    # Our own key, never the one lying beside the files: whoever changes them could change that too.
    _verify(p.key_store.public_key("werk"), files["manifest.sig"], files["manifest.json"])
    manifest = json.loads(files["manifest.json"])
    for name, expected in manifest["files"].items():
        if sha256_hex(files[name]) != expected:
            raise _tampered(name)
    blank = restored(files["model.json"], None)
    return restored(files["model.json"], p.model_format[blank.format].load(files["model.bin"]))


def _verify(public: bytes, signature: bytes, manifest: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, manifest)
    except InvalidSignature as forged:
        raise _tampered("manifest.json") from forged


def _tampered(name: str) -> Tampered:
    return Tampered(f"The package's {name} is not what was signed.", code="package-tampered", hint="Package the model again.")
