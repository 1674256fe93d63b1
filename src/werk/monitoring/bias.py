"""Whether one group fares differently from all others, by the metrics of SageMaker Clarify and under their names.

`d` is the group looked at, `a` are all others. Positive means: label or prediction 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import JSON

Flags = NDArray[np.bool_]
METRICS = ("DPL", "DI", "AD", "RD")


@dataclass(frozen=True, slots=True)
class GroupBias:
    """None where a metric has nothing to divide by. `errors` are the standard errors of each metric."""

    rows: int
    positives: int
    DPL: float | None
    DI: float | None
    AD: float | None
    RD: float | None
    errors: Mapping[str, float]

    def to_json(self) -> dict[str, JSON]:
        return dict(asdict(self))

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> GroupBias:
        return cls(**data)  # type: ignore[arg-type]  # keys are exactly the fields written by to_json


def dpl(group: Flags, label: Flags) -> float | None:
    """Difference in proportions of labels: q_a - q_d."""
    return _minus(_share(label[~group]), _share(label[group]))


def di(group: Flags, predicted: Flags) -> float | None:
    """Disparate impact: predicted positives of d over those of a."""
    d, a = _share(predicted[group]), _share(predicted[~group])
    return None if d is None or not a else d / a


def ad(group: Flags, label: Flags, predicted: Flags) -> float | None:
    """Accuracy difference: accuracy of a - accuracy of d."""
    right = label == predicted
    return _minus(_share(right[~group]), _share(right[group]))


def rd(group: Flags, label: Flags, predicted: Flags) -> float | None:
    """Recall difference: recall of a - recall of d."""
    return _minus(_share(predicted[~group & label]), _share(predicted[group & label]))


def by_group(groups: NDArray[np.str_], label: Flags, predicted: Flags) -> dict[str, GroupBias]:
    """Every group against all others; a single group has no others and all its metrics are None."""
    return {str(name): _of(groups == name, label, predicted) for name in np.unique(groups)}


def _of(group: Flags, label: Flags, predicted: Flags) -> GroupBias:
    found = dpl(group, label), di(group, predicted), ad(group, label, predicted), rd(group, label, predicted)
    base = _share(predicted[~group])
    errors = {
        "DPL": _error(label[group]),
        "DI": _error(predicted[group]) / base if base else 0.0,
        "AD": _error((label == predicted)[group]),
        "RD": _error(predicted[group & label]),
    }
    return GroupBias(int(group.sum()), int((group & label).sum()), *found, errors)


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _minus(a: float | None, d: float | None) -> float | None:
    return None if a is None or d is None else a - d


def _error(flags: Flags) -> float:
    """Standard error of the group's share; with Laplace's two rows, so that all-equal flags have one too."""
    p = (flags.sum() + 1) / (len(flags) + 2)
    return float(np.sqrt(p * (1 - p) / (len(flags) + 2)))
