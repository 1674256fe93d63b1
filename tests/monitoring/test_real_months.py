"""July to December 2013 against January to June, judged with a model of one line: the late share by hour and airport."""

from importlib.resources import files

import numpy as np
import polars as pl
import pytest

from werk.monitoring import MonitorVerdict, Policy, baseline, check

COLUMNS = ("hour", "distance", "origin", "carrier")
IMPORTANCE = {"hour": 0.7, "origin": 0.2, "carrier": 0.05, "distance": 0.05}


@pytest.fixture(scope="module")
def months() -> dict[int, list[MonitorVerdict]]:
    path = str(files("werk") / "templates/flights/data/flights.parquet")
    late = (pl.col("arr_delay") >= 30).cast(pl.Float64).alias("late")
    flights = pl.read_parquet(path, columns=["month", "arr_delay", *COLUMNS]).with_columns(late)
    first = flights.filter(pl.col("month") <= 6)
    shares = first.group_by("hour", "origin").agg(pl.col("late").mean().alias("score"))
    scored = flights.join(shares, on=["hour", "origin"], how="left", maintain_order="left")
    scored = scored.with_columns(pl.col("score").fill_null(0.1))  # hours at which nothing had left before July

    def given(frame: pl.DataFrame) -> dict[str, object]:
        columns = {"features": frame.select(COLUMNS), "scores": frame["score"].to_numpy(), "labels": frame["late"].to_numpy()}
        return {**columns, "groups": frame["carrier"]}

    was = given(scored.filter(pl.col("month") <= 6))
    base = baseline(**was, columns=COLUMNS, importance=IMPORTANCE, outcome="late", things="flights")  # type: ignore[arg-type]
    later = {month: scored.filter(pl.col("month") == month) for month in range(7, 13)}
    return {month: check(base, f"2013-{month:02}", **given(frame), importance=IMPORTANCE) for month, frame in later.items()}  # type: ignore[arg-type]


def test_the_swing_of_the_late_share_is_told(months: dict[int, list[MonitorVerdict]]) -> None:
    july, september = months[7][3].sentence, months[9][3].sentence
    assert "23.8 % of the flights were late (22.9 % of all, as 1,132 have no outcome), 17.2 % at acceptance" in july
    assert "8.8 % of the flights were late (8.6 % of all, as 564 have no outcome), 17.2 % at acceptance: a shift" in september


def test_september_is_the_first_month_that_starts_a_retraining(months: dict[int, list[MonitorVerdict]]) -> None:
    starts = {month: [v.monitor for v in said if Policy().retrains(v)] for month, said in months.items()}
    assert (starts[7], starts[8], starts[9]) == ([], [], ["model quality"])


def test_the_timetable_itself_did_not_drift(months: dict[int, list[MonitorVerdict]]) -> None:
    assert {said[1].verdict for said in months.values()} == {"ok"}
    assert all(np.isfinite(list(said[1].values["psi"].values())).all() for said in months.values())  # type: ignore[union-attr]
