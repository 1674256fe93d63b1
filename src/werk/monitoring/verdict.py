"""What a monitor says about one window of one model version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from werk.core.canonical import JSON
from werk.core.nouns import Verdict

DATA_QUALITY = "data quality"
FEATURE_DRIFT = "feature drift"
PREDICTION_DRIFT = "prediction drift"
MODEL_QUALITY = "model quality"
BIAS = "bias"
EXPLANATION_DRIFT = "explanation drift"
COST = "cost"
MONITORS = (DATA_QUALITY, FEATURE_DRIFT, PREDICTION_DRIFT, MODEL_QUALITY, BIAS, EXPLANATION_DRIFT, COST)


@dataclass(frozen=True, slots=True)
class MonitorVerdict:
    monitor: str
    window: str
    verdict: Verdict
    sentence: str
    values: Mapping[str, JSON] = field(default_factory=dict)


def cannot_say(monitor: str, window: str, why: str, values: Mapping[str, JSON] | None = None) -> MonitorVerdict:
    return MonitorVerdict(monitor, window, "cannot say", f"{window}: cannot say: {why}", values or {})
