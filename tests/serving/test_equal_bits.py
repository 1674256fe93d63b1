"""The same odd rows through the batch path and over HTTP: the same bits, or a refusal by both."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from werk.adapters.model_format.lightgbm import LightGBMFormat
from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.core.canonical import sha256_hex
from werk.core.errors import InputError
from werk.core.nouns import ModelVersion
from werk.models.compiled import Model, canonical_hash, model_json
from werk.models.fit import fit_lightgbm, predict
from werk.serving.asgi import App
from werk.serving.manifest import Manifest, place, write_manifest
from werk.serving.score import score

P: Any = SimpleNamespace(model_format={"lightgbm": LightGBMFormat(), "memory": MemoryFormat()})
# A sum of the inputs themselves shows every bit of them, where a tree would only see on which side of a split they fall.
LEVELS = {"c": ("", "-1", "3", "true", "UA", "Ü")}
TOY = Model(LinearToy(-0.0, (1.0, 1.0)), "memory", ("a", "c"), LEVELS, "y", "regression", ("id",))
SIMPLE = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])

floats = st.floats(allow_nan=False, allow_infinity=False)
columns = {
    pl.Float64: st.none() | floats | st.integers(-5, 5).map(float),
    pl.Int64: st.none() | st.integers(-(2**63), 2**63 - 1),
    pl.UInt64: st.none() | st.integers(0, 2**64 - 1),
    pl.Boolean: st.none() | st.booleans(),
}
categories = {
    pl.String: st.none()
    | st.sampled_from(["UA", "Ü", "", "3", "never seen"])
    | st.text(st.characters(exclude_categories=["Cs"])),
    pl.Int64: st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([3, -1]),
    pl.Boolean: st.none() | st.booleans(),
}


def serve(directory: Path, model: Model, form: Any) -> None:
    files = {"model.bin": form.dump(model.estimator), "model.json": model_json(model)}
    for name, data in files.items():
        place(directory / "packages/m" / name, data)
    sums = {name: sha256_hex(data) for name, data in files.items()}
    write_manifest(directory, Manifest("m", "dep_1", "m", 1, canonical_hash(form, model), "packages/m", sums))


@pytest.fixture
def ask(tmp_path: Path, call: Any) -> Any:
    """A function of a model, its columns and a path: what the server answers for them."""

    apps: dict[Path, App] = {}

    def asked(model: Model, frame: pl.DataFrame, *, tensors: dict[str, str] | None = None) -> Any:
        directory = tmp_path / model.format
        if directory not in apps:
            serve(directory, model, P.model_format[model.format])
            apps[directory] = App(directory, require_token=False)
            apps[directory].endpoints.refresh()
        call.app = apps[directory]
        assert call.app.ready
        values = frame.to_dict(as_series=False)
        if tensors is None:
            return call("POST", "/invocations", {"inputs": values})
        given = [{"name": n, "datatype": tensors[n], "shape": [len(frame)], "data": values[n]} for n in model.features]
        return call("POST", "/v2/models/m/infer", {"inputs": given})

    return asked


def bits(reply: Any) -> bytes:
    assert reply.status == 200, reply.body
    said = json.loads(reply.body)
    return np.array(said["predictions"] if "predictions" in said else said["outputs"][0]["data"], dtype=np.float64).tobytes()


OIP = {pl.Float64: "FP64", pl.Int64: "INT64", pl.UInt64: "UINT64", pl.Boolean: "BOOL", pl.String: "BYTES", pl.Null: "BYTES"}


@st.composite
def frames(draw: st.DrawFn) -> pl.DataFrame:
    number, category = draw(st.sampled_from(list(columns))), draw(st.sampled_from(list(categories)))
    size = draw(st.integers(1, 5))
    a, c = (draw(st.lists(kind, min_size=size, max_size=size)) for kind in (columns[number], categories[category]))
    return pl.DataFrame({"id": range(size), "a": pl.Series(a, dtype=number), "c": pl.Series(c, dtype=category)})


def odd(values: list[Any], kind: Any, category: Any = "UA") -> pl.DataFrame:
    return pl.DataFrame({"id": range(len(values)), "a": pl.Series(values, dtype=kind), "c": [category] * len(values)})


@SIMPLE
@given(frame=frames())
@example(frame=odd([-0.0, 0.0, 5e-324, -5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, None], pl.Float64))
@example(frame=odd([2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), None], pl.Int64))
@example(frame=odd([2**64 - 1, 2**63 + 1025, 2**63 + 1024, 2**53 + 1], pl.UInt64))
@example(frame=odd([True, False, None], pl.Boolean, None))
@example(frame=odd([1.0, 2.0], pl.Float64, True))
def test_both_paths_give_the_same_bits(ask: Any, frame: pl.DataFrame) -> None:
    expected = score(P, ModelVersion("m", 1), TOY, frame, input_snapshot="raw.x@0")["score"].to_numpy().tobytes()
    assert bits(ask(TOY, frame)) == expected
    kinds = {name: OIP[frame.schema[name]] for name in ("a", "c")}  # type: ignore[index]  # a polars type is its class's instance
    assert bits(ask(TOY, frame, tensors=kinds)) == expected
    for at in range(len(frame)):
        assert bits(ask(TOY, frame[at])) == expected[at * 8 : at * 8 + 8]


@SIMPLE
@given(values=st.lists(st.none() | st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=4))
def test_a_column_of_half_the_width_is_a_tensor_of_half_the_width(ask: Any, values: list[float | None]) -> None:
    frame = odd(values, pl.Float32)
    assert bits(ask(TOY, frame, tensors={"a": "FP32", "c": "BYTES"})) == predict(P, TOY, frame).tobytes()


def test_a_width_that_is_printed_short_is_the_number_it_stands_for(ask: Any) -> None:
    """A client that holds 32 bits writes 0.1 for 0.10000000149: the tensor says which of both it means."""
    frame = pl.DataFrame({"id": [0], "a": [0.1], "c": ["UA"]})
    narrow = frame.with_columns(pl.col("a").cast(pl.Float32))
    assert bits(ask(TOY, frame, tensors={"a": "FP32", "c": "BYTES"})) == predict(P, TOY, narrow).tobytes()
    assert bits(ask(TOY, frame, tensors={"a": "FP64", "c": "BYTES"})) == predict(P, TOY, frame).tobytes()


def test_a_booster_gives_the_same_bits_for_odd_rows(ask: Any, frame: pl.DataFrame) -> None:
    known = frame.with_columns(seen=pl.col("temp") > 0.0)
    given: dict[str, Any] = {"target": "late", "key": ["id"], "categories": ["carrier", "seen"]}
    model = fit_lightgbm(known, rounds=10, features=["temp", "hour", "carrier", "seen"], **given)
    rows = pl.DataFrame(
        {
            "temp": [-0.0, 5e-324, None, 1e308, -1e308, 0.1, 0.3, 0.30000000000000004],
            "hour": [None, 0, -1, 2**53 + 1, 2**63 - 1, 23, 3, 3],
            "carrier": ["UA", None, "never seen", "", "Ü ¤", "U\u0308 ¤", "ua", "AA"],
            "seen": [True, False, None, True, False, True, False, None],
        }
    )
    assert bits(ask(model, rows)) == predict(P, model, rows).tobytes()
    kinds = {"temp": "FP64", "hour": "INT64", "carrier": "BYTES", "seen": "BOOL"}
    assert bits(ask(model, rows, tensors=kinds)) == predict(P, model, rows).tobytes()


TIMES = pl.Series("a", ["2013-07-01T00:00:00+02:00"]).str.to_datetime(time_zone="UTC")


@pytest.mark.parametrize(
    ("column", "name"),
    [
        (TIMES, "a"),
        (TIMES.dt.date(), "a"),
        (pl.Series("a", ["1.5"]), "a"),
        (TIMES.alias("c"), "c"),
        (TIMES.dt.date().alias("c"), "c"),
        (pl.Series("c", [3.0]), "c"),
    ],
    ids=["time", "date", "text", "time-as-category", "date-as-category", "float-as-category"],
)
def test_what_one_path_refuses_the_other_does_not_guess(ask: Any, column: pl.Series, name: str) -> None:
    """A time has many spellings and 3.0 is not the category 3: neither path takes one for a missing value."""
    frame = pl.DataFrame({"id": [0], "a": [1.0], "c": ["UA"]}).with_columns(column)
    with pytest.raises(InputError, match=f"'{name}'"):
        predict(P, TOY, frame)
    if name == "a" or frame.schema["c"] == pl.Float64:
        said = ask(TOY, frame.with_columns(pl.col(pl.Date, pl.Datetime).cast(pl.String)))
        assert (said.status, f"'{name}'" in said.json()["error"]) == (400, True), said.body


def test_a_time_in_the_key_is_logged_as_it_was_sent(ask: Any) -> None:
    reply = ask(replace(TOY, key=("at",)), pl.DataFrame({"at": ["2013-07-01T00:00:00+02:00"], "a": [1.0], "c": [None]}))
    assert reply.status == 200


def test_an_answer_that_json_cannot_hold_is_none(ask: Any) -> None:
    """Null would read as a score that is not known."""
    model = replace(TOY, estimator=LinearToy(0.0, (1e308, 1.0)))
    reply = ask(model, odd([1e10], pl.Float64))
    assert (reply.status, reply.json()["code"]) == (422, "prediction-impossible")
