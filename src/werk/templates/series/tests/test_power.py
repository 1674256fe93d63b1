"""No feature may know what was measured after its hour began, and gaps of the meter are gaps of the features."""

from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from power import FEATURES, HOUR, KEY, TARGET, engineer, hours

from werk.features.leak import Known, leak_check

READINGS = pl.read_parquet(Path(__file__).parents[1] / "data" / "power.parquet")
CUTOFFS = [datetime(2009, 3, 29, 1, tzinfo=timezone.utc), datetime(2009, 7, 15, 20, tzinfo=timezone.utc)]


class Held:
    """Frames in memory, read like the lake."""

    def __init__(self, readings: pl.DataFrame) -> None:
        self.readings = readings

    def scan(self, table: str, /) -> pl.LazyFrame:
        assert table == "raw.power"
        return self.readings.lazy()


def build(frames, cutoff: datetime) -> pl.DataFrame:
    held = Held(frames["raw.power"])
    rows = hours(held, (cutoff - timedelta(days=1)).date(), (cutoff + timedelta(days=1)).date())
    return engineer(rows.filter(pl.col("cutoff") <= cutoff), held).drop(TARGET)


def with_its_own_hour(frames, cutoff: datetime) -> pl.DataFrame:
    own = frames["raw.power"].select(*KEY, own_volts=pl.col("volts"))
    return build(frames, cutoff).join(own, on=KEY, how="left", maintain_order="left")


@pytest.mark.parametrize(("features", "told"), [(build, []), (with_its_own_hour, ["own_volts"])], ids=["ours", "leaking"])
def test_no_feature_knows_what_came_after_its_cutoff(features, told):
    near = READINGS.filter(pl.col("hour").is_between(CUTOFFS[0] - timedelta(days=20), CUTOFFS[-1] + timedelta(days=3)))
    over = pl.col("hour") + HOUR
    measured = [name for name in READINGS.columns if name not in KEY]
    known = {"raw.power": Known(over, dict.fromkeys(measured, over))}
    assert list(leak_check(features, {"raw.power": near}, CUTOFFS, known)) == told


def test_the_hour_after_the_last_reading_is_forecast_and_nothing_later():
    until = READINGS.filter(pl.col("hour") < CUTOFFS[1])
    rows = engineer(hours(Held(until), date(2009, 7, 1), date(2009, 8, 1)), Held(until))
    assert rows["hour"].max() == CUTOFFS[1]
    assert rows.filter(pl.col(TARGET).is_null())["hour"].to_list() == [CUTOFFS[1]]
    assert rows.row(-1, named=True)["last_watts"] == until.row(-1, named=True)[TARGET]


def test_a_gap_of_the_meter_is_null_and_no_older_reading_stands_in():
    at = CUTOFFS[1]
    gone = READINGS.filter(~pl.col("hour").is_between(at - timedelta(hours=24), at - HOUR))
    row = engineer(hours(Held(gone), at.date(), at.date() + timedelta(days=1)), Held(gone)).filter(pl.col("hour") == at)
    assert row.select("last_watts", "mean_3h", "day_ago").row(0) == (None, None, None)
    assert row["week_ago"].item() is not None


def test_neither_outcome_nor_key_is_a_feature():
    assert not {TARGET, *KEY} & set(FEATURES)
