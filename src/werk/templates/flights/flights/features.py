"""What is known of a flight one hour before its scheduled departure.

Taken as known by then: the schedule, the aircraft meant to fly it, the registry of planes. All else is read as events:
a departure from the minute the aircraft left, an hour's weather once the hour is over (its row holds values up to minute 51).
"""

from __future__ import annotations

from datetime import date, datetime, timedelta

import polars as pl

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

LEFT = pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay").cast(pl.Int64))


def flights(tables: Tables, start: date | None = None, end: date | None = None) -> pl.LazyFrame:
    """The flights scheduled on the days from `start` up to, not including, `end`: with cutoff and target, sorted by `KEY`."""
    day = pl.date("year", "month", "day")
    days = [*([day >= start] if start else []), *([day < end] if end else [])]
    late = (pl.col("arr_delay") >= 30).alias(TARGET)
    rows = scheduled(tables).filter(*days).with_columns((pl.col("sched_dep") - LEAD).alias("cutoff"), late).sort(KEY)
    _refuse_twins(rows)
    return rows


def scheduled(tables: Tables) -> pl.LazyFrame:
    sched = pl.col("time_hour").dt.cast_time_unit("us") + pl.duration(minutes=pl.col("minute"))
    return tables.scan("raw.flights").with_columns(sched.alias("sched_dep"))


def _refuse_twins(rows: pl.LazyFrame) -> None:
    twins = rows.select(KEY).filter(pl.struct(KEY).is_duplicated()).head(1).collect()
    if len(twins):
        raise ValueError(f"Two flights share {', '.join(KEY)}: {twins.row(0)}.")


def departures(tables: Tables, since: datetime | None = None) -> pl.LazyFrame:
    delay = pl.col("dep_delay").cast(pl.Int64)
    recent = [LEFT > since - DAY] if since else []
    left = scheduled(tables).filter(delay.is_not_null(), *recent)
    late = (delay >= 30).cast(pl.Int64).alias("late30")
    return left.select(*CATEGORIES, "tailnum", "flight", "distance", LEFT.alias("left"), delay.alias("delay"), late)


def queue(tables: Tables, since: datetime | None = None) -> pl.LazyFrame:
    """+1 when a flight was to leave, -1 when it did; one that never leaves is one that has not left yet, until `STALE`."""
    rows = scheduled(tables).filter(*([pl.col("sched_dep") > since - STALE] if since else []))
    gone = pl.min_horizontal(LEFT, pl.col("sched_dep") + STALE)
    late = rows.filter(gone > pl.col("sched_dep"))
    joins = late.select(*CATEGORIES, pl.col("sched_dep").alias("at"), pl.lit(1).alias("waiting"))
    return pl.concat([joins, late.select(*CATEGORIES, gone.alias("at"), pl.lit(-1).alias("waiting"))])


class Events:
    """The flights as what happened when, beside the tables; nothing further back than a cutoff of `since` can see is read."""

    def __init__(self, tables: Tables, since: datetime | None) -> None:
        self._tables = tables
        left = departures(tables, since).collect()
        seen = {"plane_delay": "delay", "plane_left": "left", "plane_distance": "distance"}
        aircraft = left.select("tailnum", "flight", "left", **{name: pl.col(column) for name, column in seen.items()})
        self._events = {"departures": left, "aircraft": aircraft, "queue": queue(tables, since).collect()}

    def scan(self, table: str, /) -> pl.LazyFrame:
        return self._events[table].lazy() if table in self._events else self._tables.scan(table)


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


def engineer(rows: pl.LazyFrame, source: Features | Tables) -> pl.DataFrame:
    """`KEY`, cutoff, target and `FEATURES` of each row, in the rows' order: the same for one flight and for a year."""
    tables = source.tables if isinstance(source, Features) else source
    spine = _spine(rows, tables)
    joined = Features(Events(tables, spine["cutoff"].min())).join(spine, *VIEWS)
    ago = (pl.col("cutoff") - pl.col("plane_left")).dt.total_minutes().alias("plane_ago")
    return joined.with_columns(ago).select(list(dict.fromkeys((*KEY, "cutoff", TARGET, *FEATURES)))).collect()


def _spine(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    planes = tables.scan("raw.planes").select("tailnum", pl.col("year").alias("plane_year"), "seats", "engines")
    spine = rows.with_columns(pl.date("year", "month", "day").dt.weekday().alias("weekday"))
    spine = spine.select(*KEY, "cutoff", TARGET, "tailnum", "hour", "weekday", "distance", "dest")
    return spine.join(planes, on="tailnum", how="left", maintain_order="left", validate="m:1").collect()
