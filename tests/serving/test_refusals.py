"""Whatever a caller sends, the answer says what is wrong and is never the server's fault."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from werk.models.compiled import Model
from werk.serving.asgi import App, Limits
from werk.serving.manifest import read_manifest, write_manifest
from werk.serving.prediction_log import read_log

GOOD = {"instances": [[0.1, 3, "UA"]]}
INFER = {"inputs": [{"name": "temp", "datatype": "FP64", "shape": [1], "data": [1]}]}


def record(**changed: Any) -> dict[str, Any]:
    row = {"temp": 0.1, "hour": 3, "carrier": "UA", **changed}
    return {"dataframe_records": [{name: value for name, value in row.items() if value != "drop"}]}


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        (record(temp="drop"), 400, "lacks 'temp'"),
        (record(temp="drop", temperatur=1), 400, "Did you mean 'temp'?"),
        (record(late=1), 400, "no feature 'late'"),
        (record(temp="warm"), 400, "'temp' needs a number, row 0 has 'warm'"),
        (record(temp=[1]), 400, "a list"),
        (record(carrier=1.5), 400, "'carrier' needs text"),
        (record(carrier=3), 400, "'carrier' needs text, row 0 has 3"),
        (record(carrier=False), 400, "'carrier' needs text, row 0 has False"),
        (b'{"instances": [[NaN, 3, "UA"]]}', 400, "not JSON"),
        (b'{"instances": [[Infinity, 3, "UA"]]}', 400, "not JSON"),
        (b'{"instances": [[1e999, 3, "UA"]]}', 400, "not JSON"),
        (b'{"instances": ' + b"[" * 5000 + b"]" * 5000 + b"}", 400, "not JSON"),
        (b"", 400, "not JSON"),
        (b"\xff\xfe", 400, "not JSON"),
        (b"[]", 400, "JSON object"),
        ({}, 400, "has nothing"),
        ({**GOOD, "inputs": {}}, 400, "instances and inputs"),
        ({"instances": []}, 400, "no rows"),
        ({"instances": [[0.1, 3]]}, 400, "2 values, 3 are expected"),
        ({"instances": [[0.1, 3, "UA"], {}]}, 400, "Row 1"),
        ({"inputs": {"temp": [1, 2], "hour": [1], "carrier": ["UA"]}}, 400, "different lengths"),
        ({"dataframe_records": [{"temp": 1}, {"hour": 1}]}, 400, "Row 1 has other fields"),
        ({"dataframe_split": {"columns": ["temp", "temp"], "data": []}}, 400, "each once"),
        ({"instances": [[0.1, 3, "UA"]] * 10_001}, 413, "10001 rows"),
    ],
)
def test_a_wrong_body_is_told_what_is_wrong(call: Any, deployed: Path, body: Any, status: int, says: str) -> None:
    reply = call("POST", "/models/delay/invocations", body)
    assert (reply.status, says in reply.json()["error"]) == (status, True), reply.body
    assert reply.json()["hint"]
    assert list(read_log(deployed / "predictions")) == []


@pytest.mark.parametrize(
    ("tensor", "says"),
    [
        ({"datatype": "FP63"}, "Did you mean 'FP"),
        ({"datatype": "BYTES"}, "takes FP64, not BYTES"),
        ({"shape": [2]}, "shape [2] but 1 values"),
        ({"shape": [-1]}, "whole numbers"),
        ({"shape": None}, "whole numbers"),
        ({"data": "x"}, "JSON list"),
        ({"name": None}, "'name'"),
    ],
)
def test_a_wrong_tensor_is_told_what_is_wrong(call: Any, tensor: dict[str, Any], says: str) -> None:
    reply = call("POST", "/v2/models/delay/infer", {"inputs": [{**INFER["inputs"][0], **tensor}]})
    assert (reply.status, says in reply.json()["error"]) == (400, True), reply.body


@pytest.mark.parametrize(
    ("method", "path", "more", "status"),
    [
        ("POST", "/models/delay/invocations", {"token": None}, 401),
        ("POST", "/models/delay/invocations", {"token": "guess"}, 401),
        ("POST", "/models/delay/invocations", {"token": None, "headers": {"authorization": "Basic t0ken"}}, 401),
        ("GET", "/metrics", {"token": None}, 401),
        ("POST", "/models/nobody/invocations", {"token": None}, 401),
        ("POST", "/models/nobody/invocations", {}, 404),
        ("GET", "/v2/models/delay/versions/2", {}, 404),
        ("GET", "/nothing", {}, 404),
        ("GET", "/models/delay/invocations", {}, 405),
        ("POST", "/v2/models/delay", {}, 405),
        ("POST", "/invocations", {"headers": {"host": "evil.example"}}, 403),
        ("POST", "/invocations", {"headers": {"content-type": "text/csv"}}, 415),
        ("POST", "/invocations", {"headers": {"content-encoding": "gzip"}}, 415),
        ("POST", "/invocations", {"headers": {"content-length": "999999999"}}, 413),
        ("GET", "/ping", {"token": None}, 200),
        ("GET", "/healthz", {"token": None}, 200),
        ("GET", "/v2/health/ready", {"token": None}, 200),
    ],
)
def test_the_status_names_whose_move_it_is(call: Any, method: str, path: str, more: dict[str, Any], status: int) -> None:
    assert call(method, path, GOOD, **more).status == status


def test_a_body_longer_than_announced_is_refused(deployed: Path, call: Any) -> None:
    call.app = App(deployed, limits=Limits(body_bytes=50))
    call.app.endpoints.refresh()
    assert call("POST", "/invocations", b" " * 51).status == 413


def test_a_token_of_one_endpoint_does_not_open_another(
    call: Any, deployed: Path, models: list[Model], deploy_version: Callable[..., object]
) -> None:
    deploy_version(deployed, models[0], 1, endpoint="other", token="theirs")
    call.app.endpoints.refresh()
    assert call("POST", "/models/other/invocations", GOOD).status == 403
    assert call("POST", "/models/other/invocations", GOOD, token="theirs").status == 200
    assert call("POST", "/invocations", GOOD).status == 404  # two endpoints: it must be named


def test_a_token_can_be_taken_away_while_running(call: Any, deployed: Path) -> None:
    held = call.app.endpoints.live["delay"].model
    write_manifest(deployed, replace(read_manifest(deployed, "delay"), tokens=(hashlib.sha256(b"new").hexdigest(),)))
    call.app.endpoints.refresh()
    assert call("POST", "/invocations", GOOD).status == 401
    assert call("POST", "/invocations", GOOD, token="new").status == 200
    assert call.app.endpoints.live["delay"].model is held


def test_nothing_deployed_is_not_ready_and_alive(tmp_path: Path, call: Any) -> None:
    call.app = App(tmp_path / "empty")
    call.app.endpoints.refresh()
    statuses = [call("GET", path).status for path in ("/healthz", "/v2/health/ready", "/ping")]
    assert statuses == [200, 503, 503]
    assert call("POST", "/invocations", GOOD).status == 503


def test_a_changed_model_file_never_answers(deployed: Path, call: Any) -> None:
    file = next(deployed.glob("packages/*/model.bin"))
    file.write_bytes(file.read_bytes() + b" ")
    call.app = App(deployed)
    call.app.endpoints.refresh()
    assert call("POST", "/invocations", GOOD).status == 503
    assert "model.bin" in call("POST", "/invocations", GOOD).json()["error"]


def test_a_log_that_cannot_be_written_acknowledges_nothing(deployed: Path, call: Any) -> None:
    (deployed / "predictions").write_text("a file where the folder should be")
    reply = call("POST", "/invocations", GOOD)
    assert (reply.status, reply.json()["code"], reply.headers["retry-after"]) == (503, "log-unavailable", "1")
    assert not reply.headers.keys() & {"x-werk-prediction-id", "x-werk-model-version"}
    text = call("GET", "/metrics").body.decode()
    assert 'werk_predictions_unlogged_total{endpoint="delay"} 1' in text
    assert 'werk_predictions_total{endpoint="delay"' not in text
    (deployed / "predictions").unlink()
    assert call("POST", "/invocations", GOOD).status == 200


ODD = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "NaN",
    "\ud800",
    "ü" * 500,
    [],
    {},
    [[]],
    [None],
    {"a": []},
    [1, "x"],
    "FP64",
    [-1, 2**70],
]


def mutated(rng: random.Random, value: Any, depth: int = 0) -> Any:
    if rng.random() < 0.15 or depth > 6:
        return rng.choice(ODD)
    if isinstance(value, dict):
        items = {
            rng.choice([name, "x", ""]) if rng.random() < 0.1 else name: mutated(rng, v, depth + 1) for name, v in value.items()
        }
        return items if rng.random() > 0.05 else {**items, rng.choice(["id", "inputs", "instances", "temp"]): rng.choice(ODD)}
    if isinstance(value, list):
        return [mutated(rng, item, depth + 1) for item in value for _ in range(rng.choice([1, 1, 1, 0, 2]))]
    return value


def spoiled(rng: random.Random, data: bytes) -> bytes:
    if rng.random() < 0.7:
        return data
    at = rng.randrange(len(data) + 1)
    return data[:at] + bytes(rng.choices(range(256), k=rng.randrange(4))) + data[at + rng.randrange(5) :]


def test_two_thousand_malformed_requests_are_never_the_servers_fault(call: Any, deployed: Path) -> None:
    rng = random.Random(20130701)
    seeds = [
        ("/invocations", GOOD),
        ("/invocations", record()),
        ("/models/delay/invocations", {"dataframe_split": {"columns": ["temp", "hour", "carrier"], "data": [[1, 2, "UA"]]}}),
        ("/invocations", {"inputs": {"temp": [1], "hour": [2], "carrier": ["AA"]}}),
        ("/v2/models/delay/infer", {"id": "a", "inputs": [INFER["inputs"][0], {**INFER["inputs"][0], "name": "hour"}]}),
        ("/v2/models/delay/infer", {"inputs": [{"name": "all", "datatype": "FP64", "shape": [1, 3], "data": [1, 2, 3]}]}),
    ]

    async def storm() -> list[tuple[int, int]]:
        seen = []
        for _ in range(2000):
            path, body = rng.choice(seeds)
            data = spoiled(rng, json.dumps(mutated(rng, body)).encode())
            path = path if rng.random() > 0.05 else path + rng.choice(["/", "\x00", "/../..", "/versions/x/infer", "ü"])
            headers = (
                {}
                if rng.random() > 0.05
                else {rng.choice(["content-type", "host", "content-length", "authorization"]): "\xff;=,"}
            )
            reply = await call.ask(rng.choice(["POST"] * 19 + ["GET"]), path, data, headers)
            assert json.loads(reply.body)
            answered = json.loads(reply.body).get("prediction_ids") or [
                i for o in json.loads(reply.body).get("outputs", []) if o["name"] == "prediction_id" for i in o.get("data", [])
            ]
            seen.append((reply.status, len(answered)))
        return seen

    seen = asyncio.run(storm())
    assert {status for status, _ in seen} <= {200, 400, 401, 403, 404, 405, 413, 415, 422}
    assert sum(status == 200 for status, _ in seen) > 50
    assert len(list(read_log(deployed / "predictions"))) == sum(count for _, count in seen)


def test_a_full_server_still_says_that_it_lives(deployed: Path, call: Any) -> None:
    call.app = App(deployed, limits=Limits(in_flight=0))
    call.app.endpoints.refresh()
    assert [call("GET", path).status for path in ("/healthz", "/v2/health/live", "/ping", "/metrics")] == [200, 200, 503, 503]
    assert call("POST", "/invocations", GOOD).json()["code"] == "overloaded"


def test_a_length_of_thousands_of_digits_is_too_large(call: Any) -> None:
    assert call("POST", "/invocations", GOOD, headers={"content-length": "9" * 5000}).status == 413
