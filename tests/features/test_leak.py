"""The checker keeps quiet about the past and names a column that reads the future."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.features import Features, FeatureView, Window
from werk.features.leak import Frames, Known, change_later, leak_check

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
TIMES = [NOON + hours * HOUR for hours in range(-3, 4)]
EVENTS = pl.DataFrame({"k": ["a"] * 7, "planned": [time - 2 * HOUR for time in TIMES], "t": TIMES, "v": range(7)})
BY_ROW = {"e": Known(rows=pl.col("t"))}
BY_VALUE = {"e": Known(values={"v": pl.col("t")})}


class Held:
    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def scan(self, table: str, /) -> pl.LazyFrame:
        return self._frames[table].lazy()


def _leaks(event_time: str, known: dict[str, Known]) -> list[str]:
    view = FeatureView("e", "k", "e", event_time, (Window("s", "sum", 2 * HOUR, "v"),))

    def build(frames: Frames, cutoff: datetime) -> pl.DataFrame:
        return Features(Held(frames)).join(pl.LazyFrame({"k": ["a"], "cutoff": [cutoff]}), view).collect()

    return leak_check(build, {"e": EVENTS}, [NOON], known)


@pytest.mark.parametrize("known", [BY_ROW, BY_VALUE])
def test_a_window_on_the_known_time_leaks_nothing(known: dict[str, Known]) -> None:
    assert _leaks("t", known) == []


@pytest.mark.parametrize("known", [BY_ROW, BY_VALUE])
def test_a_window_on_the_planned_time_is_found_out(known: dict[str, Known]) -> None:
    assert _leaks("planned", known) == ["s"]


def test_rows_that_come_and_go_are_found_out() -> None:
    assert leak_check(lambda frames, _: frames["e"].select("k"), {"e": EVENTS}, [NOON], BY_ROW) == ["(rows)"]


def test_every_type_becomes_noise_and_the_past_stays() -> None:
    row = {"n": 1, "f": 1.5, "s": "x", "b": True, "d": NOON, "u": None}
    frame = pl.DataFrame([{**row, "t": time} for time in TIMES], schema_overrides={"u": pl.Float64})
    known = Known(values={name: pl.col("t") for name in row})
    changed = change_later(frame, known, NOON).sort("t")
    assert changed.head(4).equals(frame.head(4))
    for name in ("n", "f", "s", "b", "d"):
        assert not set(changed[name].tail(3).drop_nulls()) & set(frame[name])
    assert changed["u"].tail(3).null_count() < 3


def test_later_rows_come_and_go_but_never_into_the_past() -> None:
    changed = change_later(EVENTS, Known(rows=pl.col("t")), NOON)
    past = pl.col("t") <= NOON
    assert changed.filter(past).equals(EVENTS.filter(past))
    later, were = set(changed.filter(~past)["t"]), set(EVENTS.filter(~past)["t"])
    assert were - later
    assert later - were


def test_noise_never_makes_something_known_that_was_not() -> None:
    left = pl.col("t") + pl.duration(minutes=pl.col("delay"))
    frame = pl.DataFrame(
        {"t": [NOON - 100 * HOUR] * 6, "delay": [None, 5, None, 10, None, None]}, schema_overrides={"delay": pl.Int64}
    )
    changed = change_later(frame, Known(values={"delay": left}), NOON)
    assert changed.filter(left <= NOON)["delay"].sort().to_list() == [5, 10]
    assert changed["delay"].max() == 1_000_000


def test_a_check_that_would_prove_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nothing later to change"):
        leak_check(lambda frames, _: frames["e"], {"e": EVENTS}, [NOON + 9 * HOUR], BY_ROW)
    with pytest.raises(InputError, match="no row to build"):
        leak_check(lambda frames, _: frames["e"].clear(), {"e": EVENTS}, [NOON], BY_ROW)
