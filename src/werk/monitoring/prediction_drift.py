"""Whether the model's answers are spread as they were when it was accepted."""

from __future__ import annotations

from collections import Counter

import numpy as np

from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.feature_drift import shift
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import PREDICTION_DRIFT, MonitorVerdict, cannot_say
from werk.monitoring.words import count, is_name, number, percent


def check_predictions(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    now = baseline.prediction.count(rows.said)
    broken = int((~np.isfinite(rows.scores)).sum())
    psi, then, mean = shift(baseline.prediction, now, limits), baseline.mean_score, rows.mean_score
    values = {"psi": None if psi is None else round(psi, 6), "mean": mean, "baseline_mean": then, "broken": broken}
    if broken:
        sentence = f"{window}: {count(broken, 'predictions')} are not numbers"
        return MonitorVerdict(PREDICTION_DRIFT, window, "violation", sentence, values)
    if psi is None or mean is None or then is None:
        return cannot_say(PREDICTION_DRIFT, window, f"{count(len(rows.scores), 'predictions')} are too few to compare", values)
    expects = _expects(baseline, rows, mean, then)
    if psi >= limits.psi:
        sentence = f"{window}: the predictions are spread differently (PSI {psi:.2f}, limit {limits.psi}): {expects}"
        return MonitorVerdict(PREDICTION_DRIFT, window, "violation", sentence, values)
    return MonitorVerdict(PREDICTION_DRIFT, window, "ok", f"{window}: the predictions are spread as usual: {expects}", values)


def _expects(baseline: Baseline, rows: Rows, mean: float, then: float) -> str:
    if baseline.task == "binary" and is_name(baseline.things, baseline.outcome):
        return f"the model expects {baseline.outcome} to be true in {percent(mean)} ({percent(then)} at acceptance)"
    if baseline.task == "binary":
        return f"the model expects {percent(mean)} {baseline.outcome} ({percent(then)} at acceptance)"
    if baseline.task == "regression":
        return f"the model expects {baseline.outcome} to be {number(mean)} on average ({number(then)} at acceptance)"
    [(name, often)] = Counter(rows.said.to_list()).most_common(1)
    was = dict(zip(baseline.prediction.names, baseline.prediction.counts, strict=False)).get(name, 0) / baseline.prediction.rows
    return f"the model says most often {name}, in {percent(often / len(rows.scores))} ({percent(was)} at acceptance)"
