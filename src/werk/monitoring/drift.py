"""How far a window's values lie from training's, by effect size and never by p-value."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FLOOR = 1e-4


def js_distance(p: Floats, q: Floats) -> float:
    """Jensen-Shannon distance (natural log) of two count vectors over the same cells."""
    p, q = p / p.sum(), q / q.sum()
    middle = (p + q) / 2
    return float(np.sqrt(max(0.0, (_kl(p, middle) + _kl(q, middle)) / 2)))


def psi(p: Floats, q: Floats) -> float:
    """Population stability index; an empty cell counts as `FLOOR`."""
    p, q = np.maximum(p / p.sum(), FLOOR), np.maximum(q / q.sum(), FLOOR)
    return float(((q - p) * np.log(q / p)).sum())


def ks(values: Floats, p: Floats, q: Floats) -> float:
    """Largest gap between the two cumulative shares; cells are sorted by value."""
    return float(np.abs(_cumulative(values, p) - _cumulative(values, q)).max())


def w1(values: Floats, p: Floats, q: Floats) -> float:
    """Earth mover's distance, in the column's unit."""
    gap = np.abs(_cumulative(values, p) - _cumulative(values, q))[:-1]
    return float((gap * np.diff(np.sort(values))).sum())


def tvd(p: Floats, q: Floats) -> float:
    return float(np.abs(p / p.sum() - q / q.sum()).sum() / 2)


def l_inf(p: Floats, q: Floats) -> float:
    return float(np.abs(p / p.sum() - q / q.sum()).max())


def align(p: Mapping[str, float], q: Mapping[str, float]) -> tuple[Floats, Floats]:
    """Two category counts over the union of their categories."""
    names = sorted(p.keys() | q.keys())
    return np.array([p.get(n, 0.0) for n in names]), np.array([q.get(n, 0.0) for n in names])


def _kl(p: Floats, q: Floats) -> float:
    seen = p > 0
    return float((p[seen] * np.log(p[seen] / q[seen])).sum())


def _cumulative(values: Floats, counts: Floats) -> Floats:
    return np.asarray(np.cumsum(counts[np.argsort(values)] / counts.sum()), dtype=np.float64)
