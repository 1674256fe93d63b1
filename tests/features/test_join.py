"""What was known at the cutoff, its boundaries and its refusals."""

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.features import Features, FeatureView, Window

NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Held(dict[str, pl.LazyFrame]):
    def scan(self, table: str, /) -> pl.LazyFrame:
        return self[table]


def _events(*rows: tuple[str, datetime, int]) -> Features:
    return Features(Held(e=pl.DataFrame(rows, schema=["k", "t", "v"], orient="row").lazy()))


def _spine(*keys: str) -> pl.LazyFrame:
    return pl.LazyFrame({"k": keys, "cutoff": [NOON] * len(keys)})


def test_a_window_holds_its_end_but_not_its_start_and_nothing_later() -> None:
    features = _events(("a", NOON - HOUR, 1), ("a", NOON, 10), ("a", NOON, 20), ("a", NOON + HOUR, 100))
    view = FeatureView("e", "k", "e", "t", (Window("s", "sum", HOUR, "v"), Window("m", "mean", HOUR, "v")))
    found = features.join(_spine("b", "a", "b", "a"), view).collect()
    assert found.select("k", "s", "m").rows() == [("b", 0, None), ("a", 30, 15.0), ("b", 0, None), ("a", 30, 15.0)]


def test_a_value_as_old_as_its_ttl_is_null() -> None:
    features = _events(("a", NOON - HOUR, 1), ("b", NOON - HOUR / 2, 2), ("b", NOON + HOUR, 3))
    found = features.join(_spine("b", "a"), FeatureView("e", "k", "e", "t", ("v",), ttl=HOUR)).collect()
    assert found["v"].to_list() == [2, None]


def test_a_tie_is_refused_unless_a_column_breaks_it() -> None:
    features = _events(("a", NOON, 1), ("a", NOON, 2))
    with pytest.raises(InputError, match="several rows"):
        features.join(_spine("a"), FeatureView("e", "k", "e", "t", ("v",)))
    broken = features.join(_spine("a"), FeatureView("e", "k", "e", "t", ("v",), tie_breaker="v")).collect()
    assert broken["v"].to_list() == [2]


def test_a_misspelt_column_is_named() -> None:
    with pytest.raises(InputError, match="There is no column"):
        _events(("a", NOON, 1)).join(_spine("a"), FeatureView("e", "k", "e", "t", ("vv",)))
