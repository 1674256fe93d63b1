"""What a model version was accepted on, and what the monitors say about every window since."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werk.core.lazy import fetched

if TYPE_CHECKING:
    from werk.monitoring.baselines import Baseline, baseline
    from werk.monitoring.cost import Prices, cost_line
    from werk.monitoring.facts import PROJECTIONS, record, timeline
    from werk.monitoring.policy import Policy
    from werk.monitoring.thresholds import Thresholds
    from werk.monitoring.verdict import MONITORS, MonitorVerdict
    from werk.monitoring.windows import check

__all__ = [
    "MONITORS",
    "PROJECTIONS",
    "Baseline",
    "MonitorVerdict",
    "Policy",
    "Prices",
    "Thresholds",
    "baseline",
    "check",
    "cost_line",
    "record",
    "timeline",
]

_HOME = {
    "baselines": ("Baseline", "baseline"),
    "cost": ("Prices", "cost_line"),
    "facts": ("PROJECTIONS", "record", "timeline"),
    "policy": ("Policy",),
    "thresholds": ("Thresholds",),
    "verdict": ("MONITORS", "MonitorVerdict"),
    "windows": ("check",),
}

fetched(__name__, _HOME)
