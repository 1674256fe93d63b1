import numpy as np
import polars as pl
import pytest

from werk.monitoring import MonitorVerdict, baseline, bias, check

GROUP = np.array(list("MFFMFMFFMMFF"))
LABEL = np.array([0, 1, 1, 1, 1, 0, 0, 0, 1, 0, 0, 0], dtype=bool)
PREDICTED = np.array([1, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 0], dtype=bool)


def test_golden_values_of_the_reference_implementation() -> None:
    female = GROUP == "F"
    assert bias.di(female, PREDICTED) == pytest.approx(10 / 7)
    assert bias.di(~female, PREDICTED) == pytest.approx(7 / 10)
    assert bias.rd(female, LABEL, PREDICTED) == pytest.approx(-2 / 3)
    assert bias.ad(female, LABEL, PREDICTED) == pytest.approx(-13 / 35)
    assert bias.ad(~female, LABEL, PREDICTED) == pytest.approx(13 / 35)


def test_golden_difference_in_proportions_of_labels() -> None:
    group, label = np.array(list("aabb")), np.array([1, 1, 0, 1], dtype=bool)
    assert bias.dpl(group == "a", label) == -0.5
    assert bias.dpl(group == "b", label) == 0.5


def test_nothing_to_divide_by_is_none_and_no_number() -> None:
    one = bias.by_group(np.array(["a", "a"]), np.array([True, False]), np.array([True, False]))["a"]
    assert (one.DPL, one.DI, one.AD, one.RD) == (None, None, None, None)
    assert bias.di(GROUP == "F", np.zeros(12, dtype=bool)) is None
    assert bias.by_group(np.array([], dtype=str), np.array([], dtype=bool), np.array([], dtype=bool)) == {}


def stormy(days: int, seed: int, missed: float = 0.0) -> tuple[pl.DataFrame, np.ndarray, np.ndarray, pl.Series]:
    """Two airlines at two places: a storm at one of them makes a whole day of one airline late. `missed` of UA's go unseen."""
    rng = np.random.default_rng(seed)
    day = np.repeat(np.arange(days), 120)
    airline = rng.choice(["AA", "UA"], len(day))
    storm = rng.random((days, 2))[day, (airline == "UA").astype(int)] < 0.25
    label = (rng.random(len(day)) < np.where(storm, 0.6, 0.08)).astype(float)
    scores = np.where(storm & (rng.random(len(day)) > missed * (airline == "UA")), 0.6, 0.08)
    return pl.DataFrame({"carrier": airline}), scores, label, pl.Series(day)


def said_of(then: int, now: int, *, by_day: bool = True, missed: float = 0.0) -> MonitorVerdict:
    frame, scores, labels, days = stormy(45, then)
    made = baseline(
        features=frame,
        columns=["carrier"],
        scores=scores,
        labels=labels,
        groups=frame["carrier"],
        importance={},
        decision=0.5,
        blocks=days if by_day else None,
    )
    frame, scores, labels, days = stormy(30, now, missed)
    given = {"features": frame, "scores": scores, "labels": labels, "groups": frame["carrier"]}
    return check(made, "July", **given, blocks=days if by_day else None)[4]  # type: ignore[arg-type]


def test_one_airlines_storms_are_no_bias_though_rows_taken_alone_would_say_so() -> None:
    by_day, by_row = ([said_of(at, 1000 + at, by_day=way).verdict for at in range(60)] for way in (True, False))
    assert by_day.count("violation") <= 4
    assert by_row.count("violation") >= 20


def test_a_group_whose_late_flights_go_unseen_is_found_in_spite_of_the_storms() -> None:
    found = [said_of(at, 1000 + at, missed=0.9) for at in range(10)]
    assert [one.verdict for one in found].count("violation") >= 9
    assert "UA (outcomes found" in found[0].sentence


def test_few_days_say_nothing_about_a_group() -> None:
    frame, scores, labels, days = stormy(45, 1)
    made = baseline(
        features=frame, columns=["carrier"], scores=scores, labels=labels, groups=frame["carrier"], importance={}, blocks=days
    )
    kept = days < 6
    part = {"features": frame.filter(kept), "scores": scores[kept.to_numpy()], "labels": labels[kept.to_numpy()]}
    said = check(made, "July", **part, groups=frame.filter(kept)["carrier"], blocks=days.filter(kept))[4]  # type: ignore[arg-type]
    assert (said.verdict, "6 days" in said.sentence) == ("cannot say", True)


def test_errors_do_not_move_with_the_order_of_rows() -> None:
    frame, scores, labels, days = stormy(45, 3)
    mixed = np.random.default_rng(9).permutation(len(days))
    ways = [(slice(None), "as they came"), (mixed, "mixed")]
    first, second = (
        bias.by_group(frame["carrier"].to_numpy().astype(str)[at], labels[at] == 1, scores[at] > 0.5, days.to_numpy()[at])
        for at, _ in ways
    )
    assert first == second
