"""Since when each value of the five tables is known: what the leak test changes.

Told anew and not taken from the features, so that a mistake there is not made here too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import polars as pl

from flights.features import DAY, HOUR, KEY, TARGET, engineer, flights, scheduled
from werk import as_frame
from werk.features import Tables
from werk.features.leak import Frames, Known, leak_check

NAMES = ("flights", "weather", "planes", "airlines", "airports")
FIRST = "first_flight"
# A flight has to be judged an hour before it is to leave, and has left once its delay is over.
JUDGED = pl.col("sched_dep") - pl.duration(hours=1)
DEPARTED = pl.col("sched_dep") + pl.duration(minutes=pl.col("dep_delay"))
ARRIVED = DEPARTED + pl.duration(minutes=pl.col("air_time"))
REGISTERED = {"planes": ("tailnum", "tailnum"), "airlines": ("carrier", "carrier"), "airports": ("faa", "dest")}
# A snowstorm, the day clocks go back, a July of thunderstorms, a quiet morning.
CUTOFFS = (
    datetime(2013, 3, 8, 15, 20, tzinfo=UTC),
    datetime(2013, 7, 10, 21, 5, tzinfo=UTC),
    datetime(2013, 9, 18, 12, 0, tzinfo=UTC),
    datetime(2013, 11, 3, 18, 59, tzinfo=UTC),
)
Engineer = Callable[[pl.LazyFrame, Tables], object]


class Held:
    """Frames in memory, read like the lake."""

    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def scan(self, table: str, /) -> pl.LazyFrame:
        return self._frames[table].lazy()


def dated(tables: Tables) -> dict[str, pl.DataFrame]:
    """The five tables in memory; a register's row is dated by the cutoff of the first flight that needs it."""
    frames = {f"raw.{name}": tables.scan(f"raw.{name}").collect() for name in NAMES}
    frames["raw.flights"] = as_frame(scheduled(tables), pl.DataFrame)
    flown = frames["raw.flights"].with_columns(JUDGED.alias(FIRST))
    for name, (key, column) in REGISTERED.items():
        first = flown.group_by(pl.col(column).alias(key)).agg(pl.col(FIRST).min())
        frames[f"raw.{name}"] = frames[f"raw.{name}"].join(first, on=key, how="left")
    return frames


def leaks(frames: Frames, build: Engineer = engineer, cutoffs: Iterable[datetime] = CUTOFFS) -> list[str]:
    """The features that change with what was known only after a cutoff."""
    return list(changes(frames, build, cutoffs))


def changes(
    frames: Frames, build: Engineer = engineer, cutoffs: Iterable[datetime] = CUTOFFS, seed: int = 0
) -> dict[str, list[str]]:
    """Each feature, of flights in the two hours up to each cutoff, that knew more: with what it changes."""

    def features(tables: Frames, cutoff: datetime) -> pl.DataFrame:
        held = Held(tables)
        near = JUDGED.is_between(cutoff - 2 * HOUR, cutoff, closed="right")
        rows = as_frame(flights(held, (cutoff - DAY).date(), (cutoff + 2 * DAY).date()), pl.LazyFrame).filter(near)
        return as_frame(build(rows, held), pl.DataFrame).sort(KEY).drop(TARGET)

    return leak_check(features, frames, cutoffs, _known(frames), seed=seed)


def _known(frames: Frames) -> dict[str, Known]:
    departure = dict.fromkeys(("dep_time", "dep_delay"), DEPARTED)
    arrival = dict.fromkeys(("arr_time", "arr_delay", "air_time"), ARRIVED)
    over = pl.col("time_hour") + HOUR
    measured = [name for name in frames["raw.weather"].columns if name not in ("origin", "time_hour")]
    known = {
        "raw.flights": Known(JUDGED, departure | arrival),
        "raw.weather": Known(over, dict.fromkeys(measured, over)),
    }
    for name, (key, _) in REGISTERED.items():
        columns = [column for column in frames[f"raw.{name}"].columns if column not in (key, FIRST)]
        known[f"raw.{name}"] = Known(pl.col(FIRST), dict.fromkeys(columns, pl.col(FIRST)), (key,))
    return known
