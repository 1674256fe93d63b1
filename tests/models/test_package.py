"""A package comes back whole, or says which file was changed."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.sklearn import SklearnFormat
from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import InputError, Tampered
from werk.core.plugins import build
from werk.models.fit import fit_logistic, predict
from werk.models.package import load_package, package


def platform() -> Any:
    built = {port: build(port, "memory", {}) for port in ("object_store", "key_store")}
    return SimpleNamespace(model_format={"sklearn": SklearnFormat()}, **built)


def rows() -> pl.DataFrame:
    values = np.random.default_rng(1).normal(size=(500, 2))
    frame = pl.DataFrame({"id": range(500), "a": values[:, 0], "b": values[:, 1]})
    return frame.with_columns(y=(pl.col("a") > 0).cast(pl.Int8))


def test_a_package_predicts_the_same_bits() -> None:
    p = platform()
    model = fit_logistic(rows(), target="y", key=["id"], features=["a", "b"])
    key = package(p, model, name="delay", facts={"snapshots": ["t@1"]}).key
    assert predict(p, load_package(p, key), rows()).tobytes() == predict(p, model, rows()).tobytes()


@pytest.mark.parametrize("name", ["model.bin", "model.json", "manifest.json", "manifest.sig"])
def test_a_changed_file_is_named(name: str) -> None:
    p = platform()
    model = fit_logistic(rows(), target="y", key=["id"], features=["a", "b"])
    key = package(p, model, name="delay", facts={}).key
    changed = bytearray(stored(p, key, name))
    changed[-1] ^= 1
    p.object_store.put({f"{key}/{name}": bytes(changed)})
    with pytest.raises(Tampered, match=name):
        load_package(p, key)


def stored(p: Any, key: str, name: str) -> bytes:
    data: bytes = p.object_store.get([f"{key}/{name}"])[f"{key}/{name}"]
    return data


def two_packages(p: Any) -> tuple[str, str]:
    frame = rows()
    other = frame.with_columns(y=1 - pl.col("y"))
    models = [fit_logistic(each, target="y", key=["id"], features=["a", "b"]) for each in (frame, other)]
    keys = [package(p, model, name="delay", facts={}).key for model in models]
    return keys[0], keys[1]


def test_another_validly_signed_package_is_not_this_one() -> None:
    p = platform()
    ours, theirs = two_packages(p)
    for name in ("manifest.json", "manifest.sig", "model.bin", "model.json"):
        p.object_store.put({f"{ours}/{name}": stored(p, theirs, name)})
    with pytest.raises(Tampered, match=r"manifest\.json"):
        load_package(p, ours)


def test_a_signed_manifest_that_claims_another_hash_is_refused() -> None:
    p = platform()
    key, _ = two_packages(p)
    manifest = json.loads(stored(p, key, "manifest.json"))
    text = canonical_json({**manifest, "canonical_hash": manifest["canonical_hash"][:-1] + "x"}).encode()
    forged = f"models/delay/{sha256_hex(text)}"
    files = {name: stored(p, key, name) for name in ("model.bin", "model.json")}
    files |= {"manifest.json": text, "manifest.sig": p.key_store.sign("werk", [text])[0]}
    p.object_store.put({f"{forged}/{name}": data for name, data in files.items()})
    with pytest.raises(Tampered, match="canonical hash"):
        load_package(p, forged)


def test_an_unlisted_estimator_is_refused_by_name() -> None:
    from sklearn.svm import SVC

    with pytest.raises(InputError, match="SVC"):
        SklearnFormat().dump(SVC())
