"""What a model can do, measured once on rows it has not seen, and stored for gates to read."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.core.ports.model_format import Explains, ModelFormat
from werk.models.behaviour import Holdout, check_behaviour, load_behaviour
from werk.models.compiled import Model, canonical_hash
from werk.models.estimates import of_class, residuals
from werk.models.explain import explain, importance
from werk.models.fit import Rows, by_key, matrix, predict
from werk.models.golden import check_golden, load_golden
from werk.models.metrics import (
    Interval,
    calibration,
    checked_labels,
    confidence,
    differences,
    mean,
    metrics,
)
from werk.models.task import MEASURE, numbered

Entry = Mapping[str, JSON]
Floats = np.ndarray[Any, np.dtype[np.float64]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
_EXPLAINED_ROWS = 1000
_TIMED_ROWS, _TIMED_TIMES = 300, 3


@dataclass(frozen=True, slots=True)
class Champion:
    """The version to be not worse than.

    - `trained_on`: the keys of the rows it learnt from, None when nobody knows.
    - `judged_on`: other rows as its own run made them, with key, features and outcome; None when they are no longer kept.
    - `changed`: the steps that made the new rows and whose code is another than in its run.
    """

    version: str
    model: Model
    trained_on: pl.DataFrame | None
    judged_on: pl.DataFrame | None = None
    changed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What `steps.evaluate` found, as the gate reads it: plain JSON all the way down.

    A metric is `{value, low, high}` with its 95 % interval, null where the rows cannot tell. Binary models have `auc`, `brier`,
    `log_loss`, `accuracy` and `ece`; regressions `mae`, `rmse`, `r2`, `mape` (no outcome may be 0) and of the best constant
    `baseline_mae`, `baseline_rmse`; multiclass models `accuracy`, `log_loss`, `macro_f1`, `auc` (each class against the others,
    on average), `ece` of the likeliest class and `baseline_accuracy`, that of the commonest.

    `calibration` says per tenth of what was predicted what came true; of a multiclass model, of the likeliest class. A class is
    one more of the `slices`, with `precision`, `recall`, `f1` and `auc`.

    `slices` and `bias` hold one entry per value of a column. `champion` is null when there was none to compare with, else its
    `version`, `canonical_hash`, `metrics` and `differences` (ours minus its, paired) on the `n` rows that it was not trained
    on; `seen` were left out (null: nobody knows), and `why` says why nothing could be compared. `importance` are shares.
    `latency` is measured with a clock and says `p50_ms` and `p95_ms` of one row; all else is the same for the same rows.
    `files` are the project's files it was made from by SHA-256, null for one that was not there; empty when nobody has said.
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
    latency: Entry
    files: Mapping[str, str | None] = field(default_factory=dict)

    def to_json(self) -> dict[str, JSON]:
        return dict(json.loads(canonical_json(asdict(self))))

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Report:
        """The report of a `to_json`; `InputError` when a field is missing or unknown."""
        names = {field.name for field in fields(cls)}
        wrong = sorted(names.symmetric_difference({"files", *data}))[:1]
        if wrong:
            raise InputError(f"This report is damaged at '{wrong[0]}'.", code="report-damaged", hint="Evaluate the model again.")
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
    champion: Champion | None = None,
) -> Report:
    """The report of a model on a holdout with outcomes; but for `latency`, equal rows give an equal report in any order."""
    seen = measured(p, model, holdout)
    form = p.model_format[model.format]
    return Report(
        model=p.project.name,
        task=seen.task,
        n=len(seen.rows),
        base_rate=mean(seen.labels).value if seen.task == "binary" else None,
        metrics=_as_json(metrics(seen.task, seen.scores, seen.labels)),
        slices=[*(entry for column in slices for entry in _slices(seen, column)), *_classes(seen)],
        calibration=_CALIBRATED[seen.task](seen.scores, seen.labels),
        golden=check_golden(form, model, load_golden(golden)) if golden else [],
        behaviour=check_behaviour(p, model, seen, load_behaviour(behaviour)) if behaviour else [],
        bias=[entry for column in model.categories for entry in _bias(seen, column)],
        canonical_hash=canonical_hash(form, model),
        champion=_against(p, champion, seen) if champion else None,
        importance=_shares(p, model, seen.rows),
        latency=_latency(form, model, seen.rows),
    )


def compare(p: Platform, a: Model, b: Model, frame: Rows) -> dict[str, JSON]:
    """`MEASURE` of `a` minus that of `b` on the same rows, with the paired interval: `{difference, low, high}`."""
    ours, theirs = measured(p, a, frame), measured(p, b, by_key(frame, a.key))
    if (ours.task, a.target, a.key, a.classes) != (theirs.task, b.target, b.key, b.classes):
        said = "Only two models of one task, target and key, and of the same classes, compare."
        raise InputError(said, code="compare-unlike", hint="Compare reports.")
    gap = differences(ours.task, ours.scores, theirs.scores, ours.labels)[MEASURE[ours.task]]
    return {"difference": gap.value, "low": gap.low, "high": gap.high}


def measured(p: Platform, model: Model, holdout: Rows) -> Holdout:
    """The holdout in the order of the model's key, so that sums over rows repeat to the last bit."""
    rows = by_key(holdout, model.key)
    if model.target not in rows.columns:
        raise unknown("column", model.target, rows.columns, code="column-unknown")
    scores = predict(p, model, rows)
    labels = numbered(rows[model.target], model.kind, model.classes)
    checked_labels(model.kind, scores, labels, rows[model.target].cast(pl.String).to_numpy() if model.classes else None)
    return Holdout(rows, model.kind, scores, labels, model.target, model.classes)


