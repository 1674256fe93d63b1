"""Whether the model still leans on the same features as in training."""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite, log2

from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import EXPLANATION_DRIFT, MonitorVerdict, cannot_say


def ndcg(then: Mapping[str, float], now: Mapping[str, float]) -> float:
    """Training's attributions gained in the window's order, over those gained in their own order."""
    live = sorted(then, key=lambda name: (-now.get(name, 0.0), name))
    return _gain([then[name] for name in live]) / _gain(sorted(then.values(), reverse=True))


def check_explanation(
    window: str, then: Mapping[str, float], now: Mapping[str, float] | None, limits: Thresholds | None = None
) -> MonitorVerdict:
    limit = (limits or Thresholds()).ndcg
    if not now or not any(now.values()) or sum(then.values()) <= 0 or not all(map(isfinite, now.values())):
        return cannot_say(EXPLANATION_DRIFT, window, "there are no attributions to compare")
    score = ndcg(then, now)
    if score >= limit:
        sentence = f"{window}: the model leans on the same features as in training"
        return MonitorVerdict(EXPLANATION_DRIFT, window, "ok", sentence, {"ndcg": score})
    first, was = max(sorted(now), key=now.__getitem__), max(sorted(then), key=then.__getitem__)
    leans = f"most on {first}, formerly on {was}" if first != was else "the order below the first has changed"
    sentence = f"{window}: the model leans on other features than in training: {leans} (NDCG {score:.2f}, limit {limit:.2f})"
    return MonitorVerdict(EXPLANATION_DRIFT, window, "violation", sentence, {"ndcg": score})


def _gain(values: list[float]) -> float:
    return sum(value / log2(place + 2) for place, value in enumerate(values))
