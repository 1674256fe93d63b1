"""What the story measures a model by, and how it says so: by the task."""

from __future__ import annotations

from dataclasses import dataclass

from werk.monitoring.words import number


@dataclass(frozen=True, slots=True)
class Measure:
    """`name` as a heading has it; `key` as reports and monitors have it. `outcomes` is what a window's outcomes are told by."""

    name: str
    key: str
    outcomes: str
    less_is_better: bool = False
    percent: bool = False

    def value(self, value: float) -> str:
        if self.percent:
            return f"{value * 100:.1f} %"
        return number(value) if self.less_is_better else f"{value:.3f}"

    def gap(self, value: float) -> str:
        """Of two values, with its sign."""
        if self.percent:
            return f"{value * 100:+.1f} points"
        return f"{'-' if value < 0 else '+'}{number(abs(value))}" if self.less_is_better else f"{value:+.3f}"

    def share(self, share: float) -> str:
        """What a window's outcomes came to: a share of the rows, or their mean."""
        return number(share) if self.less_is_better else f"{share * 100:.1f} %"


AUC = Measure("AUC", "auc", "share {outcome}")
MEASURES = {
    "binary": AUC,
    "regression": Measure("mean error", "mae", "{outcome} on average", less_is_better=True),
    "multiclass": Measure("right answers", "accuracy", "{outcome}: share of the usual class", percent=True),
}
