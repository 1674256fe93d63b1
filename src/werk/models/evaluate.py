"""What a model can do, measured once on rows it has not seen, and stored for gates to read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.core.ports.model_format import Explains
from werk.models.behaviour import Holdout, check_behaviour, load_behaviour
from werk.models.compiled import Model, canonical_hash
from werk.models.explain import explain, importance
from werk.models.fit import Rows, by_key, predict
from werk.models.golden import check_golden, load_golden
from werk.models.metrics import Interval, auc_difference, calibration, checked_labels, losses, mean, metrics

Entry = Mapping[str, JSON]
_EXPLAINED_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Report:
    """Plain JSON all the way down. A metric is `{value, low, high}`, null where the rows cannot tell.

    `slices` and `bias` hold one entry per value of a column; `champion` is null when there was none to compare with, else
    its `canonical_hash`, `metrics` and `differences` (ours minus its, paired on the same rows). `importance` are shares.
    """

    model: str
    task: str
    n: int
    base_rate: float | None
    metrics: Mapping[str, Entry]
    slices: Sequence[Entry]
    calibration: Sequence[Entry]
    golden: Sequence[Entry]
    behaviour: Sequence[Entry]
    bias: Sequence[Entry]
    canonical_hash: str
    champion: Entry | None
    importance: Mapping[str, float]

    def to_json(self) -> dict[str, JSON]:
        return dict(json.loads(canonical_json(asdict(self))))

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Report:
        """The report of a `to_json`; `InputError` when a field is missing or unknown."""
        names = {field.name for field in fields(cls)}
        if set(data) != names:
            wrong = sorted(names.symmetric_difference(data))[0]
            raise InputError(f"This report is damaged at '{wrong}'.", code="report-damaged", hint="Evaluate the model again.")
        stored: dict[str, Any] = dict(data)
        return cls(**stored)


def evaluate(
    p: Platform,
    model: Model,
    holdout: Rows,
    *,
    golden: Path | None = None,
    behaviour: Path | None = None,
    slices: Sequence[str] = (),
    champion: Model | None = None,
) -> Report:
    """The report of a model on a holdout with outcomes; equal rows give an equal report in whatever order they come."""
    seen = measured(p, model, holdout)
    form = p.model_format[model.format]
    return Report(
        model=p.project.name,
        task=seen.task,
        n=len(seen.rows),
        base_rate=mean(seen.labels).value if seen.task == "binary" else None,
        metrics=_as_json(metrics(seen.task, seen.scores, seen.labels)),
        slices=[entry for column in slices for entry in _slices(seen, column)],
        calibration=calibration(seen.scores, seen.labels) if seen.task == "binary" else [],
        golden=check_golden(form, model, load_golden(golden)) if golden else [],
        behaviour=check_behaviour(p, model, seen, load_behaviour(behaviour)) if behaviour else [],
        bias=[entry for column in model.categories for entry in _bias(seen, column)] if seen.task == "binary" else [],
        canonical_hash=canonical_hash(form, model),
        champion=_against(p, champion, seen) if champion else None,
        importance=_shares(p, model, seen.rows),
    )


def compare(p: Platform, a: Model, b: Model, frame: Rows) -> dict[str, JSON]:
    """AUC of `a` minus AUC of `b` on the same rows with DeLong's paired interval: `{difference, low, high}`."""
    ours, theirs = measured(p, a, frame), measured(p, b, by_key(frame, a.key))
    if ours.task != "binary" or a.target != b.target or a.key != b.key:
        raise InputError("Only two binary models of one target and key compare.", code="compare-unlike", hint="Compare reports.")
    gap = auc_difference(ours.scores, theirs.scores, ours.labels)
    return {"difference": gap.value, "low": gap.low, "high": gap.high}


def measured(p: Platform, model: Model, holdout: Rows) -> Holdout:
    """The holdout in the order of the model's key, so that sums over rows repeat to the last bit."""
    rows = by_key(holdout, model.key)
    if model.target not in rows.columns:
        raise unknown("column", model.target, rows.columns, code="column-unknown")
    scores = predict(p, model, rows)
    labels = rows[model.target].cast(pl.Float64).fill_null(np.nan).to_numpy()
    checked_labels(kind_of(model), scores, labels)
    return Holdout(rows, kind_of(model), scores, labels)


