"""Whether a number or a class is still as near to what came true as when the model was accepted, and outcomes as they were."""

from __future__ import annotations

from werk.core.canonical import JSON
from werk.monitoring import metrics
from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.metrics import Interval, cohens_h
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import MODEL_QUALITY, MonitorVerdict, cannot_say
from werk.monitoring.words import count, number, percent


def check_answers(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    """Of a regression or a multiclass model; as `check_model`, with the error or the share of right answers for AUC."""
    known, total = int(rows.known.sum()), len(rows.scores)
    missing = outcomes_missing(baseline, known, total, limits)
    numbers = rows.task == "regression"
    worse, shifted, told, values = (_numbers if numbers else _classes)(baseline, rows, limits)
    values |= {"known": known, "task": rows.task}
    if missing:
        return cannot_say(MODEL_QUALITY, window, missing, values)
    return MonitorVerdict(MODEL_QUALITY, window, "violation" if worse or shifted else "ok", f"{window}: {told}", values)


def outcomes_missing(baseline: Baseline, known: int, total: int, limits: Thresholds) -> str | None:
    if not known or known < limits.labels * total:
        return f"the outcomes of {known:,} of {count(total, baseline.things)} are known so far"
    if known < limits.rows:
        return f"the outcomes of {count(known, baseline.things)} are too few to judge"
    return (
        None if baseline.metrics or baseline.label_share is not None else "no outcomes were known at acceptance to compare with"
    )


def _numbers(baseline: Baseline, rows: Rows, limits: Thresholds) -> tuple[bool, bool, str, dict[str, JSON]]:
    labels, then = rows.labels[rows.known], baseline.metrics.get("mae")
    now = metrics.errors(rows.missed[rows.known])["mae"]
    mean, was, spread = float(labels.mean()) if len(labels) else None, baseline.label_mean, baseline.label_spread
    moved = None if mean is None or was is None or spread is None else _moved(mean - was, spread)
    above = max(0.0, now.value - then.high) / then.high if now and then and then.high else None
    values: dict[str, JSON] = {
        "mae": now.to_json() if now else None,
        "baseline_mae": then.to_json() if then else None,
        "error_above": above,
        "label_mean": mean,
        "baseline_label_mean": was,
        "label_d": moved,
    }
    if now is None or then is None or mean is None or was is None:
        return False, False, "", values
    worse, shifted = above is not None and above > limits.error_margin, moved is not None and abs(moved) >= limits.label_h
    told = f"{baseline.outcome} was {number(mean)} on average, {number(was)} at acceptance"
    told += f": a shift beyond the limit (d {moved:+.2f}, limit {limits.label_h})" if shifted else ""
    span = f"on average {number(now.value)} off, at acceptance {number(then.low)} to {number(then.high)}"
    if now.value <= then.high:
        return worse, shifted, f"{told}; the model is as near as it was ({span})", values
    how = "clearly further off, by more than" if worse else "a little further off, within"
    return worse, shifted, f"{told}; the model is {how} the margin of {percent(limits.error_margin)} ({span})", values


def _moved(by: float, spread: float) -> float | None:
    """In standard deviations; an outcome that never varied has none to measure by."""
    return by / spread if spread else None


def _classes(baseline: Baseline, rows: Rows, limits: Thresholds) -> tuple[bool, bool, str, dict[str, JSON]]:
    now, then = metrics.hits(rows.missed[rows.known])["accuracy"], baseline.metrics.get("accuracy")
    shares, unseen = rows.label_shares, _unseen(rows)
    sizes = {name: cohens_h(baseline.label_shares.get(name, 0.0), share) for name, share in shares.items()}
    furthest = max(sizes, key=lambda name: abs(sizes[name]), default="")
    values: dict[str, JSON] = {
        "accuracy": now.to_json() if now else None,
        "baseline_accuracy": then.to_json() if then else None,
        "accuracy_below": max(0.0, then.low - now.value) if now and then else None,
        "label_shares": dict(shares),
        "baseline_label_shares": dict(baseline.label_shares),
        "label_h": sizes.get(furthest),
        "unseen_share": unseen,
    }
    if now is None or then is None:
        return False, False, "", values
    worse, shifted = now.value < then.low - limits.auc_margin, abs(sizes[furthest]) >= limits.label_h
    told = [_said(baseline, furthest, shares, sizes[furthest], limits, shifted)]
    if unseen:
        told.append(f"{percent(unseen)} of the {baseline.things} were of a class that the model does not know")
    told.append(_right(now, then, limits.auc_margin))
    return worse, shifted or unseen >= limits.unseen, "; ".join(told), values


def _said(baseline: Baseline, name: str, shares: dict[str, float], size: float, limits: Thresholds, shifted: bool) -> str:
    told = f"{baseline.outcome} was {name} in {percent(shares[name])} of the {baseline.things}"
    told += f", {percent(baseline.label_shares.get(name, 0.0))} at acceptance"
    beyond = f"a shift beyond the limit (h {size:+.2f}, limit {limits.label_h})" if shifted else "no class moved further"
    return f"{told}: {beyond}"


def _unseen(rows: Rows) -> float:
    known = rows.labels[rows.known]
    return float((known < 0).mean()) if len(known) else 0.0


def _right(now: Interval, then: Interval, margin: float) -> str:
    known = f"{percent(now.value)} right, at acceptance {percent(then.low)} to {percent(then.high)}"
    if now.value >= then.low:
        return f"the model is right as often as it was ({known})"
    how = "clearly less often, by more than" if now.value < then.low - margin else "a little less often, within"
    return f"the model is right {how} the margin of {percent(margin)} ({known})"
