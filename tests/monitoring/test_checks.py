import numpy as np
import pytest

from werk.monitoring.columns import check_categories, check_numbers
from werk.monitoring.explanation import check_explanation, ndcg


def test_golden_attribution_drift() -> None:
    then, now = {"a": 0.70, "b": 0.50, "c": 0.05}, {"a": 0.10, "b": 0.20, "c": 0.70}
    assert ndcg(then, now) == pytest.approx(0.69, abs=0.005)
    assert check_explanation("July", then, now).verdict == "violation"
    assert check_explanation("July", then, then).verdict == "ok"
    assert check_explanation("July", then, {}).verdict == "cannot say"


def test_columns() -> None:
    x, p = np.array([0.0, 1.0, 2.0]), np.array([5.0, 5.0, 5.0])
    assert check_numbers("x", "July", x, p, p).verdict == "ok"
    assert check_numbers("x", "July", x, p, np.array([0.0, 0.0, 5.0])).verdict == "violation"
    assert check_numbers("x", "July", x, p, p * 0).verdict == "cannot say"
    assert check_numbers("x", "July", np.array([0.0, 1.0, np.inf]), p, p).verdict == "cannot say"
    assert check_categories("c", "July", {"AA": 9}, {"ZZ": 9}).verdict == "violation"
    assert check_categories("c", "July", {"AA": 9}, {}).verdict == "cannot say"
