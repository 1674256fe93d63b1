"""A package comes back whole, or says which file was changed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from werk.adapters.model_format.sklearn import SklearnFormat
from werk.core.errors import InputError, Tampered
from werk.models.fit import fit_logistic, predict
from werk.models.package import load_package, package


class Store(dict[str, bytes]):
    def put(self, objects: dict[str, bytes]) -> None:
        self.update(objects)

    def get(self, keys: list[str]) -> dict[str, bytes]:  # type: ignore[override]
        return {key: self[key] for key in keys}


class Keys:
    def __init__(self) -> None:
        self._key = Ed25519PrivateKey.generate()

    def sign(self, _name: str, messages: list[bytes]) -> list[bytes]:
        return [self._key.sign(message) for message in messages]

    def public_key(self, _name: str) -> bytes:
        return self._key.public_key().public_bytes_raw()


def platform() -> Any:
    return SimpleNamespace(model_format={"sklearn": SklearnFormat()}, object_store=Store(), key_store=Keys())


def rows() -> pl.DataFrame:
    values = np.random.default_rng(1).normal(size=(500, 2))
    frame = pl.DataFrame({"id": range(500), "a": values[:, 0], "b": values[:, 1]})
    return frame.with_columns(y=(pl.col("a") > 0).cast(pl.Int8))


def test_a_package_predicts_the_same_bits() -> None:
    p = platform()
    model = fit_logistic(rows(), target="y", key=["id"], features=["a", "b"])
    key = package(p, model, name="delay", facts={"snapshots": ["t@1"]}).key
    assert predict(p, load_package(p, key), rows()).tobytes() == predict(p, model, rows()).tobytes()


@pytest.mark.parametrize("name", ["model.bin", "model.json", "manifest.json"])
def test_a_changed_file_is_named(name: str) -> None:
    p = platform()
    model = fit_logistic(rows(), target="y", key=["id"], features=["a", "b"])
    key = package(p, model, name="delay", facts={}).key
    p.object_store[f"{key}/{name}"] += b" "
    with pytest.raises(Tampered, match=name):
        load_package(p, key)


def test_an_unlisted_estimator_is_refused_by_name() -> None:
    from sklearn.svm import SVC

    with pytest.raises(InputError, match="SVC"):
        SklearnFormat().dump(SVC())
