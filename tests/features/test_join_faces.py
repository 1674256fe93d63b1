"""Features are joined to rows of any library, and a model fitted on them, with the same values."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import duckdb
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from werk import Features, FeatureView, Window, as_frame, fit_lightgbm
from werk.core.errors import InputError

HOUR = timedelta(hours=1)
START = datetime(2013, 7, 1, tzinfo=UTC)
SPINE = pl.DataFrame({"origin": ["LGA", None, "JFK"], "cutoff": [START + 3 * HOUR, START + HOUR, START + 2 * HOUR]})
VIEW = FeatureView("recent", "origin", "raw.delays", "left", ("delay", Window("mean", "mean", 2 * HOUR, "delay")), ttl=3 * HOUR)


class Tables:
    def scan(self, table: str, /) -> pl.LazyFrame:
        left = [START + at * HOUR for at in range(3)]
        return pl.LazyFrame({"origin": ["JFK"] * 3, "left": left, "delay": [5, 50, 500]})


@pytest.mark.parametrize("face", [pd.DataFrame, pa.Table, duckdb.DuckDBPyRelation], ids=lambda face: face.__name__)
def test_rows_come_back_in_the_library_they_came_in(face: Any) -> None:
    wanted = Features(Tables()).join(SPINE, VIEW).collect()
    found = Features(Tables()).join(as_frame(SPINE, face), VIEW)
    assert isinstance(found, face)
    assert as_frame(found, pl.DataFrame).equals(wanted)
    assert wanted["delay"].to_list() == [None, None, 500]


@pytest.mark.parametrize("face", [pd.DataFrame, pa.Table, duckdb.DuckDBPyRelation], ids=lambda face: face.__name__)
def test_a_model_is_the_same_whatever_library_its_rows_are_of(face: Any) -> None:
    rows = pl.DataFrame({"id": range(200), "km": [None, *range(199)], "late": [0, 1] * 100})
    models = [
        fit_lightgbm(given, target="late", key=["id"], features=["km"], rounds=5).estimator.model_to_string()
        for given in (rows, as_frame(rows, face))
    ]
    assert models[0] == models[1]


def test_what_is_no_frame_is_said_before_anything_is_joined() -> None:
    with pytest.raises(InputError) as told:
        Features(Tables()).join([1, 2], VIEW)
    assert told.value.code == "frame-kind"
