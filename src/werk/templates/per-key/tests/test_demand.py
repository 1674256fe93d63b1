"""No feature may know what was sold after its week began; a quiet week is a zero, and a new product is nobody's row yet."""

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from demand import FEATURES, KEY, TARGET, WEEK, engineer, weeks

from werk.features.leak import Known, leak_check

SALES = pl.read_parquet(Path(__file__).parents[1] / "data" / "sales.parquet")
FEW = SALES.filter(pl.col("product").is_in(SALES["product"].unique(maintain_order=True).gather_every(60).implode()))
MONDAY = datetime(2011, 3, 14, tzinfo=timezone.utc)


class Held:
    """Frames in memory, read like the lake."""

    def __init__(self, sales: pl.DataFrame) -> None:
        self.sales = sales

    def scan(self, table: str, /) -> pl.LazyFrame:
        assert table == "raw.sales"
        return self.sales.lazy()


def rows_of(sales: pl.DataFrame, monday: datetime) -> pl.DataFrame:
    return engineer(weeks(Held(sales), monday.date(), monday.date() + timedelta(days=1)), Held(sales))


def build(frames, cutoff: datetime) -> pl.DataFrame:
    return rows_of(frames["raw.sales"], cutoff).drop(TARGET)


def with_its_own_price(frames, cutoff: datetime) -> pl.DataFrame:
    own = frames["raw.sales"].select(*KEY, own_price=pl.col("pence"))
    return build(frames, cutoff).join(own, on=KEY, how="left", maintain_order="left")


@pytest.mark.parametrize(("features", "told"), [(build, []), (with_its_own_price, ["own_price"])], ids=["ours", "leaking"])
def test_no_feature_knows_what_came_after_its_cutoff(features, told):
    over = pl.col("week") + WEEK
    known = {"raw.sales": Known(over, {"units": over, "pence": over}, ("product",))}
    assert list(leak_check(features, {"raw.sales": FEW}, [MONDAY], known)) == told


def test_a_week_without_a_sale_is_zero_and_the_week_after_the_newest_is_not_known():
    until = FEW.filter(pl.col("week") < MONDAY)
    quiet = until.filter((pl.col("week") != MONDAY - WEEK) | (pl.col("product") != until["product"][0]))
    before = rows_of(quiet, MONDAY - WEEK).filter(pl.col("product") == quiet["product"][0])
    assert before[TARGET].to_list() == [0.0]
    assert rows_of(quiet, MONDAY)[TARGET].null_count() == len(rows_of(quiet, MONDAY)) > 20
    assert rows_of(quiet, MONDAY + WEEK).is_empty()


def test_a_product_is_forecast_from_the_week_after_its_first_sale():
    new = pl.DataFrame({"product": ["new"], "week": [MONDAY], "units": [5], "pence": [100]}, schema=FEW.schema)
    sales = pl.concat([FEW, new])
    assert "new" not in rows_of(sales, MONDAY)["product"]
    row = rows_of(sales, MONDAY + WEEK).filter(pl.col("product") == "new").row(0, named=True)
    assert row["sold_1w"] == row["sold_13w"] == row["sold_last"] > 0
    assert row["sold_year_ago"] == 0


def test_every_monday_of_the_months_asked_for_is_there():
    rows = weeks(Held(FEW), date(2010, 9, 1), date(2010, 11, 1))
    assert rows["week"].unique().sort().dt.strftime("%d.%m.").to_list()[:2] == ["06.09.", "13.09."]
    assert rows["week"].n_unique() == 8


def test_neither_outcome_nor_key_but_the_product_is_a_feature():
    assert not {TARGET, *KEY} & set(FEATURES)
