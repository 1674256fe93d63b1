"""Whether a window's rows are what the model can work with: all there, of the right type, known and in range."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import polars as pl

from werk.core.canonical import JSON
from werk.monitoring.baselines import Baseline
from werk.monitoring.profiles import Counts, Profile, kind_of
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import DATA_QUALITY, MonitorVerdict, cannot_say
from werk.monitoring.words import count, listed, percent

Counted = Mapping[str, Counts]


@dataclass(frozen=True, slots=True)
class Problem:
    """`touched` is the share of rows it adds to what training had; `broken` ones are a violation whatever the column is worth."""

    column: str
    what: str
    size: float
    sentence: str
    touched: float = 0.0
    broken: bool = False


def counted(baseline: Baseline, features: pl.DataFrame) -> dict[str, Counts]:
    """Cell counts of every feature that is there with the kind of values it had in training."""
    usable = (name for name, then in baseline.features.items() if not _misshapen(name, then, features))
    return {name: baseline.features[name].count(features[name]) for name in usable}


def check_data(baseline: Baseline, window: str, features: pl.DataFrame, cells: Counted, limits: Thresholds) -> MonitorVerdict:
    problems = [*_shape(baseline, features), *_volume(baseline, features.height, limits)]
    if features.height >= limits.rows:
        problems += [found for name, now in cells.items() for found in _values(name, baseline.features[name], now, limits)]
    touched = float(sum(baseline.weights.get(problem.column, 0.0) * problem.touched for problem in problems))
    values: dict[str, JSON] = {
        "rows": features.height,
        "problems": {f"{p.what}:{p.column}": round(p.size, 6) for p in problems},
        "touched": round(touched, 6),
    }
    extra = [name for name in features.columns if name not in baseline.frame_columns]
    note = f"; new columns the model does not use: {listed(extra)}" if extra else ""
    if any(problem.broken or problem.touched >= limits.mostly for problem in problems) or touched >= limits.touched:
        return MonitorVerdict(DATA_QUALITY, window, "violation", f"{window}: {_told(problems, touched, limits)}{note}", values)
    if features.height < limits.rows:
        return cannot_say(DATA_QUALITY, window, f"{count(features.height, baseline.things)} are too few to judge{note}", values)
    if problems:
        arrived = f"{window}: {count(features.height, baseline.things)} arrived as expected, but for what matters little"
        return MonitorVerdict(DATA_QUALITY, window, "ok", f"{arrived}: {_told(problems, touched, limits)}{note}", values)
    return MonitorVerdict(DATA_QUALITY, window, "ok", _fine(baseline, window, features.height, limits) + note, values)


def _told(problems: Sequence[Problem], touched: float, limits: Thresholds) -> str:
    told = "; ".join(problem.sentence for problem in problems[:4])
    more = f"; and {len(problems) - 4} more" if len(problems) > 4 else ""
    worth = f" (touches {percent(touched)} of what the model leans on, limit {percent(limits.touched)})" if touched else ""
    return f"{told}{more}{worth}"


def _fine(baseline: Baseline, window: str, rows: int, limits: Thresholds) -> str:
    bound = f"no column has {limits.null_rise * 100:.0f} points more missing or {percent(limits.outside)} values never seen"
    return f"{window}: {count(rows, baseline.things)} arrived as expected; {bound}"


def _shape(baseline: Baseline, features: pl.DataFrame) -> Iterable[Problem]:
    for name, then in baseline.features.items():
        wrong = _misshapen(name, then, features)
        if wrong:
            yield wrong


def _misshapen(name: str, then: Profile, features: pl.DataFrame) -> Problem | None:
    if name not in features.columns:
        return Problem(name, "missing column", 1.0, f"the column {name} is missing", broken=True)
    dtype = features.schema[name]
    if kind_of(dtype) == then.kind and (then.kind != "other" or str(dtype) == then.dtype):
        return None
    if dtype == pl.Null:
        return Problem(name, "null", 1.0, f"{name} is missing in every row", broken=True)
    return Problem(name, "type", 1.0, f"{name} holds {dtype} where training had {then.dtype}", broken=True)


def _volume(baseline: Baseline, rows: int, limits: Thresholds) -> Iterable[Problem]:
    usual = baseline.per_window
    if not rows:
        yield Problem("", "volume", 0.0, f"no {baseline.things} arrived", broken=True)
    elif usual and not limits.volume <= rows / usual <= 1 / limits.volume:
        sentence = f"{count(rows, baseline.things)} arrived where about {usual:,.0f} are usual"
        yield Problem("", "volume", rows / usual, sentence, broken=True)


def _values(name: str, then: Profile, now: Counts, limits: Thresholds) -> Iterable[Problem]:
    unseen, outside, broken, null = (float(n) / now.sum() for n in now[-4:])
    was_broken, was_null = (then.counts[at] / max(then.rows, 1) for at in (-2, -1))
    if _rise(was_null, null, int(now.sum())) >= limits.null_rise:
        sentence = f"{name} is missing in {percent(null)} of the rows ({percent(was_null)} in training)"
        yield Problem(name, "null", null, sentence, null - was_null)
    if broken > was_broken + limits.outside:
        yield Problem(name, "not finite", broken, f"{name} is not a finite number in {percent(broken)} of the rows", broken=True)
    if unseen > limits.unseen and not then.more_names and not then.valueless:
        yield Problem(name, "unseen", unseen, f"{percent(unseen)} of {name} are values that training never saw", unseen)
    if outside > limits.outside and not then.valueless:
        low, high = then.edges[0], then.edges[-1]
        sentence = f"{percent(outside)} of {name} lie outside {low:.4g} to {high:.4g}, the range known from training"
        yield Problem(name, "outside", outside, sentence, outside)


def _rise(then: float, now: float, rows: int) -> float:
    """The part of a rise that two standard errors do not explain."""
    return now - then - 2 * sqrt(now * (1 - now) / rows)
