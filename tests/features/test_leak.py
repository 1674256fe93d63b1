"""The checker keeps quiet about the past and names a column that reads the future."""

from datetime import UTC, datetime, timedelta

import polars as pl

from werk.features import Features, FeatureView, Window
from werk.features.leak import Frames, leak_check

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
HOURS = [NOON + timedelta(hours=h) for h in range(-3, 4)]
TABLES = {"e": pl.DataFrame({"k": ["a"] * 7, "planned": [t - timedelta(hours=2) for t in HOURS], "t": HOURS, "v": range(7)})}


class Held:
    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def scan(self, table: str, /) -> pl.LazyFrame:
        return self._frames[table].lazy()


def _leaks(event_time: str) -> list[str]:
    view = FeatureView("e", "k", "e", event_time, (Window("s", "sum", timedelta(hours=2), "v"),))

    def build(frames: Frames, cutoff: datetime) -> pl.DataFrame:
        return Features(Held(frames)).join(pl.LazyFrame({"k": ["a"], "cutoff": [cutoff]}), view).collect()

    return leak_check(build, TABLES, [NOON], {"e": {"v": pl.col("t")}})


def test_a_window_on_the_known_time_leaks_nothing() -> None:
    assert _leaks("t") == []


def test_a_window_on_the_planned_time_is_found_out() -> None:
    assert _leaks("planned") == ["s"]
