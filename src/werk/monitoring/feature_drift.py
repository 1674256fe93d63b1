"""Whether the features the model leans on have moved: each by effect size, together by their importance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from werk.core.canonical import JSON
from werk.core.nouns import Verdict
from werk.monitoring import drift
from werk.monitoring.baselines import Baseline
from werk.monitoring.profiles import Counts, Profile
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import FEATURE_DRIFT, MonitorVerdict, cannot_say
from werk.monitoring.words import listed, percent


def shift(then: Profile, now: Counts, limits: Thresholds) -> float | None:
    """Population stability index over the training cells; None when it cannot be told from chance or from nothing.

    With n and m rows in k cells the index of two equal distributions is about (k - 1)(1/n + 1/m) (Yurdakul 2018).
    """
    before, n = then.cells, int(now.sum())
    if then.kind == "other" or then.valueless or min(n, then.rows) < limits.rows:
        return None
    used = int(((before + now) > 0).sum())
    if (used - 1) * (1 / n + 1 / then.rows) > limits.psi / 2:
        return None
    return drift.psi(before.astype(np.float64), now.astype(np.float64))


def check_features(baseline: Baseline, window: str, cells: Mapping[str, Counts], limits: Thresholds) -> MonitorVerdict:
    """Violated when columns holding `limits.importance` of the importance moved; a moved useless one is only listed.

    The sentence names those that moved furthest; `moved` in the values follows the importance.
    """
    weights = baseline.weights
    sizes = {name: shift(then, cells[name], limits) if name in cells else None for name, then in baseline.features.items()}
    moved = sorted((n for n, size in sizes.items() if size is not None and size >= limits.psi), key=lambda n: (-weights[n], n))
    unjudged = [name for name, size in sizes.items() if size is None]
    share, open_share = (float(sum(weights[n] for n in names)) for names in (moved, unjudged))
    values: dict[str, JSON] = {
        "share": round(share, 6),
        "unjudged_share": round(open_share, 6),
        "moved": list(moved),
        "unjudged": list(unjudged),
        "psi": {name: None if size is None else round(size, 6) for name, size in sizes.items()},
    }
    if not sizes or (share < limits.importance <= share + open_share + 1e-9):
        why = f"{listed(unjudged)} cannot be compared with training, {percent(open_share)} of what the model leans on"
        return cannot_say(FEATURE_DRIFT, window, why, values)
    furthest = _furthest({name: size for name in moved if (size := sizes[name]) is not None})
    told = f"{furthest} moved: {percent(share)} of what the model leans on" if moved else "every feature is as in training"
    note = f"; {listed(unjudged)} cannot be compared" if unjudged else ""
    verdict: Verdict = "violation" if share >= limits.importance else "ok"
    bound = f" (limit {percent(limits.importance)})" if moved else ""
    return MonitorVerdict(FEATURE_DRIFT, window, verdict, f"{window}: {told}{bound}{note}", values)


def _furthest(moved: Mapping[str, float]) -> str:
    """By effect size, so that no great one hides among the rest."""
    return listed([f"{name} (PSI {moved[name]:.3g})" for name in sorted(moved, key=lambda name: (-moved[name], name))])
