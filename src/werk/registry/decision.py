"""A gate decides on a stored report: the same gate and the same report always give the same decision."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Literal

from werk.core.canonical import JSON
from werk.core.nouns import Assurance
from werk.registry.gate import Bound, Gate, NotWorse, Required, Side

Report = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RuleVerdict:
    """What one rule said. A rule whose input is not in the report is not `checked`, and does not pass."""

    rule: str
    passed: bool
    value: float | None
    threshold: float | None
    sentence: str
    checked: bool = True

    def to_json(self) -> dict[str, JSON]:
        """NaN and infinities, which canonical JSON refuses, become None; the sentence still names them."""
        return {**asdict(self), "value": self.value if _finite(self.value) else None}


@dataclass(frozen=True, slots=True)
class Decision:
    """`canonical_hash` is the model the report speaks of, None when it does not say; `assurance` what its approval needs."""

    passed: bool
    rules: tuple[RuleVerdict, ...]
    gate_sha256: str
    canonical_hash: str | None
    assurance: Assurance = "local-self"

    @property
    def failed(self) -> tuple[RuleVerdict, ...]:
        return tuple(rule for rule in self.rules if not rule.passed)

    def rules_json(self) -> list[JSON]:
        return [rule.to_json() for rule in self.rules]


_Judge = Callable[[str, str, Report], RuleVerdict]


def decide(gate: Gate, report: Report) -> Decision:
    """Every rule's verdict; passed when all rules pass (with `allow_unchecked`: all that could be checked, at least one)."""
    rules = tuple(_verdicts(gate, report))
    passed = any(rule.passed for rule in rules) and all(rule.passed or _forgiven(gate, rule) for rule in rules)
    identity = report.get("canonical_hash")
    return Decision(passed, rules, gate.sha256, identity if isinstance(identity, str) else None, gate.assurance)


def _forgiven(gate: Gate, rule: RuleVerdict) -> bool:
    return gate.allow_unchecked and not rule.checked


def _verdicts(gate: Gate, report: Report) -> Iterable[RuleVerdict]:
    metrics, task = _table(report.get("metrics")), str(report.get("task", ""))
    for bound in gate.metrics:
        yield from (_in_words(rule, bound, task, metrics) for rule in _bounded(f"metrics.{bound.metric}", bound, metrics))
    if gate.calibration:
        judged = _bounded("calibration", gate.calibration, metrics)
        yield from (_in_words(rule, gate.calibration, task, metrics) for rule in judged)
    if gate.golden:
        yield from _required("golden", "golden point", gate.golden, _entries(report, "golden"), _golden)
    if gate.behaviour:
        yield from _required("behaviour", "behaviour test", gate.behaviour, _entries(report, "behaviour"), _behaviour)
    for bound in gate.slices:
        yield from _every("slices", "slice", bound, _entries(report, "slices"))
    for bound in gate.bias:
        yield from _every("bias", "bias metric", bound, _entries(report, "bias"))
    if gate.champion:
        yield _not_worse(gate.champion, report, metrics)
    for bound in gate.latency:
        yield from _quick(bound, _table(report.get("latency")))


# --- bounds on metrics ---


def _bounded(rule: str, bound: Bound, metrics: Report) -> Iterable[RuleVerdict]:
    if bound.min is not None:
        yield _compared(f"{rule}.min", bound, "min", bound.min, metrics)
    if bound.max is not None:
        yield _compared(f"{rule}.max", bound, "max", bound.max, metrics)


def _in_words(rule: RuleVerdict, bound: Bound, task: str, metrics: Report) -> RuleVerdict:
    """What a regression or a multiclass model is measured by, where the gate asks for a measure that it does not have."""
    if bound.metric in metrics or task not in ("regression", "multiclass"):
        return rule
    said = f"'{bound.metric}' is no measure of a {task} model{_near(bound.metric, metrics)}".rstrip("?")
    return _not_checked(rule.rule, f"{said}; it has {', '.join(metrics)}", rule.threshold)


