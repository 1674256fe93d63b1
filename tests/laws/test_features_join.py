"""The join against the obvious loop: whatever the events, their order and their future."""

from datetime import UTC, datetime, timedelta

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from werk.features import Features, FeatureView, Window

ZERO = datetime(2013, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
OVER, TTL, LAG = 10 * MINUTE, 15 * MINUTE, 3 * MINUTE
EVENT = {"k": pl.String, "t": pl.Datetime("us", "UTC"), "v": pl.Int64, "n": pl.Int64}
VIEW = FeatureView(
    "e",
    "k",
    "e",
    "t",
    (
        "v",
        Window("count", "count", OVER),
        Window("sum", "sum", OVER, "v"),
        Window("mean", "mean", OVER, "v"),
        Window("ever", "sum", None, "v"),
    ),
    ttl=TTL,
    tie_breaker="n",
    known_after=LAG,
)
NAMES = VIEW.names

keys = st.sampled_from(["a", "b", None])
times = st.one_of(st.none(), st.integers(0, 60).map(lambda minutes: ZERO + minutes * MINUTE))
values = st.one_of(st.none(), st.integers(-5, 5))
events = st.lists(st.tuples(keys, times, values), max_size=25).map(lambda rows: [(*row, at) for at, row in enumerate(rows)])
spines = st.lists(st.tuples(keys, times), max_size=12)
Event = tuple[str | None, datetime | None, int | None, int]
Spine = list[tuple[str | None, datetime | None]]


class Held(dict[str, pl.LazyFrame]):
    def scan(self, table: str, /) -> pl.LazyFrame:
        return self[table]


def _join(spine: Spine, rows: list[Event]) -> pl.DataFrame:
    cutoffs = pl.LazyFrame(spine, schema={"k": EVENT["k"], "cutoff": EVENT["t"]}, orient="row")
    return Features(Held(e=pl.LazyFrame(rows, schema=EVENT, orient="row"))).join(cutoffs, VIEW).collect()


def _obvious(key: str | None, cutoff: datetime | None, rows: list[Event]) -> tuple[object, ...]:
    known = [
        (t + LAG, n, v)
        for k, t, v, n in rows
        if t is not None and cutoff is not None and k == key is not None and t + LAG <= cutoff
    ]
    since = [v for t, _, v in known if cutoff is not None and t > cutoff - OVER]
    counted = [v for v in since if v is not None]
    newest = max(known, default=None, key=lambda row: row[:2])
    fresh = newest is not None and cutoff is not None and cutoff - newest[0] < TTL
    mean = sum(counted) / len(counted) if counted else None
    return (newest[2] if newest and fresh else None, len(since), sum(counted), mean, sum(v or 0 for _, _, v in known))


@settings(deadline=None, max_examples=60)
@given(spines, events)
def test_the_join_is_the_obvious_loop(spine: Spine, rows: list[Event]) -> None:
    assert _join(spine, rows).select(NAMES).rows() == [_obvious(key, cutoff, rows) for key, cutoff in spine]


@settings(deadline=None, max_examples=40)
@given(spines, events, events)
def test_what_becomes_known_later_never_matters(spine: Spine, rows: list[Event], others: list[Event]) -> None:
    last = max((cutoff for _, cutoff in spine if cutoff is not None), default=ZERO)
    later = [(k, last + MINUTE + (t - ZERO), v, n + 100) for k, t, v, n in others if t is not None]
    assert _join(spine, rows).equals(_join(spine, [*later, *rows]))


@settings(deadline=None, max_examples=40)
@given(spines, events, st.randoms(use_true_random=False), st.integers(0, 12))
def test_neither_order_nor_chunks_matter(spine: Spine, rows: list[Event], random: object, cut: int) -> None:
    shuffled = sorted(rows, key=lambda row: hash((random.random(), row[3])))  # type: ignore[attr-defined]
    whole = _join(spine, rows)
    assert whole.equals(_join(spine, shuffled))
    assert whole.equals(pl.concat([_join(spine[:cut], rows), _join(spine[cut:], rows)]))


@settings(deadline=None, max_examples=40)
@given(spines, events)
def test_as_many_rows_come_out_as_go_in_and_in_their_order(spine: Spine, rows: list[Event]) -> None:
    assert _join(spine, rows).select("k", "cutoff").rows() == spine
