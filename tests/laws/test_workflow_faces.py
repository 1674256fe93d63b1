"""What holds for every frame, however its libraries hold it."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing.parametric import dataframes

from werk.core.errors import InputError
from werk.workflow.frame_digest import frame_digest
from werk.workflow.frames import from_polars, to_polars

PLAIN = [
    pl.Int8, pl.Int64, pl.UInt16, pl.UInt64, pl.Float32, pl.Float64, pl.Boolean, pl.String, pl.Binary, pl.Date, pl.Time,
    pl.Datetime("us", "UTC"), pl.Datetime("ms"), pl.Datetime("ns"), pl.Decimal(20, 4), pl.Enum(["b", "a", "c"]),
    pl.List(pl.Int32), pl.List(pl.String), pl.Array(pl.Int16, 2), pl.Struct({"a": pl.Int64, "b": pl.String}),
]  # fmt: skip
MORE = [*PLAIN, pl.Categorical, pl.Duration("us"), pl.Datetime("us", "America/New_York"), pl.List(pl.Struct({"a": pl.Date}))]
ANY = dataframes(max_cols=3, max_size=8, allowed_dtypes=MORE, allow_null=True)
IN_DUCKDB = dataframes(max_cols=3, min_cols=1, max_size=8, allowed_dtypes=PLAIN, allow_null=True)
ARROW = [pa.Table, pa.RecordBatch, pa.RecordBatchReader]


def refusal(frame: pl.DataFrame, face: Any) -> str:
    """Why a face cannot hold the frame, and then it has named the column; empty when it holds it to the last bit."""
    try:
        given = from_polars(frame, face)
    except InputError as told:
        return named(told, frame.columns)
    back = to_polars(given)
    assert back.schema == frame.schema
    assert frame_digest(back) == frame_digest(frame)
    return ""


def named(told: InputError, columns: list[str]) -> str:
    assert told.code == "value-lossy"
    assert any(f"'{name}'" in told.message for name in columns)
    return told.message


@settings(max_examples=150, deadline=None)
@given(frame=ANY)
def test_a_frame_in_pandas_is_the_same_frame(frame: pl.DataFrame) -> None:
    why = refusal(frame, pd.DataFrame)
    assert not why or "earliest time" in why


@pytest.mark.parametrize("face", ARROW)
@settings(max_examples=40, deadline=None)
@given(frame=ANY)
def test_a_frame_in_arrow_is_the_same_frame(face: Any, frame: pl.DataFrame) -> None:
    assert refusal(frame, face) == ""


@settings(max_examples=80, deadline=None)
@given(frame=IN_DUCKDB)
def test_a_frame_in_duckdb_is_the_same_frame(frame: pl.DataFrame) -> None:
    assert refusal(frame, duckdb.DuckDBPyRelation) == ""


@settings(max_examples=80, deadline=None)
@given(frame=ANY)
def test_a_frame_in_an_array_with_fields_is_the_same_frame(frame: pl.DataFrame) -> None:
    refusal(frame, np.recarray)


OBJECTS = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary() | st.dates() | st.decimals()
DEEPER = st.recursive(
    OBJECTS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2)
)


@settings(max_examples=300, deadline=None)
@given(values=st.lists(DEEPER, max_size=4))
def test_a_column_of_any_objects_is_kept_as_it_is_or_named(values: list[object]) -> None:
    column = pd.Series(values, dtype=object, name="x")
    try:
        back = to_polars(column.to_frame())["x"].to_list()
    except InputError as told:
        named(told, ["x"])
        return
    floats = any(isinstance(value, float) for value in values if value == value)
    wanted = [None if isinstance(value, float) and value != value and not floats else value for value in values]
    assert repr(plain(back)) == repr(plain(wanted)) or plain(back) == plain(wanted)


def plain(value: Any) -> Any:
    """NaN as a word, so that it equals itself."""
    if isinstance(value, list):
        return [plain(part) for part in value]
    if isinstance(value, dict):
        return {name: plain(part) for name, part in value.items()}
    return "nan" if isinstance(value, float) and value != value else value