def _compared(rule: str, bound: Bound, end: Literal["min", "max"], threshold: float, metrics: Report) -> RuleVerdict:
    if bound.metric not in metrics:
        return _not_checked(rule, f"the report has no metric '{bound.metric}'{_near(bound.metric, metrics)}", threshold)
    entry = metrics[bound.metric]
    if not _has(entry, bound.on):
        return _not_checked(rule, f"the report has no '{bound.on}' of '{bound.metric}'", threshold)
    value, what = _number(entry, bound.on), _called(bound.metric, bound.on)
    if value is None or not math.isfinite(value):
        return RuleVerdict(rule, False, value, threshold, f"{what} is not a finite number.")
    passed = value >= threshold if end == "min" else value <= threshold
    relation = {"min": ("below", "at least"), "max": ("above", "at most")}[end][passed]
    return RuleVerdict(rule, passed, value, threshold, f"{what} is {value:.6g}, {relation} {threshold:g}.")


def _every(rule: str, what: str, bound: Bound, entries: Sequence[Report]) -> Iterable[RuleVerdict]:
    """The bound on each entry that has the metric: `{name, metrics}`, `{name, <metric>}` or `{name, metric, value}`."""
    speaking = [entry for entry in entries if bound.metric in _measured(entry) and _large_enough(entry, bound.min_rows)]
    if not speaking:
        yield _not_checked(f"{rule}.{bound.metric}", f"the report has no {what} with '{bound.metric}'", None)
    for entry in speaking:
        yield from _bounded(f"{rule}.{bound.metric}[{_name(entry)}]", bound, _measured(entry))


def _large_enough(entry: Report, min_rows: int) -> bool:
    """A slice that does not say how many rows it has is held to the bound."""
    rows = _number(entry, "n")
    return rows is None or not rows < min_rows


def _measured(entry: Report) -> Report:
    if isinstance(entry.get("metric"), str):
        return {str(entry["metric"]): entry}
    return _table(entry.get("metrics")) or entry


# --- points and tests that must pass ---


def _required(rule: str, what: str, needed: Required, entries: Sequence[Report], judge: _Judge) -> Iterable[RuleVerdict]:
    if len(entries) < needed.least:
        yield _not_checked(rule, f"the report has {len(entries)} {what}s, needed are {needed.least}", float(needed.least))
    present = [_name(entry) for entry in entries]
    for name in needed.names:
        if name not in present:
            yield _not_checked(f"{rule}.{name}", f"the report has no {what} '{name}'{_near(name, present)}", None)
    for entry in entries:
        yield judge(f"{rule}.{_name(entry)}", what, entry)


def _golden(rule: str, what: str, entry: Report) -> RuleVerdict:
    """The numbers decide, not only the report's own `passed`: both must agree."""
    value, expected, tolerance = (_number(entry, key) for key in ("value", "expected", "tolerance"))
    if value is None or expected is None or tolerance is None:
        return RuleVerdict(rule, False, value, tolerance, f"{_name(entry)} has no value, expected value or tolerance.")
    passed = math.isfinite(tolerance) and abs(value - expected) <= tolerance and entry.get("passed") is True
    relation = "within" if passed else "outside"
    sentence = f"{_name(entry)} is {value:.6g}, {relation} {tolerance:g} of {expected:.6g}."
    return RuleVerdict(rule, passed, value, tolerance, sentence)


def _behaviour(rule: str, what: str, entry: Report) -> RuleVerdict:
    passed, said = entry.get("passed") is True, entry.get("sentence")
    sentence = said if isinstance(said, str) and said else f"The {what} {_name(entry)} {'passed' if passed else 'failed'}."
    return RuleVerdict(rule, passed, _number(entry, "value"), None, sentence)


# --- how long one answer takes ---


def _quick(bound: Bound, latency: Report) -> Iterable[RuleVerdict]:
    """A model that is too slow is told with what makes it so."""
    for rule in _bounded(f"latency.{bound.metric}", bound, latency):
        yield rule if rule.passed or not rule.checked else replace(rule, sentence=f"{rule.sentence}{_made_of(latency)}")


