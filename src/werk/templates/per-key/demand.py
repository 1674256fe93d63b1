"""What is known of a product on the Monday on which the week's demand is forecast.

All is read as it was known then: a week's sales once the week is over. A week without a sale is a week of zero units.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import polars as pl

from werk.features import Features, FeatureView, Tables, Window

KEY = ("product", "week")
PER = "product"
TARGET = "demand"
WEEK = timedelta(weeks=1)

SOLD = {f"sold_{weeks}w": weeks for weeks in (1, 2, 4, 13)}
LATEST = ("price", "sold_last", "weeks_since")
FEATURES = (*SOLD, "sold_year_ago", *LATEST, "before_christmas")

VIEWS = (
    FeatureView(
        "sales",
        PER,
        "sales",
        "week",
        ("pence", "last", "last_week", *(Window(name, "sum", weeks * WEEK, "sold") for name, weeks in SOLD.items())),
        known_after=WEEK,
    ),
    FeatureView("year_ago", PER, "sales", "week", (Window("sold_year_ago", "sum", WEEK, "sold"),), known_after=52 * WEEK),
)


class Sales:
    """The weeks with sales, under the names that the views read."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables

    def scan(self, table: str, /) -> pl.LazyFrame:
        week, units = pl.col("week"), pl.col("units")
        return self._tables.scan(f"raw.{table}").select(*KEY, "pence", sold=units, last=units, last_week=week)


def weeks(tables: Tables, start: date, end: date) -> pl.DataFrame:
    """Every Monday from `start` up to, not including, `end`, of every product sold before: with cutoff and target.

    The week after the newest one in the table is the last: that is the forecast nobody can check yet.
    """
    sales = tables.scan("raw.sales").select(*KEY, "units").collect()
    if sales.is_empty():
        return sales.with_columns(cutoff=pl.col("week"), demand=pl.lit(None, pl.Float64)).drop("units")
    newest = sales["week"].max()
    known = sales.group_by(PER).agg(known=pl.col("week").min() + WEEK)
    spine = known.join(_mondays(start, end, newest + WEEK), how="cross").filter(pl.col("week") >= pl.col("known")).sort(KEY)
    joined = spine.join(sales, on=KEY, how="left", maintain_order="left")
    units = pl.when(pl.col("week") <= newest).then(pl.col("units").fill_null(0))
    # The logarithm of units and one: a week of 3 and a week of 3,000 weigh alike.
    return joined.select(*KEY, cutoff=pl.col("week"), demand=units.log1p())


def _mondays(start: date, end: date, last: datetime) -> pl.DataFrame:
    first, after = (datetime(day.year, day.month, day.day, tzinfo=timezone.utc) for day in (start, end))
    first += timedelta(days=-first.weekday() % 7)
    return pl.DataFrame({"week": pl.datetime_range(first, min(after - timedelta(days=1), last), WEEK, time_unit="us", eager=True)})


def engineer(rows: pl.DataFrame, source: Features | Tables) -> pl.DataFrame:
    """`KEY`, cutoff, target and `FEATURES` of each row: the same for one product's week and for two years of all."""
    tables = source.tables if isinstance(source, Features) else source
    joined = Features(Sales(tables)).join(rows, *VIEWS)
    counts = [pl.col(name).log1p() for name in (*SOLD, "sold_year_ago")]
    since = (pl.col("cutoff") - pl.col("last_week")).dt.total_days() / 7
    latest = {"price": pl.col("pence").log1p(), "sold_last": pl.col("last").log1p(), "weeks_since": since.log1p()}
    christmas = {"before_christmas": pl.col("cutoff").dt.ordinal_day().is_between(270, 345)}
    return joined.with_columns(*counts, **latest, **christmas).select(*KEY, "cutoff", TARGET, *FEATURES).collect()
