"""The models a server holds in memory, swapped whole when their manifest changes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, Tampered, WerkError
from werk.core.plugins import build
from werk.core.ports.model_format import ModelFormat
from werk.models.compiled import Model, answered, canonical_hash, restored
from werk.serving.manifest import Manifest, endpoints, manifest_path, parse_manifest
from werk.serving.signature import Signature


@dataclass(frozen=True, slots=True)
class Live:
    """One deployed version, loaded, checked against its manifest and warm."""

    manifest: Manifest
    model: Model
    form: ModelFormat
    signature: Signature

    def scores(self, rows: NDArray[np.float64]) -> list[Any]:
        """The answers as JSON holds them: one that it cannot hold is none."""
        with np.errstate(over="ignore", invalid="ignore"):
            found = self.predict(rows)
        if not np.isfinite(found).all():
            raise InputError(
                "The model's answer to these rows is no finite number.",
                code="prediction-impossible",
                hint="Send smaller values, and one for every feature.",
            )
        return list(found.tolist())

    def predict(self, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """Raises `InputError` when the model cannot answer well-formed rows (a linear model and a missing value)."""
        try:
            return answered(self.form, self.model, rows)
        except InputError as refusal:  # the rows fit the signature, so this is not a malformed request
            raise InputError(refusal.message, code="prediction-impossible", hint=refusal.hint) from refusal
        except ValueError as refusal:
            raise InputError(
                f"The model cannot answer these rows: {str(refusal).splitlines()[0][:200]}",
                code="prediction-impossible",
                hint="Send a value for every feature.",
            ) from refusal


def load(directory: Path, manifest: Manifest) -> Live:
    """Read, verify and warm up what a manifest names; `Tampered` when a file or the model is not what was deployed."""
    files = {name: _verified(directory / manifest.folder / name, expected) for name, expected in manifest.files.items()}
    blank = restored(files["model.json"], None)
    form: ModelFormat = build("model_format", blank.format, {})  # type: ignore[assignment]  # the port's adapters are checked by conformance
    model = replace(blank, estimator=form.load(files["model.bin"]))
    if canonical_hash(form, model) != manifest.canonical_hash:
        raise Tampered("The model is not the one that was deployed.", code="package-tampered", hint="Deploy it again.")
    live = Live(manifest, model, form, Signature.of(model))
    for count in (1, 2):
        live.predict(np.zeros((count, len(model.features))))
    return live


def _verified(path: Path, expected: str) -> bytes:
    try:
        data = path.read_bytes()
    except OSError as gone:
        raise Tampered(
            f"The file {path.name} of the deployment is gone.", code="package-tampered", hint="Deploy it again."
        ) from gone
    if sha256_hex(data) != expected:
        raise Tampered(f"The file {path.name} is not what was deployed.", code="package-tampered", hint="Deploy it again.")
    return data


class Endpoints:
    """Everything deployed below a directory. `live` is replaced, never changed, so a request keeps what it started with."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._seen: dict[str, tuple[int, int, int]] = {}
        self.live: dict[str, Live] = {}
        self.broken: dict[str, str] = {}
        self.switches = 0

    def refresh(self) -> None:
        """Follow the manifests; one that cannot be loaded leaves the version before it answering and is told in `broken`."""
        stamps = dict(self._stamps())
        if stamps == self._seen:
            return
        live = {name: held for name, held in self.live.items() if name in stamps}
        broken = {name: why for name, why in self.broken.items() if name in stamps}
        for name in sorted(stamps):
            if stamps[name] != self._seen.get(name):
                broken.pop(name, None)
                try:
                    live[name] = self._followed(name)
                except (WerkError, OSError) as failure:
                    broken[name] = str(failure)
        self.live, self.broken, self._seen = live, broken, stamps

    def _stamps(self) -> Iterator[tuple[str, tuple[int, int, int]]]:
        for name in endpoints(self._directory):
            try:
                found = manifest_path(self._directory, name).stat()
                yield name, (found.st_mtime_ns, found.st_ino, found.st_size)
            except (OSError, InputError):
                continue  # removed just now, or a file that no deployment wrote

    def _followed(self, name: str) -> Live:
        manifest = parse_manifest(manifest_path(self._directory, name).read_bytes())
        held = self.live.get(name)
        if held and held.manifest.files == manifest.files and held.manifest.canonical_hash == manifest.canonical_hash:
            return replace(held, manifest=manifest)
        self.switches += held is not None
        return load(self._directory, manifest)
