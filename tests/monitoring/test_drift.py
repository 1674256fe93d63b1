import numpy as np
import pytest

from werk.monitoring import drift

stats = pytest.importorskip("scipy.stats")
distance = pytest.importorskip("scipy.spatial.distance")
VALUES = np.array([5.0, 1.0, 2.0, 9.0])
P, Q = np.array([3.0, 4.0, 0.0, 2.0]), np.array([1.0, 2.0, 6.0, 5.0])


def test_agrees_with_scipy() -> None:
    a, b = np.repeat(VALUES, P.astype(int)), np.repeat(VALUES, Q.astype(int))
    assert drift.ks(VALUES, P, Q) == pytest.approx(stats.ks_2samp(a, b).statistic, abs=1e-12)
    assert drift.w1(VALUES, P, Q) == pytest.approx(stats.wasserstein_distance(VALUES, VALUES, P, Q), abs=1e-12)
    assert drift.js_distance(P, Q) == pytest.approx(distance.jensenshannon(P, Q), abs=1e-12)


def test_a_new_category_is_seen() -> None:
    p, q = drift.align({"AA": 10}, {"AA": 5, "ZZ": 5})
    assert drift.tvd(p, q) == drift.l_inf(p, q) == 0.5
    assert drift.psi(p, q) > 0.2
