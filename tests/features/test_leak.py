"""The checker keeps quiet about the past and names a column that reads the future, with what it noticed."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from werk.core.errors import InputError
from werk.features import Features, FeatureView, Window
from werk.features.leak import WAYS, Frames, Known, World, added, leak_check, moved, noise, removed, split

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
TIMES = [NOON + hours * HOUR for hours in range(-3, 4)]
EVENTS = pl.DataFrame({"k": ["a"] * 7, "planned": [time - 2 * HOUR for time in TIMES], "t": TIMES, "v": range(7)})
BY_ROW = {"e": Known(rows=pl.col("t"))}
BY_VALUE = {"e": Known(values={"v": pl.col("t")})}
REMOVED, NOISE, ADDED, MOVED = WAYS
LATER, PAST = pl.col("at") > NOON, pl.col("at") <= NOON

# Of four customers `a` and `b` come again, `a` on two days; `c` came once, `d` never. The order of day 1 arrives on day 3.
ORDERS = pl.DataFrame(
    {
        "customer": ["a", "b", "c", "a", "a", "b", "a"],
        "at": [NOON - 2 * DAY, NOON - DAY, NOON, NOON + DAY, NOON + DAY + HOUR, NOON + 2 * DAY, NOON + 3 * DAY],
        "paid": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0],
        "arrived": [NOON - DAY, NOON + 2 * DAY, None, NOON + 2 * DAY, None, NOON + 5 * DAY, None],
        "returned": [False, True, None, False, True, None, False],
    }
)
CUSTOMERS = pl.DataFrame({"customer": ["a", "b", "c", "d"]})
DECLARED = {
    "orders": Known(pl.col("at"), {name: pl.col("arrived") for name in ("arrived", "returned")}),
    "customers": Known(),
}
Feature = Callable[[pl.DataFrame], pl.DataFrame]


def per_customer(rows: pl.Expr, value: pl.Expr) -> Feature:
    return lambda orders: orders.filter(rows).group_by("customer").agg(value.alias("x"))


def everywhere(value: pl.Expr) -> Feature:
    return lambda orders: CUSTOMERS.join(orders.select(value.alias("x")), how="cross")


HONEST: dict[str, Feature] = {
    "orders so far": per_customer(PAST, pl.len()),
    "paid so far": per_customer(PAST, pl.col("paid").sum()),
    "newest day": per_customer(PAST, pl.col("at").max().dt.date()),
    "first of the file": per_customer(PAST, pl.col("paid").first()),
    "arrived": per_customer(pl.col("arrived") <= NOON, pl.len()),
    "returned": per_customer(pl.col("arrived") <= NOON, pl.col("returned").any()),
    "all orders so far": everywhere(PAST.sum()),
}
LEAKS: dict[str, Feature] = {
    "orders again": per_customer(LATER, pl.lit(True)),
    "orders again within a week": per_customer(LATER & (pl.col("at") <= NOON + 7 * DAY), pl.lit(True)),
    "day of the last later order": per_customer(LATER, pl.col("at").dt.date().max()),
    "distinct later days": per_customer(LATER, pl.col("at").dt.date().n_unique()),
    "last day at all": per_customer(pl.lit(True), pl.col("at").max().dt.date()),
    "distinct days at all": per_customer(pl.lit(True), pl.col("at").dt.date().n_unique()),
    "days from first to last": per_customer(pl.lit(True), (pl.col("at").max() - pl.col("at").min()).dt.total_days()),
    "paid next": per_customer(LATER, pl.col("paid").sort_by("at").first()),
    "has ever": per_customer(pl.col("paid") > 3, pl.lit(True)),
    "length of the table": everywhere(pl.len()),
    "end of the table": everywhere(pl.col("at").max().dt.truncate("1d")),
    "row number": lambda orders: orders.with_row_index("x").filter(PAST).select("customer", "x"),
    "share of all": lambda orders: orders.filter(PAST).group_by("customer").agg((pl.len() / orders.height).alias("x")),
    "a second too far": per_customer(pl.col("at") <= NOON + timedelta(seconds=1), pl.len()),
    "the whole hour": per_customer(pl.col("at").dt.truncate("1h") <= NOON, pl.len()),
    "the whole day": per_customer(pl.col("at").dt.date() <= NOON.date(), pl.len()),
    "will arrive": per_customer(PAST, pl.col("arrived").is_not_null().any()),
    "day of arrival": per_customer(PAST, pl.col("arrived").max().dt.date()),
    "arrives tomorrow": per_customer(PAST & (pl.col("arrived") < NOON + DAY), pl.lit(True)),
    "will be returned": per_customer(PAST, pl.col("returned").any()),
    "nothing said yet": per_customer(PAST, pl.col("returned").is_null().any()),
}


def found(feature: Feature, seed: int = 0) -> list[str]:
    def build(frames: Frames, _: datetime) -> pl.DataFrame:
        mine = feature(frames["orders"]).unique("customer", keep="first", maintain_order=True)
        return frames["customers"].join(mine, on="customer", how="left", maintain_order="left")

    frames = {"orders": ORDERS, "customers": CUSTOMERS}
    return leak_check(build, frames, [NOON], DECLARED, seed=seed).get("x", [])


@pytest.mark.parametrize("name", HONEST)
@pytest.mark.parametrize("seed", range(20))
def test_what_was_known_never_changes(name: str, seed: int) -> None:
    assert found(HONEST[name], seed) == []


@pytest.mark.parametrize("name", LEAKS)
@pytest.mark.parametrize("seed", range(5))
def test_a_leak_is_found_out(name: str, seed: int) -> None:
    assert found(LEAKS[name], seed) != []


def test_the_finding_says_what_the_feature_noticed() -> None:
    assert found(LEAKS["orders again"]) == [REMOVED, ADDED]
    assert found(LEAKS["day of the last later order"]) == [REMOVED, ADDED, MOVED]
    assert found(LEAKS["paid next"])[:2] == [REMOVED, NOISE]
    assert found(LEAKS["will be returned"]) == [REMOVED, NOISE]
    assert found(LEAKS["day of arrival"]) == [REMOVED, NOISE, MOVED]


class Held:
    def __init__(self, frames: Frames) -> None:
        self._frames = frames

    def scan(self, table: str, /) -> pl.LazyFrame:
        return self._frames[table].lazy()


def _leaks(event_time: str, known: dict[str, Known]) -> dict[str, list[str]]:
    view = FeatureView("e", "k", "e", event_time, (Window("s", "sum", 2 * HOUR, "v"),))

    def build(frames: Frames, cutoff: datetime) -> pl.DataFrame:
        return Features(Held(frames)).join(pl.LazyFrame({"k": ["a"], "cutoff": [cutoff]}), view).collect()

    return leak_check(build, {"e": EVENTS}, [NOON], known)


@pytest.mark.parametrize("known", [BY_ROW, BY_VALUE])
def test_a_window_on_the_known_time_leaks_nothing(known: dict[str, Known]) -> None:
    assert _leaks("t", known) == {}


@pytest.mark.parametrize("known", [BY_ROW, BY_VALUE])
def test_a_window_on_the_planned_time_is_found_out(known: dict[str, Known]) -> None:
    assert list(_leaks("planned", known)) == ["s"]


def test_rows_that_come_and_go_are_found_out() -> None:
    found = leak_check(lambda frames, _: frames["e"].select("k"), {"e": EVENTS}, [NOON], BY_ROW)
    assert found == {"(rows)": [REMOVED, ADDED]}


def test_a_table_that_is_not_declared_is_taken_as_known() -> None:
    frames = {"e": EVENTS, "other": EVENTS}
    assert leak_check(lambda given, _: given["other"].select("v"), frames, [NOON], BY_ROW) == {}


def _worlds(frame: pl.DataFrame, known: Known, seed: int = 0) -> list[World]:
    return [change(split(frame, known, NOON), np.random.default_rng(seed)) for change in (removed, noise, added, moved)]


def test_every_type_becomes_noise_and_the_past_stays() -> None:
    row = {"n": 1, "f": 1.5, "s": "x", "b": True, "d": NOON, "u": None}
    frame = pl.DataFrame([{**row, "t": time} for time in TIMES], schema_overrides={"u": pl.Float64})
    changed = noise(split(frame, Known(values={name: pl.col("t") for name in row}), NOON), np.random.default_rng()).table
    assert changed.head(4).equals(frame.head(4))
    for name in ("n", "f", "s", "b", "d"):
        assert not set(changed[name].tail(3).drop_nulls()) & set(frame[name])
    assert changed["u"].tail(3).null_count() < 3


@pytest.mark.parametrize("seed", range(5))
def test_later_rows_come_and_go_and_move_but_never_into_the_past(seed: int) -> None:
    past = pl.col("at") <= NOON
    for world in _worlds(ORDERS, DECLARED["orders"], seed):
        known = ["customer", "at", "paid"]
        assert world.table.filter(past).sort("at").select(known).equals(ORDERS.filter(past).select(known))
    gone, _, more, elsewhere = (world.later["at"].to_list() for world in _worlds(ORDERS, DECLARED["orders"], seed))
    assert not gone
    assert len(more) > 4
    assert len(elsewhere) == 4
    assert not set(elsewhere) & set(ORDERS["at"])


def test_rows_are_moved_by_hours_and_by_days() -> None:
    many = pl.DataFrame({"at": [NOON + HOUR] * 1000})
    later = moved(split(many, Known(pl.col("at")), NOON), np.random.default_rng(1)).later
    gap = (later["at"] - NOON).dt
    assert later["at"].n_unique() == 1000
    assert (gap.total_seconds() < 60).any()
    assert gap.total_hours().is_between(1, 12).any()
    assert (gap.total_days() > 7).any()
    assert gap.total_milliseconds().min() > 0


def test_customers_without_a_later_order_get_one() -> None:
    world = added(split(ORDERS, DECLARED["orders"], NOON), np.random.default_rng(1))
    assert set(world.later["customer"]) == {"a", "b", "c"}


def test_dates_move_with_their_row_and_rows_without_a_time_stay_without() -> None:
    frame = pl.DataFrame({"at": [NOON, NOON + DAY, None], "day": [NOON.date(), (NOON + DAY).date(), None], "n": [1, 2, 3]})
    for change in (added, moved):
        world = change(split(frame, Known(pl.col("at")), NOON), np.random.default_rng(2))
        rows = world.later.drop_nulls()
        assert (rows["day"] >= NOON.date()).all()
        assert (rows["day"] != (NOON + DAY).date()).any()
        assert world.later["at"].null_count() >= 1


def test_noise_never_makes_something_known_that_was_not() -> None:
    left = pl.col("t") + pl.duration(minutes=pl.col("delay"))
    frame = pl.DataFrame(
        {"t": [NOON - 100 * HOUR] * 6, "delay": [None, 5, None, 10, None, None]}, schema_overrides={"delay": pl.Int64}
    )
    for world in _worlds(frame, Known(values={"delay": left})):
        assert world.table.filter(left <= NOON)["delay"].sort().to_list() == [5, 10]
    assert _worlds(frame, Known(values={"delay": left}))[1].table["delay"].max() == 1_000_000


def test_a_seed_draws_the_same_again() -> None:
    one, same, other = (moved(split(ORDERS, DECLARED["orders"], NOON), np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert one.table.equals(same.table)
    assert not one.table.equals(other.table)


def test_a_check_that_would_prove_nothing_is_refused() -> None:
    with pytest.raises(InputError, match="nothing later to change"):
        leak_check(lambda frames, _: frames["e"], {"e": EVENTS}, [NOON + 9 * HOUR], BY_ROW)
    with pytest.raises(InputError, match="no row to build"):
        leak_check(lambda frames, _: frames["e"].clear(), {"e": EVENTS}, [NOON], BY_ROW)


def test_every_type_of_column_survives_every_change() -> None:
    times = pl.Series("t", TIMES)
    columns = {
        "t": times,
        "ms": times.dt.cast_time_unit("ms"),
        "naive": times.dt.replace_time_zone(None),
        "there": times.dt.convert_time_zone("America/New_York"),
        "day": times.dt.date(),
        "clock": times.dt.time(),
        "gap": times - NOON,
        "kind": times.dt.to_string().cast(pl.Categorical),
        "listed": times.reshape((-1, 1)).arr.to_list(),
        "tiny": pl.Series([1] * 7, dtype=pl.Int8),
        "price": pl.Series([1] * 7).cast(pl.Decimal(10, 2)),
        "empty": pl.Series([None] * 7),
    }
    frame = pl.DataFrame(columns)
    values = {name: pl.col("t") + HOUR for name in columns if name != "t"}
    for known in (Known(pl.col("t")), Known(pl.col("t"), values), Known(values=values), Known(pl.col("ms"))):
        for world in _worlds(frame, known):
            assert world.table.schema == frame.schema
            assert world.settled.equals(split(frame, known, NOON).settled)
            assert world.table.filter(pl.col("t") <= NOON).height == 4
