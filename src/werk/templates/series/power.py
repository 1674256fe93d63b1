"""What is known of a house at the start of an hour, when that hour's mean power is forecast.

All is read as it was known then: an hour's meter reading once the hour is over.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import polars as pl

from werk.features import Features, FeatureView, Tables, Window

KEY = ("house", "hour")
TARGET = "watts"
HOUR, DAY = timedelta(hours=1), timedelta(days=1)

CALENDAR = ("hour_of_day", "weekday")
LAST = ("last_watts", "volts", "kitchen", "laundry", "heating")
MEANS = tuple(Window(f"mean_{name}", "mean", over, "last_watts") for name, over in (("3h", 3 * HOUR), ("1d", DAY), ("7d", 7 * DAY)))
# What the meter said at the same hour of an earlier day; null where that hour is missing.
BACK = {"day_ago": DAY, "two_days_ago": 2 * DAY, "week_ago": 7 * DAY}
FEATURES = (*CALENDAR, *LAST, *(mean.name for mean in MEANS), *BACK)

VIEWS = (
    FeatureView("last", "house", "last", "hour", (*LAST, *MEANS), ttl=3 * HOUR, known_after=HOUR),
    *(FeatureView(name, "house", name, "hour", (name,), ttl=HOUR, known_after=back) for name, back in BACK.items()),
)


class Readings:
    """The meter's readings under the name that each view gives them."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def scan(self, table: str, /) -> pl.LazyFrame:
        name = "last_watts" if table == "last" else table
        return self._tables.scan("raw.power").rename({TARGET: name})


def hours(tables: Tables, start: date, end: date) -> pl.DataFrame:
    """Every hour from `start` up to, not including, `end`, of every house: with cutoff and, once it is over, the target.

    The hour after a house's newest reading is the last one: that is the forecast nobody can check yet.
    """
    readings = tables.scan("raw.power").select(*KEY, TARGET).collect()
    first, last = (datetime(day.year, day.month, day.day, tzinfo=timezone.utc) for day in (start, end))
    own = readings.group_by("house").agg(first=pl.col("hour").min(), last=pl.col("hour").max() + HOUR)
    begin, stop = pl.max_horizontal(pl.lit(first), "first"), pl.min_horizontal(pl.lit(last - HOUR), "last")
    own = own.select("house", begin=begin.dt.cast_time_unit("us"), stop=stop.dt.cast_time_unit("us"))
    spans = own.filter(pl.col("begin") <= pl.col("stop"))
    spine = spans.select("house", hour=pl.datetime_ranges("begin", "stop", "1h")).explode("hour").sort(KEY)
    return spine.join(readings, on=KEY, how="left", maintain_order="left").with_columns(cutoff=pl.col("hour"))


def engineer(rows: pl.DataFrame, source: Features | Tables) -> pl.DataFrame:
    """`KEY`, cutoff, target and `FEATURES` of each row: the same for one hour and for four years."""
    tables = source.tables if isinstance(source, Features) else source
    at = pl.col("hour").dt
    calendar = rows.with_columns(hour_of_day=at.hour(), weekday=at.weekday())
    joined = Features(Readings(tables)).join(calendar, *VIEWS)
    return joined.select(*KEY, "cutoff", TARGET, *FEATURES).collect()
