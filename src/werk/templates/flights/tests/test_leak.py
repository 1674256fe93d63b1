"""No feature may change with what was known only after its cutoff; planted leaks show that this test can fail."""

from datetime import timedelta
from pathlib import Path

import flights.features
import polars as pl
import pytest
from flights.features import KEY, LEFT, RECENT, Events, engineer, scheduled
from flights.files import Files
from flights.known import CUTOFFS, Engineer, changes, dated, leaks

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


def with_next_flight(feature: pl.Expr) -> Engineer:
    """Of each flight, something about `next`: when its aircraft is scheduled to fly again."""

    def build(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
        later = scheduled(tables).select("tailnum", pl.col("sched_dep").alias("next"))
        own = rows.select(*KEY, "tailnum").join(later, on="tailnum").filter(pl.col("next") > pl.col("sched_dep"))
        first = own.group_by(KEY).agg(pl.col("next").min())
        return joined(rows, tables, first.select(*KEY, feature))

    return build


def joined(rows: pl.LazyFrame, tables: Tables, more: pl.LazyFrame) -> pl.DataFrame:
    return engineer(rows, tables).join(more.collect(), on=KEY, how="left", maintain_order="left")


def last_arrival(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    """How late the airline's last departed flight arrived, even when it is still in the air."""
    left = scheduled(tables).select("carrier", "flight", LEFT.alias("left"), pl.col("arr_delay").alias("last_arrival"))
    own = rows.select(*KEY, "cutoff").sort("cutoff")
    seen = left.drop_nulls("left").sort("left", "flight").drop("flight")
    found = own.join_asof(seen, left_on="cutoff", right_on="left", by="carrier", check_sortedness=False)
    return joined(rows, tables, found.select(*KEY, "last_arrival"))


def cancelled(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    return joined(rows, tables, rows.select(*KEY, pl.col("dep_time").is_null().alias("cancelled")))


def busy(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    """How many flights the table has of the aircraft: it tells the future without any value of it."""
    count = scheduled(tables).group_by("tailnum").agg(pl.len().alias("busy"))
    return joined(rows, tables, rows.select(*KEY, "tailnum").join(count, on="tailnum", how="left").drop("tailnum"))


def registry(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    """How many planes the registry holds, some of which had not flown yet."""
    size = tables.scan("raw.planes").select(pl.len().alias("registry"))
    return joined(rows, tables, rows.select(*KEY).join(size, how="cross"))


AGAIN = pl.col("next") - pl.col("sched_dep") <= timedelta(hours=12)
PLANTED = {
    "own_delay": own_delay,
    "planned_delay": recent_by_schedule,
    "early_temp": weather_by_the_start_of_its_hour,
    "flies_again": with_next_flight(AGAIN.alias("flies_again")),
    "next_day": with_next_flight(pl.col("next").dt.date().alias("next_day")),
    "last_arrival": last_arrival,
    "cancelled": cancelled,
    "busy": busy,
    "registry": registry,
}


def test_no_feature_knows_what_came_after_its_cutoff(frames: Frames) -> None:
    assert changes(frames) == {}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_leak_is_named_and_nothing_else(frames: Frames, name: str) -> None:
    assert leaks(frames, PLANTED[name], STORM) == [name]


def test_the_finding_says_with_what_it_changes(frames: Frames) -> None:
    found = changes(frames, PLANTED["next_day"], STORM)["next_day"]
    assert found[0] == "changes when later rows are removed"
    assert found[-1] == "changes when later rows are moved in time"


@pytest.mark.parametrize(
    ("name", "mistake"),
    [("LEFT", pl.col("sched_dep")), ("LEFT", pl.col("sched_dep") + timedelta(minutes=5)), ("LEAD", timedelta())],
)
def test_a_mistake_of_the_features_about_time_is_not_the_tests_too(
    frames: Frames, monkeypatch: pytest.MonkeyPatch, name: str, mistake: object
) -> None:
    monkeypatch.setattr(flights.features, name, mistake)
    assert leaks(frames, cutoffs=STORM)
