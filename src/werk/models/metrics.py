"""How good predictions are, each number with the 95 % interval that chance alone would explain."""

from __future__ import annotations

from math import sqrt

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.models.estimates import Interval as Interval
from werk.models.estimates import estimates

Floats = NDArray[np.float64]
_Z95 = 1.959963984540054
_LEAST = 1e-15  # a probability of exactly 0 or 1 would make one row's log loss infinite


def auc(scores: Floats, labels: Floats) -> Interval:
    """Area under the ROC curve with DeLong's interval (1988; ranks as Sun and Xu 2014). One class only: value None."""
    parts = _placements(scores, labels)
    if parts is None:
        return Interval(None)
    above, below = parts
    return _around(float(above.mean()), _mean_variance(above) + _mean_variance(below), 0.0, 1.0)


def auc_difference(ours: Floats, theirs: Floats, labels: Floats) -> Interval:
    """AUC of `ours` minus AUC of `theirs` on the same rows: the paired DeLong test's interval."""
    first, second = _placements(ours, labels), _placements(theirs, labels)
    if first is None or second is None:
        return Interval(None)
    above, below = first[0] - second[0], first[1] - second[1]
    return _around(float(above.mean()), _mean_variance(above) + _mean_variance(below), -1.0, 1.0)


def mean(parts: Floats, low: float = -np.inf, high: float = np.inf) -> Interval:
    """The mean of what each row adds, summed in the order given."""
    return _around(float(parts.mean()), _mean_variance(parts), low, high) if len(parts) else Interval(None)


def losses(task: str, scores: Floats, labels: Floats) -> dict[str, Floats]:
    """What each row adds to each metric that is a mean over rows."""
    if task == "binary":
        chance = np.clip(scores, _LEAST, 1 - _LEAST)
        return {
            "log_loss": -np.where(labels == 1, np.log(chance), np.log1p(-chance)),
            "brier": (scores - labels) ** 2,
            "accuracy": ((scores >= 0.5) == (labels == 1)).astype(np.float64),
        }
    if task == "multiclass":
        drawn = scores[np.arange(len(labels)), labels.astype(np.int64)]
        hit = (scores.argmax(axis=1) == labels).astype(np.float64)
        return {"log_loss": -np.log(np.clip(drawn, _LEAST, 1.0)), "accuracy": hit}
    missed = np.abs(scores - labels)
    return {"mae": missed, **({"mape": missed / np.abs(labels)} if (labels != 0).all() else {})}


def metrics(task: str, scores: Floats, labels: Floats) -> dict[str, Interval]:
    """Every metric of a task (`binary`, `multiclass` or `regression`)."""
    highest = {"brier": 1.0, "accuracy": 1.0}
    rows = losses(task, scores, labels)
    found = {name: mean(parts, 0.0, highest.get(name, np.inf)) for name, parts in rows.items()}
    if task == "binary":
        found = {"auc": auc(scores, labels), **found, "ece": Interval(calibration_error(calibration(scores, labels)))}
    if task != "binary":
        found |= {name: estimate.interval() for name, estimate in estimates(task, scores, labels).items()}
    if task == "regression":
        middle, average = (float(of(labels)) if len(labels) else 0.0 for of in (np.median, np.mean))
        found |= {"mape": found.get("mape", Interval(None)), "baseline_mae": Interval(mean(np.abs(labels - middle)).value)}
        found |= {"baseline_rmse": Interval(float(np.sqrt(np.mean((labels - average) ** 2))) if len(labels) else None)}
    if task == "multiclass":
        commonest = np.bincount(labels.astype(np.int64)).max() / len(labels) if len(labels) else None
        found |= {"ece": Interval(calibration_error(confidence(scores, labels)))}
        found |= {"baseline_accuracy": Interval(None if commonest is None else float(commonest))}
    return found


def differences(task: str, ours: Floats, theirs: Floats, labels: Floats) -> dict[str, Interval]:
    """Each metric of `ours` minus that of `theirs` on the same rows, with the paired interval."""
    one, other = losses(task, ours, labels), losses(task, theirs, labels)
    gaps = {name: mean(one[name] - other[name]) for name in one}
    if task == "binary":
        return {"auc": auc_difference(ours, theirs, labels), **gaps}
    first, second = estimates(task, ours, labels), estimates(task, theirs, labels)
    return {**gaps, **{name: first[name].minus(second[name]) for name in first}}


def confidence(scores: Floats, labels: Floats) -> list[dict[str, JSON]]:
    """`calibration` of the likeliest class: how sure the model was, and how often it was right."""
    if not len(labels):
        return []
    return calibration(scores.max(axis=1), (scores.argmax(axis=1) == labels).astype(np.float64))


def calibration(scores: Floats, labels: Floats, bins: int = 10) -> list[dict[str, JSON]]:
    """Per tenth of the probability scale that holds rows: how many, what was said and what came true."""
    at = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    out: list[dict[str, JSON]] = []
    for one in range(bins):
        here = at == one
        if n := int(here.sum()):
            said, true = float(scores[here].mean()), float(labels[here].mean())
            out.append({"low": one / bins, "high": (one + 1) / bins, "n": n, "mean": said, "rate": true})
    return out


def calibration_error(table: list[dict[str, JSON]]) -> float | None:
    """Expected calibration error (Naeini 2015): the mean distance of what was said from what came true."""
    rows = [(float(str(row["n"])), float(str(row["mean"])) - float(str(row["rate"]))) for row in table]
    return sum(n * abs(gap) for n, gap in rows) / sum(n for n, _ in rows) if rows else None


def checked_labels(task: str, scores: Floats, labels: Floats, named: NDArray[np.object_] | None = None) -> None:
    """`InputError` unless every label is one the task knows; `named` are the outcomes as the rows have them."""
    classes = {"binary": 2, "multiclass": scores.shape[1] if scores.ndim == 2 else 0}.get(task)
    wrong = ~np.isfinite(labels) if classes is None else ~np.isin(labels, np.arange(classes))
    if wrong.any():
        such = labels[wrong][0] if named is None else named[wrong][0]
        raise InputError(
            f"The holdout's target has {int(wrong.sum())} rows that are no {task} outcome, such as {such}.",
            code="target-values",
            hint="Drop rows without an outcome, and those of a class that was in no row of the training.",
        )


def _placements(scores: Floats, labels: Floats) -> tuple[Floats, Floats] | None:
    """Per positive the share of negatives below it, per negative the share of positives above it; None with one class."""
    from scipy.stats import rankdata

    late, fine = scores[labels == 1], scores[labels == 0]
    if not len(late) or not len(fine):
        return None
    ranks = rankdata(np.concatenate([late, fine]))
    return (ranks[: len(late)] - rankdata(late)) / len(fine), 1 - (ranks[len(late) :] - rankdata(fine)) / len(late)


def _mean_variance(parts: Floats) -> float:
    """Of the parts' mean. One part has no spread to estimate from: the widest there can be is taken."""
    return float(parts.var(ddof=1)) / len(parts) if len(parts) > 1 else 0.25


def _around(value: float, variance: float, low: float, high: float) -> Interval:
    wide = _Z95 * sqrt(variance)
    return Interval(value, max(low, value - wide), min(high, value + wide))