_CALIBRATED = {"binary": calibration, "multiclass": confidence, "regression": residuals}


def _classes(seen: Holdout) -> list[Entry]:
    """Of a multiclass model how well each class is told from all the others."""
    out = list[Entry]()
    for at, name in enumerate(seen.classes):
        told = _as_json({of: metric for of, metric in of_class(seen.scores, seen.labels, at).items() if metric.value is not None})
        about: Entry = {"name": f"{seen.target}={name} (class)", "column": seen.target, "value": name}
        out.append({**about, "n": int((seen.labels == at).sum()), "metrics": told})
    return out


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
    """Per value how its rows fare, and the gap to all other rows, in the words of the task."""
    if seen.task == "binary":
        return _called(seen, column)
    if seen.task == "regression":
        parts = {"error": seen.scores - seen.labels, "absolute_error": np.abs(seen.scores - seen.labels)}
        parts |= {"observed": seen.labels, "mean_score": seen.scores}
    else:
        parts = {"accuracy": (seen.scores.argmax(axis=1) == seen.labels).astype(np.float64)}
    out = list[Entry]()
    for value, here in _groups(seen, column):
        told: dict[str, JSON] = {"name": f"{column}={'null' if value is None else value}", "column": column, "value": value}
        told |= {"n": int(here.sum()), **{name: float(of[here].mean()) for name, of in parts.items()}}
        gaps = {} if here.all() else {name: float(of[here].mean() - of[~here].mean()) for name, of in parts.items()}
        told |= {f"{name}_difference": gaps[name] for name in ("error", "absolute_error", "accuracy") if name in gaps}
        out.append(told)
    return out


def _called(seen: Holdout, column: str) -> list[Entry]:
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


def _against(p: Platform, champion: Champion, seen: Holdout) -> Entry:
    """On the rows that are new to both: on those it was trained on the champion would have an advantage.

    Where the code now makes other features of a row than it learnt from, it is asked about rows as its own run made them.
    """
    fair = _new_to(champion, seen.rows)
    part, asked = _part(seen, fair), None
    why = _unlike(champion, seen) if fair.any() else f"{champion.version} was trained on all {len(fair):,} rows of this hold-out."
    if why is None:
        own = _kept(champion, part)
        if own is None:
            why = _made_by_other_code(champion)
        elif not _alike(champion.model, own, part.rows):
            part, asked = _part(part, _among(part.rows, own.select(champion.model.key))), own
    told: dict[str, JSON] = {
        "version": champion.version,
        "canonical_hash": canonical_hash(p.model_format[champion.model.format], champion.model),
        "n": len(part.rows),
        "seen": None if champion.trained_on is None else int((~fair).sum()),
        "own_rows": asked is not None,
    }
    try:
        compared = None if why else _compared(p, champion.model, part, part.rows if asked is None else asked)
    except InputError as unlike:
        why, compared = f"{champion.version} cannot answer these rows: {unlike.message}", None
    return {**told, "why": why, **(compared or {"metrics": {}, "differences": {}})}


def _made_by_other_code(champion: Champion) -> str | None:
    if not champion.changed:
        return None
    steps = " and ".join(champion.changed)
    return f"the code of {steps} has changed since {champion.version}, and none of these rows is kept as its own code made it."


def _kept(champion: Champion, part: Holdout) -> pl.DataFrame | None:
    """The champion's own rows of these keys, in their order; None if there are none whose outcome is still the same."""
    model, own = champion.model, champion.judged_on
    if own is None or not {*model.key, model.target} <= set(part.rows.columns):
        return None
    keys = part.rows.select(*model.key, pl.col(model.target).alias("_now"))
    own = own.cast({name: keys.schema[name] for name in model.key}, strict=False)
    found = keys.join(own, on=model.key, how="inner", maintain_order="left")
    now, then = (numbered(found[name], model.kind, model.classes) for name in ("_now", model.target))
    found = found.filter(pl.Series(now == then)).drop("_now")
    return found if found.height else None


