"""What a model of these rows should show, proposed: `gate.toml` by the task, `behaviour.toml` by what rises with what."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from werk.app.own.outcome import Outcome
from werk.governance import UNCHECKED
from werk.models.task import Floats

UNEVEN = 0.8  # share of the commonest class
MOST, WEAKEST = 3, 0.15  # behaviour tests, and the rank correlation below which none is proposed
_RULES = re.compile(r"^\[metrics\..*?(?=^# A golden)", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Trend:
    """`column` goes with the outcome (of several classes with one): `rho` is Spearman's, `change` about one deviation."""

    column: str
    rho: float
    change: float
    of: str | None = None


def as_gate(template: str, outcome: Outcome) -> str:
    """The template's gate, which is that of 1 and 0, with the rules of the task."""
    if outcome.task == "binary":
        return template
    return _RULES.sub(lambda _: _regression(outcome) if outcome.task == "regression" else _classes(outcome), template)


def _regression(outcome: Outcome) -> str:
    known = outcome.numbers().drop_nulls()
    off = float((known - known.median()).abs().mean() or 0.0)  # type: ignore[arg-type]  # the mean of numbers is one
    return (
        f"[metrics.r2]\nmin = 0.10 {UNCHECKED}: the best constant has 0, a model without an error 1\n"
        'on = "low" # the lower end of its 95 % interval on the rows held out\n\n'
        "[champion] # on the held-out rows that the champion has not been trained on\n"
        f'metric = "mae"\ntolerance = {_round(off * 0.02):g} {UNCHECKED}: 2 % of how far a constant is off, {_round(off):g}\n\n'
    )


def _classes(outcome: Outcome) -> str:
    counts = np.bincount(outcome.numbers().drop_nulls().to_numpy().astype(np.int64))
    commonest = counts.max() / counts.sum()
    name = outcome.classes[int(counts.argmax())]
    # Where nearly all rows are of one class, being right says little: there each class counts as much as the others.
    uneven = commonest > UNEVEN
    metric = "macro_f1" if uneven else "accuracy"
    without = 2 * commonest / (1 + commonest) / len(outcome.classes) if uneven else commonest
    least = math.floor(100 * (without + 0.1 * (1 - without))) / 100
    always = json.dumps(name, ensure_ascii=False)
    return (
        f"[metrics.{metric}]\nmin = {least:.2f} {UNCHECKED}: who always says {always} has {without:.2f}\n"
        'on = "low" # the lower end of its 95 % interval on the rows held out\n\n'
        "[champion] # on the held-out rows that the champion has not been trained on\n"
        f'metric = "{metric}"\ntolerance = 0.02 # how much worse it may be\n\n'
    )


def trends(frame: pl.DataFrame, features: tuple[str, ...], outcome: Outcome) -> list[Trend]:
    """The numbers that the outcome follows most, the strongest first."""
    numbers = outcome.numbers()
    known = numbers.is_not_null()
    labels = numbers.filter(known).to_numpy()
    hits: dict[str | None, Floats] = {name: (labels == at).astype(np.float64) for at, name in enumerate(outcome.classes)}
    hits = hits or {None: labels}
    columns = [name for name in features if frame.schema[name].is_numeric()]
    found = [trend for name in columns for trend in _of(frame[name].filter(known), hits)]
    strongest = sorted(found, key=lambda trend: (-abs(trend.rho), trend.column))
    each = {trend.column: trend for trend in reversed(strongest)}
    return [trend for trend in strongest if each[trend.column] is trend][:MOST]


def _of(series: pl.Series, hits: Mapping[str | None, Floats]) -> Iterator[Trend]:
    from scipy.stats import rankdata

    values = series.cast(pl.Float64).to_numpy()
    there = np.isfinite(values)
    change = _round(float(values[there].std())) if there.sum() > MOST else 0.0
    if not change:
        return
    ranks = rankdata(values[there])
    for of, hit in hits.items():
        other = rankdata(hit[there])
        rho = float(np.corrcoef(ranks, other)[0, 1]) if other.std() else 0.0
        if abs(rho) >= WEAKEST:
            yield Trend(series.name, rho, change, of)


def as_behaviour(found: list[Trend], target: str) -> str:
    """Direction tests, each a guess from the file; the gate does not ask for them before somebody has made them its rule."""
    lines = [
        "# What must hold of the model whatever its metrics say, proposed from what goes together in the file.",
        "# Shown with every evaluation. They decide once gate.toml has: [behaviour] required = true",
    ]
    return "\n".join([*lines, *(_direction(trend, target) for trend in found), ""])


def _direction(trend: Trend, target: str) -> str:
    rises = trend.rho > 0
    whom = target if trend.of is None else f"{target} = {trend.of}"
    said = f"{UNCHECKED}: with more '{trend.column}', {whom} {'rises' if rises else 'falls'} (rank correlation {trend.rho:.2f})"
    lines = [
        "",
        " ".join("".join(one if one.isprintable() else " " for one in said).split()),
        "[[test]]",
        f"name = {json.dumps(f'more {trend.column}', ensure_ascii=False)}",
        'kind = "direction"',
        f"column = {json.dumps(trend.column, ensure_ascii=False)}",
        f"change = {trend.change!r}",
        f'expect = "{"not fall" if rises else "not rise"}"',
        "share = 0.8",
    ]
    return "\n".join([*lines, *([f"class = {json.dumps(trend.of, ensure_ascii=False)}"] if trend.of is not None else [])])


def _round(value: float) -> float:
    """To two significant digits."""
    return float(f"{value:.2g}") if math.isfinite(value) else 0.0
