"""A deployed LightGBM model, and a caller that speaks ASGI to the app in this process."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.core.canonical import sha256_hex
from werk.models.compiled import Model, canonical_hash, model_json
from werk.models.fit import fit_lightgbm
from werk.serving.asgi import App
from werk.serving.manifest import Manifest, place, write_manifest

TOKEN = "t0ken"


def rows(n: int = 1000) -> pl.DataFrame:
    rng = np.random.default_rng(7)
    carriers = [["UA", "AA", "Ü ¤", None][at] for at in rng.integers(0, 4, n)]
    hours = [int(h) if h else None for h in rng.integers(0, 24, n)]
    return pl.DataFrame({"id": range(n), "temp": rng.normal(size=n), "hour": hours, "carrier": carriers}).with_columns(
        late=(pl.col("temp") > 0.3).cast(pl.Int8)
    )


@pytest.fixture(scope="session")
def frame() -> pl.DataFrame:
    return rows()


@pytest.fixture(scope="session")
def models(frame: pl.DataFrame) -> list[Model]:
    """Two versions that answer differently."""
    given: dict[str, Any] = {"target": "late", "key": ["id"], "features": ["temp", "hour", "carrier"], "categories": ["carrier"]}
    return [fit_lightgbm(frame, rounds=rounds, **given) for rounds in (10, 25)]


def put(directory: Path, model: Model, version: int, *, endpoint: str = "delay", token: str = TOKEN) -> Manifest:
    form = LightGBMFormat()
    files = {"model.bin": form.dump(model.estimator), "model.json": model_json(model)}
    folder = f"packages/{endpoint}-{version}"
    for name, data in files.items():
        place(directory / folder / name, data)
    tokens = (hashlib.sha256(token.encode()).hexdigest(),)
    sums = {name: sha256_hex(data) for name, data in files.items()}
    manifest = Manifest(endpoint, f"dep_{version}", endpoint, version, canonical_hash(form, model), folder, sums, tokens)
    write_manifest(directory, manifest)
    return manifest


@pytest.fixture
def deployed(tmp_path: Path, models: list[Model]) -> Path:
    put(tmp_path, models[0], 1)
    return tmp_path


@pytest.fixture(scope="session")
def deploy_version() -> Callable[..., Manifest]:
    return put


@dataclass(frozen=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    def __init__(self, app: App) -> None:
        self.app = app

    async def ask(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None, token: str | None = TOKEN
    ) -> Reply:
        given = {"host": "localhost:80", **({"authorization": f"Bearer {token}"} if token else {}), **(headers or {})}
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "headers": [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in given.items()],
        }
        sent: list[Any] = []
        chunks = [body[: len(body) // 2], body[len(body) // 2 :]]

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": chunks.pop(0) if chunks else b"", "more_body": bool(chunks)}

        async def send(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, send)
        names = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return Reply(sent[0]["status"], names, sent[1]["body"])

    def __call__(self, method: str, path: str, body: object = None, **more: Any) -> Reply:
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        return asyncio.run(self.ask(method, path, data, **more))


@pytest.fixture
def call(deployed: Path) -> Caller:
    app = App(deployed)
    app.endpoints.refresh()
    return Caller(app)
