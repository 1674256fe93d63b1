"""Whether the model's answers are spread as they were when it was accepted."""

from __future__ import annotations

import polars as pl

from werk.monitoring.baselines import Baseline, Rows
from werk.monitoring.feature_drift import shift
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import PREDICTION_DRIFT, MonitorVerdict, cannot_say
from werk.monitoring.words import count, percent


def check_predictions(baseline: Baseline, window: str, rows: Rows, limits: Thresholds) -> MonitorVerdict:
    now = baseline.prediction.count(pl.Series(rows.scores, dtype=pl.Float64))
    broken = int(now[-2] + now[-1])
    psi, then, mean = shift(baseline.prediction, now, limits), baseline.mean_score, rows.mean_score
    values = {"psi": None if psi is None else round(psi, 6), "mean": mean, "baseline_mean": then, "broken": broken}
    if broken:
        sentence = f"{window}: {count(broken, 'predictions')} are not numbers"
        return MonitorVerdict(PREDICTION_DRIFT, window, "violation", sentence, values)
    if psi is None or mean is None or then is None:
        return cannot_say(PREDICTION_DRIFT, window, f"{count(len(rows.scores), 'predictions')} are too few to compare", values)
    expects = f"the model expects {percent(mean)} {baseline.outcome} ({percent(then)} at acceptance)"
    if psi >= limits.psi:
        sentence = f"{window}: the predictions are spread differently (PSI {psi:.2f}, limit {limits.psi}): {expects}"
        return MonitorVerdict(PREDICTION_DRIFT, window, "violation", sentence, values)
    return MonitorVerdict(PREDICTION_DRIFT, window, "ok", f"{window}: the predictions are spread as usual: {expects}", values)
