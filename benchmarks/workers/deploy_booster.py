"""Fits 100 trees on 30 made-up features and lays them out as a deployed endpoint in the given folder."""

import hashlib
import sys
from pathlib import Path

import numpy as np
import polars as pl

from werk.core.canonical import sha256_hex
from werk.core.plugins import build
from werk.models.compiled import canonical_hash, model_json
from werk.models.fit import fit_lightgbm
from werk.serving.manifest import Manifest, place, write_manifest

directory = Path(sys.argv[1])
rng = np.random.default_rng(0)
features = [f"f{at}" for at in range(30)]
frame = pl.DataFrame({"id": range(20_000), **{name: rng.normal(size=20_000) for name in features}})
frame = frame.with_columns(y=(pl.col("f0") + pl.col("f1") > 0).cast(pl.Int8))
model = fit_lightgbm(frame, target="y", key=["id"], features=features, rounds=100)
form = build("model_format", "lightgbm", {})
files = {"model.bin": form.dump(model.estimator), "model.json": model_json(model)}
for name, data in files.items():
    place(directory / "packages/bench" / name, data)
sums = {name: sha256_hex(data) for name, data in files.items()}
tokens = (hashlib.sha256(b"bench").hexdigest(),)
write_manifest(directory, Manifest("bench", "dep_1", "bench", 1, canonical_hash(form, model), "packages/bench", sums, tokens))
