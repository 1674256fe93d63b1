"""Whether one group fares differently from all others, by the metrics of SageMaker Clarify and under their names.

`d` is the group looked at, `a` are all others. Positive means: label or prediction 1. Rows of one block (a day) share what
moves them all, a storm say, so that blocks and not rows are the observations that chance is told from (Cameron and Miller 2015).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import hypot

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import JSON

Flags = NDArray[np.bool_]
Blocks = NDArray[np.int64]
METRICS = ("DPL", "DI", "AD", "RD")


@dataclass(frozen=True, slots=True)
class GroupBias:
    """None where a metric has nothing to divide by. `errors` are the standard errors of each, the others' part included."""

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


def by_group(groups: NDArray[np.str_], label: Flags, predicted: Flags, blocks: Blocks | None = None) -> dict[str, GroupBias]:
    """Every group against all others; a single group has no others and all its metrics are None.

    `blocks` numbers from 0 the block of each row; None when every row stands for itself.
    """
    return {str(name): _of(groups == name, label, predicted, blocks) for name in np.unique(groups)}


def _of(group: Flags, label: Flags, predicted: Flags, blocks: Blocks | None) -> GroupBias:
    found = dpl(group, label), di(group, predicted), ad(group, label, predicted), rd(group, label, predicted)
    every, base = np.ones(len(group), dtype=bool), _share(predicted[~group])
    errors = {
        "DPL": _error(group, label, every, blocks),
        "DI": _error(group, predicted, every, blocks, found[1]) / base if base else 0.0,
        "AD": _error(group, label == predicted, every, blocks),
        "RD": _error(group, predicted, label, blocks),
    }
    return GroupBias(int(group.sum()), int((group & label).sum()), *found, errors)


def _share(flags: Flags) -> float | None:
    return float(flags.mean()) if len(flags) else None


def _minus(a: float | None, d: float | None) -> float | None:
    return None if a is None or d is None else a - d


def _error(group: Flags, flags: Flags, counted: Flags, blocks: Blocks | None, weight: float | None = None) -> float:
    """Standard error of the group's share minus `weight` (1) times the others', among the rows `counted`.

    The larger of what rows and what blocks say: a few blocks may agree by chance, which proves nothing.
    """
    sides, weights = (group & counted, ~group & counted), (1.0, 1.0 if weight is None else weight)
    alone = hypot(*(part * _alone(flags[side]) for side, part in zip(sides, weights, strict=True)))
    if blocks is None or not all(side.any() for side in sides):
        return alone
    parts = [part * _pulls(flags, side, blocks) for side, part in zip(sides, weights, strict=True)]
    return max(alone, _clustered(parts[0] - parts[1], len(np.unique(blocks))))


def _alone(flags: Flags) -> float:
    """Standard error of a share of rows that know nothing of each other; with Laplace's two rows, also for all-equal flags."""
    p = (flags.sum() + 1) / (len(flags) + 2)
    return float(np.sqrt(p * (1 - p) / (len(flags) + 2)))


def _pulls(flags: Flags, side: Flags, blocks: Blocks) -> NDArray[np.float64]:
    """How far each block pulls the share of a side, from whole numbers, so that the order of rows is no matter."""
    size = int(blocks.max()) + 1
    hits, rows = (np.bincount(blocks[where], minlength=size) for where in (side & flags, side))
    return np.asarray((hits - rows * flags[side].mean()) / side.sum(), dtype=np.float64)


def _clustered(pulls: NDArray[np.float64], count: int) -> float:
    return float(np.sqrt((pulls**2).sum() * count / (count - 1))) if count > 1 else 0.0
