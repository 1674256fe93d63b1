"""What is known of a flight one hour before its scheduled departure, in pandas.

Taken as known by then: the schedule, the aircraft meant to fly it, the registry of planes. All else is read as events:
a departure from the minute the aircraft left, an hour's weather once the hour is over (its row holds values up to minute 51).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pandas as pd
import polars as pl

from werk import as_frame
from werk.features import Features, FeatureView, Tables, Window

KEY = ("sched_dep", "carrier", "flight", "origin")
TARGET = "late"
CATEGORIES = ("carrier", "origin", "dest")
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
LEAD, RECENT, STALE = HOUR, 2 * HOUR, 6 * HOUR

PLACES = {"origin": ("origin",), "carrier": ("carrier",), "both": ("carrier", "origin"), "dest": ("dest",)}
SCHEDULE = ("hour", "weekday", "distance", *CATEGORIES)
PLANE = ("plane_year", "seats", "engines")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
DELAYS = tuple(f"{name}_{what}" for name in PLACES for what in ("left", "delay", "late30", "waiting"))
AIRCRAFT = ("plane_delay", "plane_ago", "plane_distance")
FEATURES = (*SCHEDULE, *PLANE, *WEATHER, *DELAYS, *AIRCRAFT)


def flights(tables: Tables, start: date | None = None, end: date | None = None) -> pd.DataFrame:
    """The flights scheduled on the days from `start` up to, not including, `end`: with cutoff and target, sorted by `KEY`."""
    rows = scheduled(tables)
    day = rows["year"] * 10_000 + rows["month"] * 100 + rows["day"]
    chosen = (day >= _number(start or date.min)) & (day < _number(end or date.max))
    late = (rows["arr_delay"] >= 30).rename(TARGET)
    rows = rows.assign(cutoff=rows["sched_dep"] - LEAD, late=late)[chosen].sort_values(list(KEY), ignore_index=True)
    twins = rows[rows.duplicated(list(KEY))]
    if len(twins):
        raise ValueError(f"Two flights share {', '.join(KEY)}: {tuple(twins[list(KEY)].iloc[0])}.")
    return rows


def scheduled(tables: Tables) -> pd.DataFrame:
    rows = as_frame(tables.scan("raw.flights"), pd.DataFrame)
    return rows.assign(sched_dep=rows["time_hour"].dt.as_unit("us") + _minutes(rows["minute"]))


def left(rows: pd.DataFrame) -> pd.Series:
    """When each flight left; missing for one that never did."""
    return rows["sched_dep"] + _minutes(rows["dep_delay"])


def _minutes(count: pd.Series) -> pd.Series:
    return pd.to_timedelta(count.astype("Int64"), unit="min").dt.as_unit("us")


def _number(day: date) -> int:
    return day.year * 10_000 + day.month * 100 + day.day


def departures(tables: Tables, since: datetime | None = None) -> pd.DataFrame:
    rows = scheduled(tables)
    delay = rows["dep_delay"].astype("Int64")
    rows = rows.assign(left=left(rows), delay=delay, late30=(delay >= 30).astype("Int64"))
    rows = rows[delay.notna() & (rows["left"] > since - DAY if since else True)]
    return rows[[*CATEGORIES, "tailnum", "flight", "distance", "left", "delay", "late30"]].reset_index(drop=True)


def queue(tables: Tables, since: datetime | None = None) -> pd.DataFrame:
    """+1 when a flight was to leave, -1 when it did; one that never leaves is one that has not left yet, until `STALE`."""
    rows = scheduled(tables)
    rows = rows[rows["sched_dep"] > since - STALE] if since else rows
    stale = rows["sched_dep"] + STALE
    gone = left(rows).fillna(stale).clip(upper=stale)
    late = gone > rows["sched_dep"]
    places = rows.loc[late, list(CATEGORIES)]
    joins = places.assign(at=rows["sched_dep"][late], waiting=1)
    return pd.concat([joins, places.assign(at=gone[late], waiting=-1)], ignore_index=True)


class Events:
    """The flights as what happened when, beside the tables; nothing further back than a cutoff of `since` can see is read."""

    def __init__(self, tables: Tables, since: datetime | None) -> None:
        self._tables = tables
        gone = departures(tables, since)
        seen = {"delay": "plane_delay", "left": "plane_left", "distance": "plane_distance"}
        aircraft = gone[["tailnum", "flight"]].assign(left=gone["left"], **{name: gone[of] for of, name in seen.items()})
        self._events = {"departures": gone, "aircraft": aircraft, "queue": queue(tables, since)}

    def scan(self, table: str, /) -> pl.LazyFrame:
        return as_frame(self._events[table], pl.LazyFrame) if table in self._events else self._tables.scan(table)


def _left(name: str, by: tuple[str, ...]) -> FeatureView:
    count = Window(f"{name}_left", "count", RECENT)
    means = (Window(f"{name}_{what}", "mean", RECENT, what) for what in ("delay", "late30"))
    return FeatureView(f"{name}_departures", by, "departures", "left", (count, *means))


def _waiting(name: str, by: tuple[str, ...]) -> FeatureView:
    return FeatureView(f"{name}_queue", by, "queue", "at", (Window(f"{name}_waiting", "sum", None, "waiting"),))


LAST_SEEN = ("plane_delay", "plane_left", "plane_distance")
VIEWS = (
    FeatureView("weather", "origin", "raw.weather", "time_hour", WEATHER, ttl=3 * HOUR, known_after=HOUR),
    FeatureView("aircraft", "tailnum", "aircraft", "left", LAST_SEEN, ttl=DAY, tie_breaker="flight"),
    *(_left(name, by) for name, by in PLACES.items()),
    *(_waiting(name, by) for name, by in PLACES.items()),
)


def engineer(rows: object, source: Features | Tables) -> pd.DataFrame:
    """`KEY`, cutoff, target and `FEATURES` of each row, in the rows' order: the same for one flight and for a year.

    `rows` are a frame of any library.
    """
    tables = source.tables if isinstance(source, Features) else source
    spine = _spine(as_frame(rows, pd.DataFrame), tables)
    first = None if spine.empty else spine["cutoff"].min()
    joined = Features(Events(tables, first)).join(spine, *VIEWS)
    ago = ((joined["cutoff"] - joined["plane_left"]) // pd.Timedelta(minutes=1)).astype("Int64")
    return joined.assign(plane_ago=ago)[list(dict.fromkeys((*KEY, "cutoff", TARGET, *FEATURES)))]


def _spine(rows: pd.DataFrame, tables: Tables) -> pd.DataFrame:
    planes = as_frame(tables.scan("raw.planes").select("tailnum", "year", "seats", "engines"), pd.DataFrame)
    weekday = pd.to_datetime(rows[["year", "month", "day"]].astype("int64")).dt.day_of_week + 1
    spine = rows.assign(weekday=weekday.astype("Int8"))
    spine = spine[[*KEY, "cutoff", TARGET, "tailnum", "hour", "weekday", "distance", "dest"]]
    return spine.merge(planes.rename(columns={"year": "plane_year"}), on="tailnum", how="left", validate="m:1")
