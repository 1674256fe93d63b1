"""Whether a group fares differently, against all others, from how it did when the model was accepted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import hypot, inf, log

from werk.core.canonical import JSON
from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.bias import METRICS, GroupBias
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import BIAS, MonitorVerdict, cannot_say
from werk.monitoring.words import listed

FOUR_FIFTHS = log(5 / 4)  # the four-fifths rule, either way: a disparate impact that moved by a quarter
Moved = Mapping[str, Sequence[tuple[str, float]]]
RIGHT = ("AD",)  # where the outcome is no yes or no, only how often the predictions are right can be compared
SAYS = {"DPL": "real outcomes", "DI": "alarms raised", "AD": "right predictions", "RD": "outcomes found"}


def check_bias(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    if not baseline.groups or rows.groups is None:
        return cannot_say(BIAS, window, "no groups with known outcomes were given to compare")
    now = rows.bias(baseline.decision)
    judged = {name: now[name] for name in sorted(now) if _enough(now[name], limits) and _known(baseline, name, limits)}
    compared = METRICS if baseline.task == "binary" else RIGHT
    least = _least(baseline, rows, len(judged) * len(compared), limits)
    moved = {name: of for name in judged if (of := _moved(baseline.groups[name], now[name], limits, least, compared))}
    values: dict[str, JSON] = {
        "groups": {name: _numbers(of) for name, of in now.items()},
        "moved": {f"{name} {metric}": by for name, of in moved.items() for metric, by in of},
        "judged": list(judged),
        "days": rows.block_count,
    }
    if rows.block_count is not None and rows.block_count < limits.blocks:
        return cannot_say(BIAS, window, f"the {baseline.things} of {rows.block_count} days say too little about a group", values)
    if not judged:
        return cannot_say(BIAS, window, "no group has enough rows with known outcomes", values)
    return _verdict(window, judged, moved, sorted(set(baseline.groups) - set(judged)), values)


def _verdict(
    window: str, judged: Mapping[str, GroupBias], moved: Moved, unjudged: Sequence[str], values: Mapping[str, JSON]
) -> MonitorVerdict:
    note = f"; too few rows to judge {listed(unjudged, 6)}" if unjudged else ""
    if moved:
        told = [f"{name} ({SAYS[of[0][0]]}, {of[0][0]} {of[0][1]:+.2f})" for name, of in moved.items()]
        sentence = f"{window}: compared with the others, and by more than chance, it changed for {listed(told, 4)}{note}"
        return MonitorVerdict(BIAS, window, "violation", sentence, values)
    sentence = f"{window}: all {len(judged)} groups that can be judged fare as they did, compared with the others{note}"
    return MonitorVerdict(BIAS, window, "ok", sentence, values)


def _least(baseline: Baseline, rows: Rows, compared: int, limits: Thresholds) -> float:
    """How many standard errors a change must be, so that chance alone shows one in no more windows than `bias_chance`."""
    from scipy.stats import t as student

    blocks = [count for count in (baseline.blocks, rows.block_count) if count is not None]
    free = max(1, min(blocks) - 1) if blocks else inf
    return float(student.ppf(1 - limits.bias_chance / 2 / max(compared, 1), free))


def _enough(of: GroupBias, limits: Thresholds) -> bool:
    return of.rows >= limits.group_rows and of.positives >= limits.group_positives and None not in _numbers(of).values()


def _known(baseline: Baseline, name: str, limits: Thresholds) -> bool:
    return name in baseline.groups and _enough(baseline.groups[name], limits)


def _moved(then: GroupBias, now: GroupBias, limits: Thresholds, least: float, compared: Sequence[str]) -> list[tuple[str, float]]:
    """The group's metrics that moved beyond their limit, the furthest first."""
    sizes = {metric: _size(metric, then, now, limits, least) for metric in compared}
    over = sorted((metric for metric in compared if sizes[metric] >= 1), key=lambda metric: -sizes[metric])
    return [(metric, getattr(now, metric) - getattr(then, metric)) for metric in over]


def _size(metric: str, then: GroupBias, now: GroupBias, limits: Thresholds, least: float) -> float:
    """How far a metric moved, in limits; 0 within the noise. An impact that fell to nothing moved without limit."""
    was, new = getattr(then, metric), getattr(now, metric)
    if was is None or new is None or abs(new - was) < least * hypot(then.errors[metric], now.errors[metric]):
        return 0.0
    if metric != "DI":
        return float(abs(new - was) / limits.bias)
    return abs(log(new / was)) / FOUR_FIFTHS if was and new else inf


def _numbers(of: GroupBias) -> dict[str, JSON]:
    return {metric: getattr(of, metric) for metric in METRICS}
