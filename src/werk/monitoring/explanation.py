"""Whether the model still leans on the same features as in training."""

from __future__ import annotations

from collections.abc import Mapping
from math import log2

from werk.monitoring.verdict import MonitorVerdict

ALARM_BELOW = 0.90


def ndcg(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Training's attributions gained in the window's order, over those gained in their own order."""
    live = sorted(then, key=lambda name: -now.get(name, 0.0))
    return _gain([then[name] for name in live]) / _gain(sorted(then.values(), reverse=True))


def check_explanation(window: str, then: Mapping[str, float], now: Mapping[str, float]) -> MonitorVerdict:
    if not now or sum(then.values()) <= 0:
        return MonitorVerdict("explanation", window, "cannot say", f"{window}: there are no attributions to compare")
    score = ndcg(then, now)
    if score < ALARM_BELOW:
        sentence = f"{window}: the model leans on other features than in training (NDCG {score:.2f})"
        return MonitorVerdict("explanation", window, "violation", sentence, {"ndcg": score})
    sentence = f"{window}: the model leans on the same features as in training"
    return MonitorVerdict("explanation", window, "ok", sentence, {"ndcg": score})


def _gain(values: list[float]) -> float:
    return sum(value / log2(place + 2) for place, value in enumerate(values))
