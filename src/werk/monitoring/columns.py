"""Whether one column's window still looks like its training data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np

from werk.monitoring import drift
from werk.monitoring.drift import Floats
from werk.monitoring.verdict import MonitorVerdict


@dataclass(frozen=True, slots=True)
class Thresholds:
    js: float = 0.1
    w1_std: float = 0.1
    psi: float = 0.2


def check_categories(
    column: str, window: str, then: Mapping[str, float], now: Mapping[str, float], limits: Thresholds | None = None
) -> MonitorVerdict:
    p, q = drift.align(then, now)
    if not p.sum() or not q.sum():
        return _cannot_say(column, window)
    return _judge(column, window, {"js": drift.js_distance(p, q), "psi": drift.psi(p, q)}, limits or Thresholds())


def check_numbers(
    column: str, window: str, values: Floats, then: Floats, now: Floats, limits: Thresholds | None = None
) -> MonitorVerdict:
    """`then` and `now` count the same cells; a cell of infinite value or a constant training column cannot be judged."""
    if not np.isfinite(values).all() or not then.sum() or not now.sum():
        return _cannot_say(column, window)
    mean = np.average(values, weights=then)
    std = float(np.sqrt(np.average((values - mean) ** 2, weights=then)))
    if std == 0:
        return _cannot_say(column, window)
    sizes = {"js": drift.js_distance(then, now), "w1_std": drift.w1(values, then, now) / std}
    return _judge(column, window, sizes | {"psi": drift.psi(then, now)}, limits or Thresholds())


def _judge(column: str, window: str, sizes: Mapping[str, float], limits: Thresholds) -> MonitorVerdict:
    allowed = asdict(limits)
    over = [f"{name} {size:.3f} (limit {allowed[name]})" for name, size in sizes.items() if size >= allowed[name]]
    if over:
        sentence = f"{window}: {column} has moved away from training: {', '.join(over)}"
        return MonitorVerdict(f"drift:{column}", window, "violation", sentence, dict(sizes))
    return MonitorVerdict(f"drift:{column}", window, "ok", f"{window}: {column} looks as in training", dict(sizes))


def _cannot_say(column: str, window: str) -> MonitorVerdict:
    sentence = f"{window}: {column} has no spread or no finite values to compare with training"
    return MonitorVerdict(f"drift:{column}", window, "cannot say", sentence)
