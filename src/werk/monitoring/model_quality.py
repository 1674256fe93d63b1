"""Whether the model still ranks as well as it did when it was accepted, and whether outcomes are as frequent."""

from __future__ import annotations

from werk.core.canonical import JSON
from werk.core.nouns import Verdict
from werk.monitoring.answers import check_answers, outcomes_missing
from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.metrics import Interval, cohens_h
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import MODEL_QUALITY, MonitorVerdict, cannot_say
from werk.monitoring.words import percent, shared


def check_model(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    """Violated when AUC falls below the baseline's interval by the margin, or the outcome's share shifts by `label_h`."""
    if rows.task != "binary":
        return check_answers(baseline, window, rows, limits)
    known, total = int(rows.known.sum()), len(rows.scores)
    now, then = rows.auc(), baseline.metrics.get("auc")
    values = _values(baseline, rows, now, then)
    missing = outcomes_missing(baseline, known, total, limits)
    if missing:
        return cannot_say(MODEL_QUALITY, window, missing, values)
    share = float(rows.labels[rows.known].mean())
    of_all = "" if known == total else f" ({percent(share * known / total)} of all, as {total - known:,} have no outcome)"
    shifted, told = _shifted(baseline, share, of_all, limits)
    if now is None or then is None:
        why = f"{told}; a ranking needs outcomes of both kinds"
        answer: Verdict = "violation" if shifted else "cannot say"
        return MonitorVerdict(MODEL_QUALITY, window, answer, f"{window}: {why}", values)
    worse = now.value < then.low - limits.auc_margin
    verdict: Verdict = "violation" if worse or shifted else "ok"
    return MonitorVerdict(MODEL_QUALITY, window, verdict, f"{window}: {told}; {_ranks(now, then, limits.auc_margin)}", values)


def _shifted(baseline: Baseline, share: float, of_all: str, limits: Thresholds) -> tuple[bool, str]:
    assert baseline.label_share is not None
    was, size = baseline.label_share, cohens_h(baseline.label_share, share)
    told = f"{shared(share, baseline.things, baseline.outcome)}{of_all}, {percent(was)} at acceptance"
    shifted = abs(size) >= limits.label_h
    return shifted, f"{told}: a shift beyond the limit (h {size:+.2f}, limit {limits.label_h})" if shifted else told


def _ranks(now: Interval, then: Interval, margin: float) -> str:
    known = f"AUC {now.value:.3f}, at acceptance {then.low:.3f} to {then.high:.3f}"
    if now.value >= then.low:
        return f"the model tells them apart as well as it did ({known})"
    how = "clearly worse, by more than" if now.value < then.low - margin else "a little worse, within"
    return f"the model tells them apart {how} the margin of {margin} ({known})"


def _values(baseline: Baseline, rows: Rows, now: Interval | None, then: Interval | None) -> dict[str, JSON]:
    labels = rows.labels[rows.known]
    share = float(labels.mean()) if len(labels) else None
    was = baseline.label_share
    return {
        "auc": now.to_json() if now else None,
        "auc_below": max(0.0, then.low - now.value) if now and then else None,
        "baseline_auc": then.to_json() if then else None,
        "known": len(labels),
        "label_share": share,
        "baseline_label_share": was,
        "label_h": cohens_h(was, share) if share is not None and was is not None else None,
        "mean_score": rows.mean_score,
    }