def _made_of(latency: Report) -> str:
    rounds, size = _number(latency, "rounds"), _number(latency, "size_bytes")
    parts = [f"{rounds:,.0f} rounds of trees" if rounds else "", f"{size / 1e6:.1f} MB" if size else ""]
    told = " in ".join(filter(None, parts))
    return f" The cause is its size: {told}." if told else ""


# --- against the champion ---


def _not_worse(needed: NotWorse, report: Report, metrics: Report) -> RuleVerdict:
    """`champion` null in the report means that there is none yet; a report that does not say is not checked."""
    rule, what = f"champion.{needed.metric}", _called(needed.metric, needed.on)
    if "champion" in report and report["champion"] is None:
        return RuleVerdict(
            rule, True, None, needed.tolerance, "The run was started without a champion: there is nothing to compare with."
        )
    champion = _table(report.get("champion"))
    if _is_same(report, champion):
        sentence = f"The champion {champion.get('version')} is this very model (the same canonical hash): nothing to compare."
        return RuleVerdict(rule, True, None, needed.tolerance, sentence)
    difference = _difference(needed, champion, metrics)
    if difference is None and champion.get("why"):
        return _not_checked(rule, str(champion["why"]).rstrip("."), needed.tolerance)
    if difference is None:
        return _not_checked(rule, f"the report does not compare {what} with the champion", needed.tolerance)
    gain = difference if needed.higher_is_better else -difference
    passed = gain >= -needed.tolerance
    relation = "not worse than" if passed else "worse than"
    sentence = f"{what} differs by {difference:+.6g} from the champion's, {relation} the allowed {needed.tolerance:g}"
    return RuleVerdict(rule, passed, difference, needed.tolerance, f"{sentence}{_on_which_rows(champion)}.")


def _is_same(report: Report, champion: Report) -> bool:
    return isinstance(report.get("canonical_hash"), str) and report["canonical_hash"] == champion.get("canonical_hash")


def _on_which_rows(champion: Report) -> str:
    """How many rows were new to both; a report that does not say leaves it open."""
    version, rows, seen = champion.get("version"), _number(champion, "n"), _number(champion, "seen")
    if version is None or rows is None:
        return ""
    known = f"; {seen:,.0f} others left out, as {version} was trained on them" if seen else ""
    if "seen" in champion and seen is None:
        known = f"; whether {version} was trained on some of them is not known"
    own = " as its own code made them, for the code has changed since" if champion.get("own_rows") else ""
    return f" ({version}, {rows:,.0f} rows{own}{known})"


def _difference(needed: NotWorse, champion: Report, metrics: Report) -> float | None:
    """Challenger minus champion: `differences` (paired, with interval) when the report has them, else of the two values."""
    paired = _table(champion.get("differences"))
    if needed.metric in paired:
        return _number(paired[needed.metric], needed.on)
    ours = _number(metrics.get(needed.metric), "value")
    theirs = _number(_table(champion.get("metrics")).get(needed.metric), "value")
    if ours is None or theirs is None or needed.on != "value":
        return None
    return ours - theirs


# --- reading a report that may hold anything ---


def _table(value: object) -> Report:
    return value if isinstance(value, Mapping) else {}


def _entries(report: Report, section: str) -> list[Report]:
    found = report.get(section)
    return [_table(entry) for entry in found] if isinstance(found, list | tuple) else []


def _name(entry: Report) -> str:
    return str(entry.get("name", "unnamed"))


def _has(entry: object, side: Side) -> bool:
    return side in entry if isinstance(entry, Mapping) else side == "value"


def _number(entry: object, side: str = "value") -> float | None:
    """A metric is `{value, low, high}` or a bare number; a text, a bool or null is no number."""
    value = entry.get(side) if isinstance(entry, Mapping) else entry
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _finite(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _called(metric: str, side: Side) -> str:
    return metric if side == "value" else f"the {side} end of {metric}"


def _near(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def _not_checked(rule: str, why: str, threshold: float | None) -> RuleVerdict:
    return RuleVerdict(rule, False, None, threshold, f"Not checked: {why}{'' if why.endswith('?') else '.'}", checked=False)
