from __future__ import annotations

import io
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from werk.core.errors import InputError, Tampered
from werk.core.platform import Platform
from werk.workflow.frame_digest import frame_digest
from werk.workflow.payloads import Codec, Payload, Payloads


@dataclass(frozen=True, slots=True)
class Inner:
    at: datetime
    days: tuple[date, ...]


@dataclass(frozen=True, slots=True)
class Outer:
    inner: Inner
    more: dict[str, list[Inner]] = field(default_factory=dict)
    score: float = float("-inf")


def every_type() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "i": pl.Series([1, None, -3], dtype=pl.Int16),
            "u": pl.Series([2**64 - 1, 0, None], dtype=pl.UInt64),
            "f": [1.5, float("nan"), None],
            "b": [True, None, False],
            "s": ["", None, "ü"],
            "bin": [b"\x00", None, b""],
            "d": [date(2013, 1, 1), None, date(1969, 1, 1)],
            "t": pl.Series([datetime(2013, 1, 1, tzinfo=UTC), None, None], dtype=pl.Datetime("us", "UTC")),
            "ns": pl.Series([1, None, 2], dtype=pl.Datetime("ns")),
            "clock": [time(1, 2), None, time(3)],
            "took": pl.Series([timedelta(seconds=1), None, None], dtype=pl.Duration("ms")),
            "dec": pl.Series([Decimal("1.10"), None, Decimal("2.20")], dtype=pl.Decimal(10, 2)),
            "enum": pl.Series(["x", None, "y"], dtype=pl.Enum(["y", "x"])),
            "cat": pl.Series(["p", None, "q"], dtype=pl.Categorical),
            "list": pl.Series([[1, None], [], None], dtype=pl.List(pl.Int64)),
            "arr": pl.Series([[1.0, 2.0], None, [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
            "struct": [{"a": 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "none": pl.Series([None, None, None], dtype=pl.Null),
        }
    )


def through(p: Platform, value: object, annotation: object = Any) -> Any:
    payloads = Payloads(p)
    return payloads.load(payloads.save([value])[0], annotation)


def test_every_column_type_comes_back_as_it_was(stores: Platform) -> None:
    frame = every_type()
    back = through(stores, frame)
    assert back.schema == frame.schema
    assert back.equals(frame, null_equal=True)
    assert frame_digest(back) == frame_digest(frame)


def test_the_digest_does_not_depend_on_chunks_slices_or_category_codes() -> None:
    frame = every_type()
    chunked = pl.concat([frame[:1], frame[1:]], rechunk=False)
    sliced = pl.concat([frame, frame])[3:]
    other_codes = frame.with_columns(pl.concat([pl.Series(["q"], dtype=pl.Categorical), frame["cat"]])[1:].alias("cat"))
    for same in (chunked, sliced, other_codes):
        assert frame_digest(same) == frame_digest(frame)


@pytest.mark.parametrize(
    "other",
    [
        pl.DataFrame({"a": [2, 1]}),
        pl.DataFrame({"b": [1, 2]}),
        pl.DataFrame({"a": [1.0, 2.0]}),
        pl.DataFrame({"a": [1, None]}),
        pl.DataFrame({"a": [1, 2, 0]}),
        pl.DataFrame({"a": [1, 2]}, schema={"a": pl.Int32}),
        pl.DataFrame({"a": [[1], [2]]}),
    ],
)
def test_order_names_types_nulls_and_lengths_count(other: pl.DataFrame) -> None:
    assert frame_digest(other) != frame_digest(pl.DataFrame({"a": [1, 2]}))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        (pl.Series("a", [None, 0]), pl.Series("a", [0, None])),
        (pl.Series("a", ["ab", "c"]), pl.Series("a", ["a", "bc"])),
        (pl.Series("a", [[1], [2, 3]]), pl.Series("a", [[1, 2], [3]])),
        (pl.Series("a", [[], [None]], dtype=pl.List(pl.Int64)), pl.Series("a", [[None], []], dtype=pl.List(pl.Int64))),
        (pl.Series("a", [0.0]), pl.Series("a", [-0.0])),
        (pl.Series("a", [{"x": None}]), pl.Series("a", [None], dtype=pl.Struct({"x": pl.Null}))),
    ],
)
def test_values_that_look_alike_differ(one: pl.Series, two: pl.Series) -> None:
    assert frame_digest(one.to_frame()) != frame_digest(two.to_frame())


def test_equal_values_are_kept_once_whatever_wrote_them(stores: Platform) -> None:
    payloads = Payloads(stores)
    frame = pl.DataFrame({"a": list(range(100))})
    first = payloads.save([frame])[0]
    again = payloads.save([pl.concat([frame[:50], frame[50:]], rechunk=False).lazy(), frame.to_arrow()])
    assert {payload.key for payload in again} == {first.key}
    assert all(payloads.load(payload).equals(frame) for payload in again)  # type: ignore[attr-defined]  # a frame
    assert len(list(stores.object_store.list())) == 1


@pytest.mark.parametrize(
    ("annotation", "kind"),
    [(pl.LazyFrame, pl.LazyFrame), (pl.DataFrame, pl.DataFrame), (pa.Table, pa.Table), (Any, pl.DataFrame)],
)
def test_the_consumer_receives_what_it_asks_for(stores: Platform, annotation: object, kind: type) -> None:
    assert isinstance(through(stores, pl.LazyFrame({"a": [1, 2]}), annotation), kind)


def test_numpy_gets_one_exact_type(stores: Platform) -> None:
    frame = pl.DataFrame({"a": [1, 2], "b": [0.5, 1.5]})
    np.testing.assert_array_equal(through(stores, frame, NDArray[np.float64]), [[1.0, 0.5], [2.0, 1.5]])


@pytest.mark.parametrize(
    ("frame", "annotation", "column"),
    [
        (pl.DataFrame({"x": [1.0], "bad": [2**53 + 1]}), np.ndarray, "bad"),
        (pl.DataFrame({"x": [1.0], "bad": [None]}, schema={"x": pl.Float64, "bad": pl.Float64}), np.ndarray, "bad"),
        (pl.DataFrame({"x": [1.0], "bad": ["a"]}), np.ndarray, "bad"),
    ],
)
def test_a_lossy_conversion_names_the_column(stores: Platform, frame: pl.DataFrame, annotation: object, column: str) -> None:
    with pytest.raises(InputError, match=f"column '{column}'"):
        through(stores, frame, annotation)


def test_arrays_keep_shape_type_and_values(stores: Platform) -> None:
    array = np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3))
    back = through(stores, array)
    np.testing.assert_array_equal(back, array)
    payloads = Payloads(stores)
    assert payloads.save([array])[0].digest == payloads.save([np.ascontiguousarray(array)])[0].digest
    assert payloads.save([array.T])[0].digest != payloads.save([array])[0].digest


