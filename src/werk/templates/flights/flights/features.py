"""What is known of a flight one hour before its scheduled departure."""

from __future__ import annotations

from datetime import timedelta

import polars as pl

from werk.features import Features, FeatureView, Tables, Window

KEY = ("sched_dep", "carrier", "flight", "origin")
TARGET = "late"
CATEGORIES = ("carrier", "origin", "dest")
LEAD, RECENT = timedelta(hours=1), timedelta(hours=2)

SCHEDULE = ("hour", "weekday", "distance", *CATEGORIES)
PLANE = ("plane_year", "seats", "engines")
WEATHER = ("temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib")
RECENT_BY = {"origin": ("origin",), "carrier": ("carrier",), "both": ("carrier", "origin")}
DELAYS = tuple(f"{by}_{what}" for by in RECENT_BY for what in ("left", "delay", "late15", "late30"))
FEATURES = (*SCHEDULE, *PLANE, *WEATHER, *DELAYS)


class Known:
    """The tables as events: a departure exists from the minute the aircraft actually left."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def scan(self, table: str, /) -> pl.LazyFrame:
        return departures(self._tables) if table == "departures" else self._tables.scan(table)


def flights(tables: Tables) -> pl.LazyFrame:
    """Every flight with its scheduled departure, its cutoff and its target, sorted by `KEY`."""
    sched = pl.col("time_hour") + pl.duration(minutes=pl.col("minute"))
    rows = tables.scan("raw.flights").with_columns(sched.alias("sched_dep"))
    late = (pl.col("arr_delay") >= 30).alias(TARGET)
    return rows.with_columns((pl.col("sched_dep") - LEAD).alias("cutoff"), late).sort(KEY)


def departures(tables: Tables) -> pl.LazyFrame:
    rows = flights(tables).filter(pl.col("dep_delay").is_not_null())
    delay = pl.col("dep_delay").cast(pl.Int64)
    left = pl.col("sched_dep") + pl.duration(minutes=delay)
    late = ((delay >= least).cast(pl.Int64).alias(f"late{least}") for least in (15, 30))
    return rows.select("carrier", "origin", delay, left.alias("left"), *late)


def recent(name: str, by: tuple[str, ...]) -> FeatureView:
    windows = (
        Window(f"{name}_left", "count", RECENT),
        Window(f"{name}_delay", "mean", RECENT, "dep_delay"),
        Window(f"{name}_late15", "mean", RECENT, "late15"),
        Window(f"{name}_late30", "mean", RECENT, "late30"),
    )
    return FeatureView(name, by, "departures", "left", windows)


VIEWS = (
    FeatureView("weather", "origin", "raw.weather", "time_hour", WEATHER, ttl=timedelta(hours=3)),
    *(recent(name, by) for name, by in RECENT_BY.items()),
)


def engineer(rows: pl.LazyFrame, tables: Tables) -> pl.DataFrame:
    """`KEY`, cutoff, target and `FEATURES` for each row, for training and for serving alike."""
    planes = tables.scan("raw.planes").select("tailnum", pl.col("year").alias("plane_year"), "seats", "engines")
    spine = rows.with_columns(pl.col("sched_dep").dt.weekday().alias("weekday"))
    spine = spine.select(*KEY, "cutoff", TARGET, "tailnum", "hour", "weekday", "distance", "dest")
    spine = spine.join(planes, on="tailnum", how="left", maintain_order="left")
    joined = Features(Known(tables)).join(spine, *VIEWS)
    return joined.select(list(dict.fromkeys((*KEY, "cutoff", TARGET, *FEATURES)))).collect()