def _alike(model: Model, own: pl.DataFrame, rows: pl.DataFrame) -> bool:
    """Whether both hold the same features of every row that the champion's run has kept."""
    if not set(model.features) <= set(rows.columns):
        return False
    now = own.select(model.key).join(rows, on=model.key, how="left", maintain_order="left")
    return now.select(model.features).equals(own.select(model.features))


def _new_to(champion: Champion, rows: pl.DataFrame) -> Flags:
    if champion.trained_on is None:
        return np.ones(len(rows), dtype=np.bool_)
    kept = champion.trained_on.cast({name: rows.schema[name] for name in champion.trained_on.columns}, strict=False)
    return ~_among(rows, kept.unique())


def _among(rows: pl.DataFrame, keys: pl.DataFrame) -> Flags:
    """Which rows have one of these keys."""
    found = np.zeros(len(rows), dtype=np.bool_)
    found[rows.select(keys.columns).with_row_index("_row").join(keys, on=keys.columns, how="semi")["_row"].to_numpy()] = True
    return found


def _unlike(champion: Champion, seen: Holdout) -> str | None:
    ours, theirs = (seen.task, seen.target), (champion.model.kind, champion.model.target)
    if ours != theirs:
        return f"{champion.version} answers another question ({theirs[0]} '{theirs[1]}')."
    known = champion.model.classes
    return None if seen.classes == known else f"{champion.version} knows other classes ({', '.join(known)})."


def _part(seen: Holdout, where: Flags) -> Holdout:
    return replace(seen, rows=seen.rows.filter(pl.Series(where)), scores=seen.scores[where], labels=seen.labels[where])


def _compared(p: Platform, champion: Model, seen: Holdout, asked: pl.DataFrame) -> dict[str, JSON]:
    """`asked` are the same rows in the same order, as the champion is to see them."""
    theirs = predict(p, champion, asked)
    if theirs.shape != seen.scores.shape:
        raise InputError("it knows other classes.", code="compare-unlike", hint="Compare models of one task.")
    told = metrics(seen.task, theirs, seen.labels)
    gaps = differences(seen.task, seen.scores, theirs, seen.labels)
    return {"metrics": {**_as_json(told)}, "differences": {**_as_json(gaps)}}


def _shares(p: Platform, model: Model, rows: pl.DataFrame) -> dict[str, float]:
    """Of the attributions of a sample. Empty if unsupported."""
    if not isinstance(p.model_format[model.format], Explains) or not len(rows):
        return {}
    sizes = importance(explain(p, model, _sampled(model, rows, _EXPLAINED_ROWS)), model)
    total = sum(sizes.values())
    return {name: size / total for name, size in sizes.items()} if total else sizes


def _sampled(model: Model, rows: pl.DataFrame, size: int) -> pl.DataFrame:
    """Rows that other rows cannot move: those whose key hashes lowest."""
    texts = [canonical_json([str(part) for part in key]).encode() for key in rows.select(model.key).iter_rows()]
    lowest = np.argsort([hashlib.blake2b(text, digest_size=16).hexdigest() for text in texts], kind="stable")[:size]
    return rows[np.sort(lowest)]


def _latency(form: ModelFormat, model: Model, rows: pl.DataFrame) -> Entry:
    """One row at a time, as a server asks the packaged model; of each row the fastest of three answers counts, so that a
    busy machine is not held against the model."""
    packaged = form.dump(model.estimator)
    served, values = form.load(packaged), matrix(model, _sampled(model, rows, _TIMED_ROWS))
    asked = [values[at : at + 1] for at in range(len(values))]
    best = np.min([[_seconds(form, served, row) for row in asked] for _ in range(_TIMED_TIMES)], axis=0) * 1000
    told: dict[str, JSON] = {f"p{part}_ms": float(np.percentile(best, part)) if asked else None for part in (50, 95)}
    rounds = model.params.get("rounds")
    return {**told, "rows": len(asked), "size_bytes": len(packaged), "rounds": rounds if isinstance(rounds, int) else None}


def _seconds(form: ModelFormat, served: object, row: Floats) -> float:
    began = time.perf_counter()
    form.predict(served, row)
    return time.perf_counter() - began


def _as_json(found: Mapping[str, Interval]) -> dict[str, dict[str, JSON]]:
    return {name: metric.to_json() for name, metric in found.items()}
