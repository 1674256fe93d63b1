"""How well scores rank outcomes, with the interval that chance alone would explain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import asin, inf, sqrt

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import JSON

Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval."""

    value: float
    low: float
    high: float

    def to_json(self) -> dict[str, JSON]:
        return dict(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Interval:
        return cls(*(float(str(data[name])) for name in ("value", "low", "high")))


def auc(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> Interval | None:
    """Area under the ROC curve with DeLong's interval (1988; ranks as Sun and Xu 2014); None with one class only."""
    from scipy.stats import rankdata

    late, fine = scores[labels == 1], scores[labels == 0]
    if not len(late) or not len(fine):
        return None
    ranks = rankdata(np.concatenate([late, fine]))
    above = (ranks[: len(late)] - rankdata(late)) / len(fine)
    below = 1 - (ranks[len(late) :] - rankdata(fine)) / len(late)
    value = float(above.mean())
    return _around(value, _variance(above) + _variance(below))


def brier(scores: NDArray[np.float64], labels: NDArray[np.float64]) -> Interval | None:
    """Mean squared distance of a probability from what came true: 0 is perfect."""
    if not len(scores):
        return None
    missed = (scores - labels) ** 2
    return _around(float(missed.mean()), _variance(missed))


def errors(missed: NDArray[np.float64]) -> dict[str, Interval | None]:
    """Of a regression: the mean error, and the root of the mean squared one, which large errors weigh more in."""
    if not len(missed):
        return {"mae": None, "rmse": None}
    squared = _around(float((missed**2).mean()), _variance(missed**2), inf)
    return {"mae": _around(float(missed.mean()), _variance(missed), inf), "rmse": Interval(*map(sqrt, asdict(squared).values()))}


def hits(missed: NDArray[np.float64]) -> dict[str, Interval | None]:
    """Of a multiclass model: the share of right answers."""
    return {"accuracy": _around(float(1 - missed.mean()), _variance(missed)) if len(missed) else None}


def cohens_h(p: float, q: float) -> float:
    """Distance of two shares on the scale where every shift is equally easy to see (Cohen 1988)."""
    return 2 * asin(sqrt(q)) - 2 * asin(sqrt(p))


def _variance(parts: NDArray[np.float64]) -> float:
    """Of the parts' mean. One part has no spread to estimate from: the widest there can be is taken."""
    return float(parts.var(ddof=1)) / len(parts) if len(parts) > 1 else 0.25


def _around(value: float, variance: float, most: float = 1.0) -> Interval:
    wide = Z95 * sqrt(variance)
    return Interval(value, max(0.0, value - wide), min(most, value + wide))
