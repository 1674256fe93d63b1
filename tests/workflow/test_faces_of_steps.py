"""A run whose every step works with another library, and one cache for all of them."""

from __future__ import annotations

from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.workflow import Engine, Pipeline, Progress, pipeline, step
from werk.workflow.payloads import Payload, Payloads

GIVEN: dict[str, Any] = {"pins": {}, "code": {"tree": "t1"}, "environment": {"sha256": "e1"}}


@step("load")
def load(face: str) -> pl.DataFrame:
    return pl.DataFrame({"airport": ["JFK", "LGA", "JFK", None], "delay": [5, None, 2**53 + 1, 1]})


@step("load-as-pandas")
def load_as_pandas(face: str) -> pd.DataFrame:
    return pd.DataFrame({"airport": ["JFK", "LGA", "JFK", None], "delay": pd.array([5, None, 2**53 + 1, 1], dtype="Int64")})


@step("in-pandas")
def in_pandas(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.dropna(subset=["airport"]).reset_index(drop=True)


@step("in-duckdb")
def in_duckdb(rows: duckdb.DuckDBPyRelation) -> duckdb.DuckDBPyRelation:
    return duckdb.sql("select airport, max(delay) as most, count(*) as flights from rows group by airport order by airport")


@step("in-arrow")
def in_arrow(rows: pa.RecordBatchReader) -> pa.Table:
    return rows.read_all().append_column("late", pa.array([True, None]))


@step("in-numpy")
def in_numpy(rows: pa.Table) -> np.ndarray[Any, Any]:
    return rows.select(["flights"]).to_pandas().to_records(index=False)


@step("sum")
def total(fields: NDArray[np.void], table: pl.LazyFrame) -> pl.DataFrame:
    return table.with_columns(pl.Series("again", fields["flights"])).collect()


@pipeline
def libraries(face: str = "polars") -> None:
    table = in_arrow(in_duckdb(in_pandas(load(face))))
    total(in_numpy(table), table)


@pipeline
def begun_in_pandas(face: str = "pandas") -> None:
    table = in_arrow(in_duckdb(in_pandas(load_as_pandas(face))))
    total(in_numpy(table), table)


@step("indexed")
def indexed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.set_index("airport")


@pipeline
def losing_an_index(face: str = "pandas") -> None:
    indexed(load(face))


def driven(p: Platform, what: Pipeline, told: list[Progress] | None = None) -> str:
    engine = Engine(p, {}, progress=None if told is None else told.append)
    run = engine.start(what, {}, **GIVEN)
    engine.drive(what, run)
    return run


def result(p: Platform, run: str) -> pl.DataFrame:
    row = p.journal.rows("steps", {"run": run, "step": "sum"})[0]
    return Payloads(p).load(Payload.from_json(row["outputs"][0]))  # type: ignore[index, return-value]  # a frame


def test_a_run_goes_through_every_library(platform: Platform) -> None:
    found = result(platform, driven(platform, libraries))
    assert found.to_dict(as_series=False) == {
        "airport": ["JFK", "LGA"],
        "most": [2**53 + 1, None],
        "flights": [2, 1],
        "late": [True, None],
        "again": [2, 1],
    }


def test_the_cache_asks_for_content_and_not_for_the_library(platform: Platform) -> None:
    driven(platform, libraries)
    told: list[Progress] = []
    driven(platform, begun_in_pandas, told)
    events = {progress.step: progress.event for progress in told}
    assert events.pop("load-as-pandas") == "finished"
    assert set(events.values()) == {"cached"}
    assert len(events) == 5


def test_a_step_that_loses_an_index_ends_the_run_with_its_name(platform: Platform) -> None:
    with pytest.raises(InputError, match="'airport'") as told:
        driven(platform, losing_an_index)
    assert "reset_index()" in told.value.hint