def kind_of(model: Model) -> str:
    """`binary`, `multiclass` or `regression`, whatever the trainer calls its objective."""
    if model.task.startswith("multiclass") or model.task == "softmax":
        return "multiclass"
    return "binary" if model.task in ("binary", "cross_entropy") else "regression"


def _slices(seen: Holdout, column: str) -> list[Entry]:
    return [_slice(seen, column, value, here) for value, here in _groups(seen, column)]


def _slice(seen: Holdout, column: str, value: str | None, here: np.ndarray[Any, Any]) -> Entry:
    """A metric that the slice's rows cannot tell is left out: nobody can hold it against a bound."""
    found = metrics(seen.task, seen.scores[here], seen.labels[here])
    told = _as_json({name: metric for name, metric in found.items() if metric.value is not None})
    return {
        "name": f"{column}={'null' if value is None else value}",
        "column": column,
        "value": value,
        "n": int(here.sum()),
        "metrics": told,
    }


def _bias(seen: Holdout, column: str) -> list[Entry]:
    """Per value: the share called positive (from 0.5), what came true, and the gap to the share among all other rows."""
    called, out = seen.scores >= 0.5, list[Entry]()
    for value, here in _groups(seen, column):
        rate = float(called[here].mean())
        gap = rate - float(called[~here].mean()) if not here.all() else None
        true, said = float(seen.labels[here].mean()), float(seen.scores[here].mean())
        entry: Entry = {
            "name": f"{column}={'null' if value is None else value}",
            "column": column,
            "value": value,
            "n": int(here.sum()),
            "rate": rate,
        }
        out.append({**entry, "observed": true, "mean_score": said, **({} if gap is None else {"rate_difference": gap})})
    return out


def _groups(seen: Holdout, column: str) -> list[tuple[str | None, np.ndarray[Any, Any]]]:
    if column not in seen.rows.columns:
        raise unknown("column", column, seen.rows.columns, code="column-unknown")
    texts = seen.rows[column].cast(pl.String)
    values = sorted(texts.unique(), key=lambda value: (value is None, value or ""))
    return [(value, texts.eq_missing(pl.Series([value], dtype=pl.String)).to_numpy()) for value in values]


def _against(p: Platform, champion: Model, seen: Holdout) -> Entry:
    theirs = predict(p, champion, seen.rows)
    if theirs.shape != seen.scores.shape:
        raise InputError("The champion answers another question.", code="compare-unlike", hint="Compare models of one task.")
    gaps = _differences(seen, theirs)
    identity = canonical_hash(p.model_format[champion.format], champion)
    told = metrics(seen.task, theirs, seen.labels)
    return {"canonical_hash": identity, "metrics": _as_json(told), "differences": _as_json(gaps)}


def _differences(seen: Holdout, theirs: np.ndarray[Any, Any]) -> dict[str, Interval]:
    ours, other = losses(seen.task, seen.scores, seen.labels), losses(seen.task, theirs, seen.labels)
    gaps = {name: mean(ours[name] - other[name]) for name in ours}
    return {"auc": auc_difference(seen.scores, theirs, seen.labels), **gaps} if seen.task == "binary" else gaps


def _shares(p: Platform, model: Model, rows: pl.DataFrame) -> dict[str, float]:
    """Of the attributions of a sample that other rows cannot move: those whose key hashes lowest. Empty if unsupported."""
    if not isinstance(p.model_format[model.format], Explains) or kind_of(model) == "multiclass" or not len(rows):
        return {}
    texts = [canonical_json([str(part) for part in key]).encode() for key in rows.select(model.key).iter_rows()]
    lowest = np.argsort([hashlib.blake2b(text, digest_size=16).hexdigest() for text in texts], kind="stable")[:_EXPLAINED_ROWS]
    sizes = importance(explain(p, model, rows[np.sort(lowest)]), model)
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()} if total else sizes


def _as_json(found: Mapping[str, Interval]) -> dict[str, dict[str, JSON]]:
    return {name: metric.to_json() for name, metric in found.items()}
