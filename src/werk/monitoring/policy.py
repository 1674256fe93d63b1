"""Which violations start a retraining: drift that costs something, not every column that moved."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import FEATURE_DRIFT, MODEL_QUALITY, PREDICTION_DRIFT, MonitorVerdict

_USUAL = Thresholds()


@dataclass(frozen=True, slots=True)
class Policy:
    """Bounds on what the monitors measured; None switches a cause off.

    `auc_below`: how far AUC (of a multiclass model: accuracy) lies below the baseline's interval. `label_h`: shift of the
    outcome's share (Cohen's h, either way; of a regression: of its mean, in standard deviations). `error_above`: how far a
    regression's mean error lies above the baseline's interval, as a share of it. `prediction_psi`: shift of the scores.
    `feature_importance`: share of the importance whose features moved.
    The defaults are the monitors' own thresholds, so that what starts a retraining is also shown as a violation.
    """

    auc_below: float | None = _USUAL.auc_margin
    label_h: float | None = _USUAL.label_h
    prediction_psi: float | None = _USUAL.psi
    feature_importance: float | None = _USUAL.importance
    error_above: float | None = _USUAL.error_margin

    @classmethod
    def from_mapping(cls, table: Mapping[str, object]) -> Policy:
        """From a TOML table: `false` switches a cause off, an absent name keeps its default."""
        known = [field.name for field in fields(cls)]
        for name in table:
            if name not in known:
                raise unknown("retraining cause", name, known, code="policy-unknown")
        return cls(**{name: _bound(name, value) for name, value in table.items()})

    def retrains(self, verdict: MonitorVerdict) -> bool:
        """Whether a verdict is a violation for one of the causes; "cannot say" never is."""
        if verdict.verdict != "violation":
            return False
        return any(size is not None and bound is not None and abs(size) >= bound for size, bound in self._causes(verdict))

    def _causes(self, verdict: MonitorVerdict) -> Iterable[tuple[float | None, float | None]]:
        if verdict.monitor == MODEL_QUALITY:
            yield _number(verdict, "auc_below"), self.auc_below
            yield _number(verdict, "label_h"), self.label_h
            yield _number(verdict, "accuracy_below"), self.auc_below
            yield _number(verdict, "label_d"), self.label_h
            yield _number(verdict, "error_above"), self.error_above
        if verdict.monitor == PREDICTION_DRIFT:
            yield _number(verdict, "psi"), self.prediction_psi
        if verdict.monitor == FEATURE_DRIFT:
            yield _number(verdict, "share"), self.feature_importance


def _number(verdict: MonitorVerdict, name: str) -> float | None:
    value: JSON = verdict.values.get(name)
    return float(value) if isinstance(value, int | float) else None


def _bound(name: str, value: object) -> float | None:
    if value is False:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise InputError(
            f"The bound '{name}' is not a positive number: {value!r}.",
            code="policy-malformed",
            hint="Write a number above 0, or false to switch this cause off.",
        )
    return float(value)
