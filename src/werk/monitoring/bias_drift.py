"""Whether a group fares differently, against all others, from how it did when the model was accepted."""

from __future__ import annotations

from collections.abc import Mapping
from math import hypot, log

from werk.core.canonical import JSON
from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.bias import METRICS, GroupBias
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import BIAS, MonitorVerdict, cannot_say
from werk.monitoring.words import listed

FOUR_FIFTHS = log(5 / 4)  # the four-fifths rule, either way: a disparate impact that moved by a quarter
SAYS = {"DPL": "real outcomes", "DI": "alarms raised", "AD": "right predictions", "RD": "outcomes found"}


def check_bias(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    if not baseline.groups or rows.groups is None:
        return cannot_say(BIAS, window, "no groups with known outcomes were given to compare")
    now = rows.bias(baseline.decision)
    judged = {name: now[name] for name in sorted(now) if _enough(now[name], limits) and _known(baseline, name, limits)}
    moved = {f"{name} {metric}": change for name in judged for metric, change in _moved(baseline, name, now[name], limits)}
    values: dict[str, JSON] = {
        "groups": {name: _numbers(of) for name, of in now.items()},
        "moved": dict(moved),
        "judged": list(judged),
    }
    if not judged:
        return cannot_say(BIAS, window, "no group has enough rows with known outcomes", values)
    return _verdict(window, judged, moved, sorted(set(baseline.groups) - set(judged)), values)


def _verdict(
    window: str, judged: Mapping[str, GroupBias], moved: Mapping[str, float], unjudged: list[str], values: dict[str, JSON]
) -> MonitorVerdict:
    note = f"; too few rows to judge {listed(unjudged, 6)}" if unjudged else ""
    if moved:
        told = [f"{key.rpartition(' ')[0]} ({SAYS[key.split()[-1]]}, {key.split()[-1]} {by:+.2f})" for key, by in moved.items()]
        sentence = f"{window}: compared with the others, it changed for {listed(told)}{note}"
        return MonitorVerdict(BIAS, window, "violation", sentence, values)
    sentence = f"{window}: all {len(judged)} groups that can be judged fare as they did, compared with the others{note}"
    return MonitorVerdict(BIAS, window, "ok", sentence, values)


def _enough(of: GroupBias, limits: Thresholds) -> bool:
    return of.rows >= limits.group_rows and of.positives >= limits.group_positives and None not in _numbers(of).values()


def _known(baseline: Baseline, name: str, limits: Thresholds) -> bool:
    return name in baseline.groups and _enough(baseline.groups[name], limits)


def _moved(baseline: Baseline, name: str, now: GroupBias, limits: Thresholds) -> list[tuple[str, float]]:
    then = baseline.groups[name]
    return [(m, c) for m in METRICS if (c := _change(m, then, now)) is not None and _matters(m, c, then, now, limits)]


def _change(metric: str, then: GroupBias, now: GroupBias) -> float | None:
    was, new = getattr(then, metric), getattr(now, metric)
    return None if was is None or new is None else new - was


def _matters(metric: str, change: float, then: GroupBias, now: GroupBias, limits: Thresholds) -> bool:
    if abs(change) < limits.bias_errors * hypot(then.errors[metric], now.errors[metric]):
        return False
    if metric != "DI":
        return abs(change) >= limits.bias
    was, new = getattr(then, metric), getattr(now, metric)
    return not was or not new or abs(log(new / was)) >= FOUR_FIFTHS


def _numbers(of: GroupBias) -> dict[str, JSON]:
    return {metric: getattr(of, metric) for metric in METRICS}
