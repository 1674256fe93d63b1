import numpy as np
import pytest

from werk.monitoring import bias

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
