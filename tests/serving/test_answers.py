"""The server answers as the batch does, and logs what it answers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.models.compiled import Model
from werk.models.fit import predict
from werk.serving.prediction_log import read_log

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat()})
FEATURES = ["temp", "hour", "carrier"]


def bodies(frame: pl.DataFrame) -> dict[str, dict[str, Any]]:
    part = frame.select(FEATURES)
    return {
        "dataframe_split": {"columns": FEATURES, "data": [list(row) for row in part.iter_rows()]},
        "dataframe_records": part.to_dicts(),  # type: ignore[dict-item]
        "instances": [list(row) for row in part.iter_rows()],  # type: ignore[dict-item]
        "inputs": part.to_dict(as_series=False),
    }


@pytest.mark.parametrize("kind", ["dataframe_split", "dataframe_records", "instances", "inputs"])
def test_every_invocation_shape_answers_with_the_bits_of_the_batch(
    call: Any, frame: pl.DataFrame, models: list[Model], kind: str
) -> None:
    reply = call("POST", "/invocations", {kind: bodies(frame)[kind]})
    assert reply.status == 200
    assert np.array(reply.json()["predictions"]).tobytes() == predict(P, models[0], frame).tobytes()


def test_open_inference_answers_with_the_bits_of_the_batch(call: Any, frame: pl.DataFrame, models: list[Model]) -> None:
    kinds = {"temp": "FP64", "hour": "INT64", "carrier": "BYTES"}
    tensors = [{"name": n, "datatype": kinds[n], "shape": [len(frame), 1], "data": frame[n].to_list()} for n in FEATURES]
    reply = call("POST", "/v2/models/delay/versions/1/infer", {"id": "mine", "inputs": tensors})
    said = reply.json()
    assert (reply.status, said["id"], said["model_version"]) == (200, "mine", "1")
    assert np.array(said["outputs"][0]["data"]).tobytes() == predict(P, models[0], frame).tobytes()
    assert said["outputs"][0]["shape"] == [len(frame)]


def test_one_row_at_a_time_gives_the_same_bits(call: Any, frame: pl.DataFrame, models: list[Model]) -> None:
    expected = predict(P, models[0], frame)
    for at, row in enumerate(frame.select(FEATURES).head(50).to_dicts()):
        assert call("POST", "/invocations", {"dataframe_records": [row]}).json()["predictions"] == [expected[at]]


def test_an_answer_is_in_the_log_with_its_inputs_and_key(call: Any, deployed: Path) -> None:
    reply = call("POST", "/invocations", {"instances": [{"id": 7, "temp": 1.5, "hour": None, "carrier": "UA"}]})
    [logged] = read_log(deployed / "predictions")
    assert [logged["id"]] == reply.json()["prediction_ids"] == reply.headers["x-werk-prediction-id"].split(",")
    assert logged["row"] == {"temp": 1.5, "hour": None, "carrier": "UA"}
    assert (logged["key"], logged["score"], logged["version"]) == ({"id": 7}, reply.json()["predictions"][0], 1)


def test_an_unknown_category_is_missing_and_not_an_error(call: Any) -> None:
    scores = [call("POST", "/invocations", {"instances": [[0.1, 3, c]]}).json()["predictions"] for c in (None, "never seen")]
    assert scores[0] == scores[1]


def test_a_model_describes_itself(call: Any) -> None:
    said = call("GET", "/v2/models/delay").json()
    assert {t["name"]: t["datatype"] for t in said["inputs"]} == {"temp": "FP64", "hour": "FP64", "carrier": "BYTES"}
    assert call("GET", "/v2").json()["name"] == "werk"


def test_metrics_count_answers_and_rows(call: Any) -> None:
    call("POST", "/invocations", {"instances": [[0.1, 3, "UA"], [0.2, 3, "UA"]]})
    call("POST", "/invocations", {"instances": 1})
    text = call("GET", "/metrics").body.decode()
    assert 'werk_requests_total{endpoint="delay",status="200"} 1' in text
    assert 'werk_requests_total{endpoint="delay",status="400"} 1' in text
    assert 'werk_predictions_total{endpoint="delay",model="delay",version="1"} 2' in text
    assert 'werk_request_seconds_bucket{le="+Inf"} 2' in text


def test_the_server_imports_no_data_frames_databases_or_frameworks() -> None:
    heavy = ("polars", "sqlalchemy", "fastapi", "pandas", "pyarrow", "deltalake", "duckdb", "sklearn", "pydantic")
    code = f"import sys, werk.serving.server; print([m for m in {heavy} if m in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
