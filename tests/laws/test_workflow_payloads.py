"""What holds for every value that passes between steps."""

from __future__ import annotations

import io
import json
import math
from datetime import UTC, date, datetime
from typing import Any

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from werk.core.canonical import canonical_json
from werk.workflow import params
from werk.workflow.frame_digest import frame_digest
from werk.workflow.payloads import _parquet

DTYPES = [
    pl.Int8, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time,
    pl.Datetime("us", "UTC"), pl.Duration("ns"), pl.Categorical, pl.List(pl.Int32), pl.Struct({"a": pl.Int64, "b": pl.String}),
]  # fmt: skip
frames = dataframes(max_cols=4, max_size=12, allowed_dtypes=DTYPES, allow_null=True)

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.dates()
    | st.datetimes(timezones=st.just(UTC))
)  # fmt: skip
names = st.text(max_size=5).filter(lambda name: not name.startswith("$"))
values: st.SearchStrategy[Any] = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(names, inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60, deadline=None)
@given(frame=frames, at=st.integers(0, 12))
def test_a_frames_digest_survives_cutting_and_joining(frame: pl.DataFrame, at: int) -> None:
    rejoined = pl.concat([frame[:at], frame[at:]], rechunk=False)
    assert frame_digest(rejoined) == frame_digest(frame)


@settings(max_examples=60, deadline=None)
@given(frame=frames)
def test_a_frames_digest_survives_its_file(frame: pl.DataFrame) -> None:
    back = pl.read_parquet(io.BytesIO(_parquet(frame)))
    assert back.schema == frame.schema
    assert frame_digest(back) == frame_digest(frame)


@settings(max_examples=60, deadline=None)
@given(frame=frames.filter(lambda frame: frame.height > 1))
def test_equal_digests_mean_equal_rows_in_equal_order(frame: pl.DataFrame) -> None:
    turned = frame.reverse()
    same = all(frame[name].equals(turned[name], null_equal=True) for name in frame.columns)
    if not same:
        assert frame_digest(turned) != frame_digest(frame)


@settings(max_examples=200, deadline=None)
@given(value=values)
def test_json_values_come_back_equal_and_of_their_type(value: object) -> None:
    back = params.from_json(json.loads(canonical_json(params.to_json(value))))
    assert back == value
    assert type(back) is type(value)


def test_what_json_has_no_number_for_comes_back() -> None:
    back = params.from_json(json.loads(canonical_json(params.to_json([math.inf, -math.inf, math.nan, date(2013, 1, 1)]))))
    assert isinstance(back, list)
    assert back[:2] == [math.inf, -math.inf]
    assert math.isnan(back[2])
    assert back[3] == date(2013, 1, 1)
    assert params.to_json(datetime(2013, 1, 1, tzinfo=UTC)) == {"$datetime": "2013-01-01T00:00:00+00:00"}
