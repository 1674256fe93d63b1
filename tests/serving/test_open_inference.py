"""Open Inference Protocol v2 to the letter: what a tensor cannot hold is refused with a sentence, and nothing is ever a 500."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from werk.serving.payloads import DATATYPES
from werk.serving.prediction_log import read_log

PATH = "/v2/models/delay/infer"
ROW: dict[str, Any] = {"temp": ("FP64", 0.5), "hour": ("INT64", 3), "carrier": ("BYTES", "UA")}


def tensor(name: str, kind: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": kind, "shape": [len(data)], "data": list(data)}


def body(**changed: dict[str, Any]) -> dict[str, Any]:
    return {"inputs": [changed.get(name, tensor(name, *given)) for name, given in ROW.items()]}


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("UINT8", 300),
        ("UINT8", -1),
        ("INT8", 128),
        ("INT16", 2**15),
        ("UINT32", 2**32),
        ("INT32", -(2**31) - 1),
        ("INT64", 2**63),
        ("INT64", 2**64),
        ("UINT64", 2**64),
        ("INT64", -(2**70)),
        ("INT64", 3.0),
        ("INT64", True),
        ("INT64", "3"),
        ("BOOL", 1),
        ("BOOL", "true"),
        ("FP64", True),
        ("FP64", "1"),
        ("FP64", [1]),
        ("FP32", 1e39),
        ("FP32", -1e39),
        ("FP16", 70_000),
        ("FP16", {}),
    ],
)
def test_a_value_that_its_datatype_cannot_hold_is_named(call: Any, deployed: Path, kind: str, value: Any) -> None:
    reply = call("POST", PATH, body(temp=tensor("temp", kind, value)))
    assert (reply.status, reply.json()["code"]) in ((400, "value-range"), (400, "payload-shape")), reply.body
    assert "'temp'" in reply.json()["error"]
    assert list(read_log(deployed / "predictions")) == []


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("UINT8", 255, 255),
        ("INT64", -(2**63), -(2**63)),
        ("UINT64", 2**64 - 1, 2**64 - 1),
        ("BOOL", True, True),
        ("FP64", 5e-324, 5e-324),
        ("FP32", 0.1, 0.10000000149011612),
        ("FP32", 1e-60, 0.0),
        ("FP16", 0.1, 0.0999755859375),
        ("FP64", 0.1, 0.1),
        ("FP64", None, None),
        ("UINT8", None, None),
    ],
)
def test_a_value_is_kept_as_its_datatype_keeps_it(call: Any, deployed: Path, kind: str, value: Any, kept: Any) -> None:
    assert call("POST", PATH, body(temp=tensor("temp", kind, value))).status == 200
    [logged] = read_log(deployed / "predictions")
    assert repr(logged["row"]["temp"]) == repr(kept)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"inputs": [*body()["inputs"], tensor("temp", "FP64", 1)]}, "'temp' is there more than once"),
        ({"inputs": body()["inputs"][:2]}, "lacks 'carrier'"),
        ({"inputs": [*body()["inputs"], tensor("late", "FP64", 1)]}, "no feature 'late'"),
        ({"inputs": []}, "list of tensors"),
        ({"inputs": [tensor(name, kind) for name, (kind, _) in ROW.items()]}, "no rows"),
        (body(temp={**tensor("temp", "FP64", 1), "shape": [1, 1, 1]}), "one or two whole numbers"),
        (body(temp={**tensor("temp", "FP64", 1), "shape": [True]}), "one or two whole numbers"),
        (body(temp={**tensor("temp", "FP64", 1), "shape": [10**18, 10**18]}), "but 1 values"),
        (body(temp={**tensor("temp", "FP64", [1]), "shape": [1]}), "other rows"),
        (body(temp={**tensor("temp", "FP64", [1], []), "shape": [2, 1]}), "other rows"),
        (body(temp=tensor("temp", "FP65", 1)), "datatype"),
        (body(temp=tensor("temp", "BF16", 1)), "datatype"),
        (body(temp=tensor("temp", "FP64", 1, 2)), "different lengths"),
        (body(temp={**tensor("temp", "FP64", 1), "parameters": {"binary_data_size": 8}}), "Binary tensors"),
        (body(temp={**tensor("temp", "FP64", 1), "parameters": 1}), "'parameters'"),
        ({**body(), "parameters": {"binary_data_output": True}}, "Binary tensors"),
        ({**body(), "outputs": [{"name": "score", "parameters": {"binary_data": True}}]}, "Binary tensors"),
        ({**body(), "outputs": [{"name": "late"}]}, "no output 'late'"),
        ({**body(), "outputs": [{"name": "score"}, {"name": "score"}]}, "more than once"),
        ({**body(), "outputs": {}}, "'outputs'"),
        ({**body(), "id": "x" * 257}, "'id'"),
        ({**body(), "id": 7}, "'id'"),
        ({"inputs": [*body()["inputs"], tensor("id", "BYTES", {})]}, "'id' is BYTES"),
        ({"inputs": [{**tensor("all", "FP64", 1, 2), "shape": [1, 2]}]}, "2 values, 3 are expected"),
        (b'{"inputs": [{"name": "temp", "shape": [1], "datatype": "FP64", "data": [1e400]}]}', "not JSON"),
        (b'{"inputs": [{"name": "temp", "shape": [1], "datatype": "FP64", "data": [NaN]}]}', "not JSON"),
        (b'{"inputs": [{"name": "temp", "shape": [1], "datatype": "FP64", "data": [-Infinity]}]}', "not JSON"),
        (b'{"inputs": ' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}", "not JSON"),
        (b'{"inputs": [{"name": "temp", "data": ' + b"[" * 1000 + b"]" * 1000 + b"}]}", "datatype"),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong(call: Any, deployed: Path, changed: Any, says: str) -> None:
    reply = call("POST", PATH, changed)
    assert reply.status == 400, reply.body
    assert says in reply.json()["error"], reply.body
    assert reply.json()["hint"]
    assert reply.json()["error"].removesuffix("?").partition(". Did you mean")[0].count(". ") == 0
    assert list(read_log(deployed / "predictions")) == []


def test_more_rows_than_one_request_may_hold(call: Any) -> None:
    many = {"inputs": [tensor(name, kind, *[value] * 10_001) for name, (kind, value) in ROW.items()]}
    assert call("POST", PATH, many).status == 413


@pytest.mark.parametrize("headers", [{"content-type": "application/octet-stream"}, {"inference-header-content-length": "10"}])
def test_the_binary_extension_is_refused(call: Any, headers: dict[str, str]) -> None:
    reply = call("POST", PATH, body(), headers=headers)
    assert (reply.status, reply.json()["code"]) == (415, "content-refused")


def test_only_the_outputs_that_were_asked_for_are_given(call: Any) -> None:
    for names in (["score"], ["prediction_id"], ["prediction_id", "score"]):
        said = call("POST", PATH, {**body(), "outputs": [{"name": name, "parameters": {}} for name in names]}).json()
        assert [output["name"] for output in said["outputs"]] == names
    assert len(call("POST", PATH, {**body(), "outputs": []}).json()["outputs"]) == 2


def test_a_key_is_a_name_and_no_document(call: Any) -> None:
    reply = call("POST", "/invocations", {"instances": [{"temp": 1, "hour": 2, "carrier": "UA", "id": {"a": ["deep"]}}]})
    assert (reply.status, reply.json()["error"]) == (400, "'id' needs a text or a number, row 0 has an object.")


# --- whatever comes ---

plain = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False, allow_infinity=False) | st.text()
anything = st.recursive(
    plain | st.sampled_from(["temp", "hour", "carrier", "id", "score", *DATATYPES]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=6,
)
shapes = st.lists(st.integers(-1, 3), max_size=3) | anything
tensors = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["temp", "hour", "carrier", "id", "all", "x"]) | anything,
        "datatype": st.sampled_from(DATATYPES) | anything,
        "shape": shapes,
        "data": st.lists(plain | st.lists(plain, max_size=3), max_size=3) | anything,
        "parameters": anything,
    },
)
requests = st.fixed_dictionaries(
    {"inputs": st.lists(tensors, max_size=4) | anything},
    optional={"id": anything, "outputs": st.lists(st.fixed_dictionaries({"name": anything})) | anything, "parameters": anything},
)
near = st.tuples(st.sampled_from(list(ROW)), st.sampled_from(DATATYPES), st.lists(plain, min_size=1, max_size=2))
wanted = near.map(lambda given: body(**{given[0]: tensor(given[0], given[1], *given[2])}))
invoked = st.dictionaries(st.sampled_from(["instances", "inputs", "dataframe_records", "dataframe_split"]), anything, max_size=2)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request=requests | wanted | invoked, path=st.sampled_from([PATH, "/invocations", "/v2/models/delay/versions/1/infer"]))
def test_no_request_is_the_servers_fault(call: Any, request: Any, path: str) -> None:
    data = json.dumps(request).encode("utf-8", "replace")
    reply = call("POST", path, data)
    said = reply.json()
    assert reply.status in (200, 400, 413, 422), reply.body
    if reply.status != 200:
        assert said["error"]
        assert said["code"]
        assert said["error"].endswith((".", "?"))


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_no_bytes_are_the_servers_fault(call: Any, data: bytes) -> None:
    assert call("POST", PATH, data).status == 400