def test_dataclasses_dates_and_infinities_come_back_equal(stores: Platform) -> None:
    inner = Inner(datetime(2013, 7, 1, tzinfo=UTC), (date(2013, 1, 1), date(2013, 1, 2)))
    value = Outer(inner, {"k": [inner]})
    assert through(stores, value, Outer) == value
    assert through(stores, [value, None], list[Outer | None]) == [value, None]
    with pytest.raises(InputError, match="Outer"):
        through(stores, value)  # nobody said that this class may be built


@pytest.mark.parametrize("value", [object(), {1: 2}, {"$date": "x"}, {1, 2}, np.array([object()], dtype=object)])
def test_what_would_need_pickle_is_refused_with_the_way_out(stores: Platform, value: object) -> None:
    with pytest.raises(InputError) as told:
        through(stores, value)
    assert "frame" in told.value.hint


def test_a_flipped_byte_is_found(stores: Platform) -> None:
    payloads = Payloads(stores)
    payload = payloads.save([pl.DataFrame({"a": [1, 2, 3]})])[0]
    data = bytearray(stores.object_store.get([payload.key])[payload.key])
    data[len(data) // 2] ^= 1
    stores.object_store.put({payload.key: bytes(data)})
    with pytest.raises(Tampered, match=payload.key):
        payloads.load(payload)


def test_saving_again_mends_damaged_bytes(stores: Platform) -> None:
    payloads = Payloads(stores)
    frame = pl.DataFrame({"a": [1, 2, 3]})
    payload = payloads.save([frame])[0]
    stores.object_store.put({payload.key: b"PAR1 but not really"})
    again = payloads.save([frame])[0]
    assert payloads.load(again).equals(frame)  # type: ignore[attr-defined]  # a frame


def test_another_encoding_of_the_same_values_stays_and_is_recorded_as_it_lies(stores: Platform) -> None:
    payloads = Payloads(stores)
    frame = pl.DataFrame({"a": [1, 2, 3]})
    payload = payloads.save([frame])[0]
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="uncompressed")
    stores.object_store.put({payload.key: buffer.getvalue()})
    again = payloads.save([frame])[0]
    assert (again.digest, again.size_bytes) == (payload.digest, len(buffer.getvalue()))
    assert payloads.load(again).equals(frame)  # type: ignore[attr-defined]  # a frame


class Weights:
    def __init__(self, values: list[int]) -> None:
        self.values = values


WEIGHTS = Codec(
    "weights",
    lambda value: isinstance(value, Weights),
    lambda p, value: bytes(value.values),
    lambda p, data: Weights(list(data)),
    lambda p, value: f"werk-canon/1:weights:{sum(value.values)}",
)


def test_a_codec_carries_its_own_kind(stores: Platform) -> None:
    payloads = Payloads(stores, [WEIGHTS])
    payload = payloads.save([Weights([1, 2])])[0]
    assert payload.kind == "weights"
    assert Payload.from_json(payload.to_json()) == payload
    loaded = payloads.load(payload, Weights)
    assert isinstance(loaded, Weights)
    assert loaded.values == [1, 2]
    with pytest.raises(InputError, match="codec"):
        Payloads(stores).load(payload)


def test_equal_models_with_other_bytes_leave_the_stored_ones_alone(stores: Platform) -> None:
    payloads = Payloads(stores, [WEIGHTS])
    first, second = payloads.save([Weights([1, 2])])[0], payloads.save([Weights([2, 1])])[0]
    assert first == second
    assert payloads.load(first) is not None
