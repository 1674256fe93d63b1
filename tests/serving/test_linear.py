"""A model that cannot take a missing value says so; it is not the server's failure."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import polars as pl

from werk.adapters.model_format.sklearn import SklearnFormat
from werk.core.canonical import sha256_hex
from werk.models.compiled import canonical_hash, model_json
from werk.models.fit import fit_logistic
from werk.serving.manifest import Manifest, place, write_manifest


def test_a_missing_value_for_a_linear_model_is_unprocessable(tmp_path: Path, call: Any) -> None:
    frame = pl.DataFrame({"id": range(40), "a": [at / 7 for at in range(40)], "y": [at % 2 for at in range(40)]})
    model, form = fit_logistic(frame, target="y", key=["id"], features=["a"]), SklearnFormat()
    files = {"model.bin": form.dump(model.estimator), "model.json": model_json(model)}
    for name, data in files.items():
        place(tmp_path / "packages/linear" / name, data)
    old = call.app.endpoints.live["delay"].manifest
    sums = {name: sha256_hex(data) for name, data in files.items()}
    write_manifest(
        tmp_path, Manifest("delay", "dep_9", "delay", 9, canonical_hash(form, model), "packages/linear", sums, old.tokens)
    )
    call.app.endpoints.refresh()
    assert call("POST", "/invocations", {"instances": [[1.5]]}).status == 200
    refused = call("POST", "/invocations", {"instances": [[None]]})
    assert (refused.status, refused.json()["code"]) == (422, "prediction-impossible")
