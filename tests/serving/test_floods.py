"""What is sent to wear the server down is refused before it costs anybody else an answer."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from typing import Any

import pytest

from werk.models.compiled import Model
from werk.serving import payloads
from werk.serving.signature import Signature

INFER, INVOKE = "/v2/models/delay/infer", "/models/delay/invocations"
MANY = 45_000
LONG = "x" * 1_000_000


class Name(str):
    """Text that counts how often it is compared with another."""

    compared = 0
    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        Name.compared += 1
        return str.__eq__(self, other)

    __hash__ = str.__hash__


def tensors(count: int) -> dict[str, Any]:
    return {"inputs": [{"name": str(at)} for at in range(count)]}


def compared(work: Callable[[], object]) -> int:
    Name.compared = 0
    work()
    return Name.compared


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INFER, tensors(MANY)),
        (INVOKE, {"inputs": {str(at): [1] for at in range(MANY)}}),
        (INVOKE, {"inputs": {str(at): 1 for at in range(MANY)}}),
        (INVOKE, {"dataframe_records": [{str(at): 1 for at in range(MANY)}]}),
        (INVOKE, {"dataframe_split": {"columns": [str(at) for at in range(MANY)], "data": []}}),
    ],
)
def test_far_more_names_than_the_model_has_are_not_gone_through(call: Any, path: str, body: dict[str, Any]) -> None:
    reply = call("POST", path, body)
    assert (reply.status, reply.json()["code"]) == (400, "columns-too-many")
    assert "It takes 3 features" in reply.json()["hint"]


def test_a_few_names_too_many_are_still_told_by_name(call: Any) -> None:
    reply = call(
        "POST", INVOKE, {"dataframe_records": [{"temp": 1, "hour": 1, "carrier": "UA", **{f"n{at}": 1 for at in range(9)}}]}
    )
    assert (reply.json()["code"], "'n0'" in reply.json()["error"]) == ("feature-unknown", True)


def test_looking_for_a_name_twice_grows_with_the_names_and_no_faster() -> None:
    names = [Name(at) for at in range(2000)]
    assert compared(lambda: payloads._check_once(names)) < 10 * len(names)


def test_looking_for_strange_names_does_not_grow_with_what_the_model_takes(models: list[Model]) -> None:
    wide = tuple(f"f{at}" for at in range(1000))
    signature = Signature(wide, {}, (), frozenset(wide))
    columns = {Name(f"f{at}"): [1.0] for at in range(1000)}
    assert compared(lambda: signature.encode(columns, 1)) < 20 * len(wide)


def test_only_some_of_many_names_are_compared_for_the_nearest(models: list[Model], monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []

    def near(word: str, known: Any, **_: object) -> list[str]:
        seen.append((len(word), len(known)))
        return []

    monkeypatch.setattr("difflib.get_close_matches", near)
    wide = tuple(f"f{at}" for at in range(10_000))
    with pytest.raises(Exception, match="no feature 'xxx"):
        Signature(wide, {}, (), frozenset(wide)).encode({LONG: [1]}, 1)
    assert seen == [(80, 200)]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (INVOKE, {LONG: 1}),
        (INVOKE, {"dataframe_records": [{"temp": 1, "hour": 1, "carrier": "UA", LONG: 1}]}),
        (INVOKE, {"dataframe_records": [{"temp": 1}, {LONG: 1}]}),
        (INVOKE, {"dataframe_records": [{"temp": 1}, {str(at): 1 for at in range(MANY)}]}),
        (INVOKE, {"instances": [[LONG, 1, "UA"]]}),
        (INVOKE, {"inputs": {"temp": list(range(9)), LONG: []}}),
        (INVOKE, {"instances": [[]] * 1_000_000}),
        (INFER, {"inputs": [{"name": LONG}]}),
        (INFER, {"inputs": [{"name": "temp", "datatype": LONG}]}),
        (INFER, {"inputs": [{"name": "temp", "datatype": [LONG]}]}),
        (INFER, {"inputs": [{"name": LONG, "datatype": "FP64", "shape": [1], "data": [LONG]}]}),
        (INFER, {"inputs": [{"name": LONG}, {"name": LONG}]}),
        (INFER, {"inputs": [{"name": "temp", "datatype": "FP32", "shape": [900_000], "data": [1] * 900_000}]}),
        (INFER, {**tensors(1), "outputs": [{"name": LONG}]}),
        (INFER, {**tensors(1), "outputs": [{"name": "score"}] * 100_000}),
        (INFER, {**tensors(1), "id": LONG}),
        (INFER, LONG.encode()),
    ],
)
def test_an_answer_is_short_whatever_was_sent(call: Any, path: str, body: Any) -> None:
    reply = call("POST", path, body)
    assert reply.status in (400, 413)
    assert len(reply.body) < 1000


def test_a_tensor_of_too_many_rows_is_refused_before_its_values_are_read(call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(payloads, "_typed", lambda *_: pytest.fail("the values were read"))
    data = [1] * 10_001
    reply = call("POST", INFER, {"inputs": [{"name": "temp", "datatype": "FP32", "shape": [len(data)], "data": data}]})
    assert (reply.status, reply.json()["code"]) == (413, "rows-too-many")


def test_a_large_body_is_worked_on_beside_the_loop(call: Any) -> None:
    """Seen by the thread that parses it: others are answered meanwhile."""
    threads: list[str] = []

    def seen(frame: Any, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_name == "parse_json":
            threads.append("thread")

    threading.setprofile(seen)
    try:
        small = call("POST", INVOKE, {"instances": [[0.1, 3, "UA"]]})
        large = call("POST", INVOKE, {"instances": [[0.1, 3, "UA"]] * 9000})
    finally:
        threading.setprofile(None)
    assert (small.status, large.status) == (200, 200)
    assert threads == ["thread"]
    assert len(json.loads(large.body)["predictions"]) == 9000
