"""No feature may change with what was known only after its cutoff; planted leaks show that this test can fail."""

from pathlib import Path

import pandas as pd
import polars as pl
import pytest
from flights.features import KEY, engineer
from flights.files import Files
from flights.known import CUTOFFS, changes, dated, leaks

from werk import as_frame
from werk.features import Tables
from werk.features.leak import Frames

STORM = CUTOFFS[1:2]


@pytest.fixture(scope="module")
def frames() -> Frames:
    return dated(Files(Path(__file__).parents[1] / "data"))


def own_delay(rows: pl.LazyFrame, tables: Tables) -> pd.DataFrame:
    own = as_frame(rows.select(*KEY, pl.col("dep_delay").alias("own_delay")), pd.DataFrame)
    return engineer(rows, tables).merge(own, on=list(KEY), how="left")


def mean_of_the_day(rows: pl.LazyFrame, tables: Tables) -> pd.DataFrame:
    """The average of all flights that the table has, those of the afternoon too."""
    mean = as_frame(tables.scan("raw.flights"), pd.DataFrame)["dep_delay"].mean()
    return engineer(rows, tables).assign(mean_delay=mean)


PLANTED = {"own_delay": own_delay, "mean_delay": mean_of_the_day}


def test_no_feature_knows_what_came_after_its_cutoff(frames: Frames) -> None:
    assert changes(frames, cutoffs=STORM) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_named_and_nothing_else(frames: Frames, name: str) -> None:
    assert leaks(frames, PLANTED[name], STORM) == [name]
