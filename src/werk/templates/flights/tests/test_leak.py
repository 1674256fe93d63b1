"""No feature may change with what was known only after its cutoff; two planted leaks show that this test can fail."""

from pathlib import Path

import polars as pl
import pytest
from flights.features import KEY, RECENT, Events, engineer
from flights.files import Files
from flights.known import CUTOFFS, dated, leaks

from werk.features import Features, FeatureView, Tables, Window
from werk.features.leak import Frames

STORM = CUTOFFS[1:2]


@pytest.fixture(scope="module")
def frames() -> Frames:
    return dated(Files(Path(__file__).parents[1] / "data"))


def own_delay(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    own = rows.select(*KEY, pl.col("dep_delay").alias("own_delay")).collect()
    return engineer(rows, tables).join(own, on=KEY, how="left", maintain_order="left")


def recent_by_schedule(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    class Scheduled(Events):
        def scan(self, table: str, /) -> pl.LazyFrame:
            planned = pl.col("left") - pl.duration(minutes=pl.col("delay"))
            return super().scan("departures").with_columns(planned.alias("planned"))

    by_schedule = Window("planned_delay", "mean", RECENT, "delay")
    view = FeatureView("planned", "origin", "departures", "planned", (by_schedule,))
    return Features(Scheduled(tables, None)).join(engineer(rows, tables), view).collect()


def weather_by_the_start_of_its_hour(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    view = FeatureView("early", "origin", "early", "time_hour", ("early_temp",))

    class Early(Events):
        def scan(self, table: str, /) -> pl.LazyFrame:
            return super().scan("raw.weather").select("origin", "time_hour", pl.col("temp").alias("early_temp"))

    return Features(Early(tables, None)).join(engineer(rows, tables), view).collect()


def test_no_feature_knows_what_came_after_its_cutoff(frames: Frames) -> None:
    assert leaks(frames) == []


def test_the_flights_own_delay_is_found_out(frames: Frames) -> None:
    assert leaks(frames, own_delay, STORM) == ["own_delay"]


def test_delays_by_scheduled_departure_are_found_out(frames: Frames) -> None:
    assert leaks(frames, recent_by_schedule, STORM) == ["planned_delay"]


def test_weather_of_an_hour_not_over_is_found_out(frames: Frames) -> None:
    assert leaks(frames, weather_by_the_start_of_its_hour, STORM) == ["early_temp"]
