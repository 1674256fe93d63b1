"""Metrics that are no mean over rows, with what each row adds to them: their intervals, and those of paired differences.

A row's pull is its part of the first-order change of the metric (the delta method; for AUC that is DeLong's, 1988), so the
variance of the metric is the sum of the pulls squared, and that of a difference on the same rows the sum of theirs squared.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, sqrt

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import JSON

Floats = NDArray[np.float64]
_Z95 = 1.959963984540054


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its 95 % interval; None where the rows cannot tell."""

    value: float | None
    low: float | None = None
    high: float | None = None

    def to_json(self) -> dict[str, JSON]:
        return {"value": self.value, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True)
class Estimate:
    """`value` is None where the rows cannot tell it; `least` and `most` are the ends of what it can be."""

    value: float | None
    pulls: Floats
    least: float = -inf
    most: float = inf

    def interval(self) -> Interval:
        if self.value is None:
            return Interval(None)
        wide = _Z95 * sqrt(float((self.pulls**2).sum()))
        return Interval(self.value, max(self.least, self.value - wide), min(self.most, self.value + wide))

    def minus(self, other: Estimate) -> Interval:
        if self.value is None or other.value is None:
            return Interval(None)
        return Estimate(self.value - other.value, self.pulls - other.pulls).interval()


def estimates(task: str, scores: Floats, labels: Floats) -> dict[str, Estimate]:
    """Of a regression `rmse` and `r2`, of a multiclass model `macro_f1` and `auc`."""
    if task == "regression":
        return {"rmse": rmse(scores, labels), "r2": r2(scores, labels)}
    if task == "multiclass":
        return {"macro_f1": macro_f1(scores, labels), "auc": macro_auc(scores, labels)}
    return {}


def rmse(scores: Floats, labels: Floats) -> Estimate:
    """Root of the mean squared error."""
    if not len(labels):
        return _untold(labels)
    squared = (scores - labels) ** 2
    value = sqrt(float(squared.mean()))
    return Estimate(value, (squared - squared.mean()) / (2 * value * len(labels)) if value else np.zeros(len(labels)), 0.0)


def r2(scores: Floats, labels: Floats) -> Estimate:
    """The share of the outcomes' variance that is explained; a constant outcome has none to explain."""
    around = (labels - labels.mean()) ** 2 if len(labels) else labels
    whole = float(around.sum())
    if not whole:
        return _untold(labels)
    missed = (scores - labels) ** 2
    left = float(missed.sum()) / whole
    return Estimate(1 - left, (left * around - missed) / whole, most=1.0)


def macro_f1(scores: Floats, labels: Floats) -> Estimate:
    """The mean of the classes' F1, over those that came true or were said."""
    said, parts = scores.argmax(axis=1) if len(labels) else labels, list[Estimate]()
    for one in np.union1d(labels, said):
        parts.append(f1(said == one, labels == one))
    return _mean(parts, labels)


def macro_auc(scores: Floats, labels: Floats) -> Estimate:
    """The mean of the classes' AUC, each against all the others, over those that have rows on both sides."""
    found = [class_auc(scores[:, at], labels == at) for at in range(scores.shape[1])]
    return _mean([one for one in found if one.value is not None], labels)


def f1(said: NDArray[np.bool_], true: NDArray[np.bool_]) -> Estimate:
    """Of one class: twice the hits over all that was said and all that came true."""
    both, hits = said.astype(np.float64) + true, (said & true).astype(np.float64)
    whole = float(both.sum())
    if not whole:
        return _untold(both)
    value = 2 * float(hits.sum()) / whole
    return Estimate(value, (2 * hits - value * both) / whole, 0.0, 1.0)


def class_auc(scores: Floats, true: NDArray[np.bool_]) -> Estimate:
    """Area under the ROC curve of one class against all the others."""
    from scipy.stats import rankdata

    high, low, pulls = scores[true], scores[~true], np.zeros(len(true))
    if not len(high) or not len(low):
        return _untold(pulls)
    ranks = rankdata(np.concatenate([high, low]))
    above, below = (ranks[: len(high)] - rankdata(high)) / len(low), 1 - (ranks[len(high) :] - rankdata(low)) / len(high)
    value = float(above.mean())
    pulls[true], pulls[~true] = (above - value) / len(high), (below - value) / len(low)
    return Estimate(value, pulls, 0.0, 1.0)


def share(hits: NDArray[np.bool_], among: NDArray[np.bool_]) -> Estimate:
    """How many of some rows are hits; None of none."""
    whole = int(among.sum())
    if not whole:
        return _untold(np.zeros(len(hits)))
    value = float((hits & among).sum()) / whole
    return Estimate(value, np.where(among, hits - value, 0.0) / whole, 0.0, 1.0)


def of_class(scores: Floats, labels: Floats, at: int) -> dict[str, Interval]:
    """How well one class is told from all the others."""
    said, true = scores.argmax(axis=1) == at, labels == at
    found = {"precision": share(true, said), "recall": share(said, true), "f1": f1(said, true)}
    return {name: one.interval() for name, one in {**found, "auc": class_auc(scores[:, at], true)}.items()}


def residuals(scores: Floats, labels: Floats, bins: int = 10) -> list[dict[str, JSON]]:
    """Per tenth of the rows by what was predicted: how many, what was said and what came true on average."""
    order, out = np.argsort(scores, kind="stable"), list[dict[str, JSON]]()
    for here in np.array_split(order, min(bins, len(order))) if len(order) else ():
        said, true = float(scores[here].mean()), float(labels[here].mean())
        ends = {"low": float(scores[here].min()), "high": float(scores[here].max())}
        out.append({**ends, "n": len(here), "mean": said, "rate": true, "residual": true - said})
    return out


def _mean(parts: list[Estimate], labels: Floats) -> Estimate:
    known = [one.value for one in parts if one.value is not None]
    if not known:
        return _untold(labels)
    return Estimate(sum(known) / len(known), np.sum([one.pulls for one in parts], axis=0) / len(parts), 0.0, 1.0)


def _untold(rows: Floats) -> Estimate:
    return Estimate(None, np.zeros(len(rows)))
