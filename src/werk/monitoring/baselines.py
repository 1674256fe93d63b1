"""What a model version was accepted on: the rows every later window is compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.monitoring import bias, metrics
from werk.monitoring.bias import GroupBias
from werk.monitoring.metrics import Interval
from werk.monitoring.profiles import Profile, profile

SCHEMA = 1
Floats = NDArray[np.float64]
Task = Literal["binary", "regression", "multiclass"]


@dataclass(frozen=True, slots=True)
class Baseline:
    """`frame_columns` are all columns the frame had, `features` profiles those the model uses.

    `decision` is the score from which a prediction counts as positive: by default as many rows as were positive. `blocks` is
    how many days the rows came from, None when that is not known.
    `label_share` is None and `metrics` and `groups` are empty when no outcome was known. `per_window` is how many rows a
    window usually has. `outcome` and `things` are the words the sentences use: "late", "flights".

    A regression's outcomes have the mean `label_mean` and the standard deviation `label_spread`, and `decision` is the error
    that half of its predictions stayed within; a multiclass model's outcomes have the `label_shares` of its `classes`.
    """

    rows: int
    frame_columns: tuple[str, ...]
    features: Mapping[str, Profile]
    prediction: Profile
    mean_score: float | None
    label_share: float | None
    decision: float
    metrics: Mapping[str, Interval]
    groups: Mapping[str, GroupBias]
    importance: Mapping[str, float]
    per_window: float | None = None
    outcome: str = "positive"
    things: str = "rows"
    blocks: int | None = None
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    label_mean: float | None = None
    label_spread: float | None = None
    label_shares: Mapping[str, float] = field(default_factory=dict)

    @property
    def weights(self) -> dict[str, float]:
        """Each feature's share of the importance; equal shares when none is known."""
        raw = {name: max(0.0, self.importance.get(name, 0.0)) for name in self.features}
        total = sum(raw.values())
        return {name: weight / total if total else 1 / len(raw) for name, weight in raw.items()}

    def to_json(self) -> dict[str, JSON]:
        told: dict[str, JSON] = {
            "schema": SCHEMA,
            "rows": self.rows,
            "frame_columns": list(self.frame_columns),
            "features": {name: of.to_json() for name, of in self.features.items()},
            "prediction": self.prediction.to_json(),
            "mean_score": self.mean_score,
            "label_share": self.label_share,
            "decision": self.decision,
            "metrics": {name: of.to_json() for name, of in self.metrics.items()},
            "groups": {name: of.to_json() for name, of in self.groups.items()},
            "importance": dict(self.importance),
            "per_window": self.per_window,
            "outcome": self.outcome,
            "things": self.things,
            "blocks": self.blocks,
        }
        if self.task == "binary":
            return told
        told |= {"task": self.task, "classes": list(self.classes), "label_shares": dict(self.label_shares)}
        return told | {"label_mean": self.label_mean, "label_spread": self.label_spread}

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Baseline:
        fields = dict(data)
        if fields.pop("schema", None) != SCHEMA:
            raise InputError(
                f"This baseline has schema {data.get('schema')}, known is {SCHEMA}.", code="baseline-schema", hint="Upgrade werk."
            )
        built: dict[str, object] = {
            **fields,
            "frame_columns": tuple(_list(fields["frame_columns"])),
            "features": {name: Profile.from_json(_map(of)) for name, of in _map(fields["features"]).items()},
            "prediction": Profile.from_json(_map(fields["prediction"])),
            "metrics": {name: Interval.from_json(_map(of)) for name, of in _map(fields["metrics"]).items()},
            "groups": {name: GroupBias.from_json(_map(of)) for name, of in _map(fields["groups"]).items()},
            "classes": tuple(_list(fields.get("classes", []))),
        }
        return cls(**built)  # type: ignore[arg-type]  # keys are exactly the fields written by to_json


def baseline(
    *,
    features: pl.DataFrame,
    columns: Sequence[str],
    scores: NDArray[np.floating],
    labels: NDArray[np.generic] | None,
    groups: pl.Series | None,
    importance: Mapping[str, float],
    training: pl.DataFrame | None = None,
    per_window: float | None = None,
    decision: float | None = None,
    outcome: str = "positive",
    things: str = "rows",
    blocks: pl.Series | None = None,
    task: Task = "binary",
    classes: Sequence[str] = (),
) -> Baseline:
    """Profiles of `columns`, of the scores and of how good they were; labels are 0, 1 or missing (NaN, None).

    Of a regression, labels are numbers; of a multiclass model, scores are (rows, classes) and labels the number of a class, -1
    for one that the model does not know.

    `blocks` says which rows share what moves them all: the day, for most.

    `features` are the accepted rows, one score each. `training`, when given, are the rows whose features are profiled: the
    hold-out says how good a model is, all of its training rows say what it knows.
    """
    known_rows = features if training is None else training
    absent = [name for name in columns if name not in known_rows.columns]
    if absent:
        raise InputError(f"The rows have no column '{absent[0]}'.", code="column-unknown", hint="Name the model's features.")
    rows = rows_of(features, scores, labels, groups, blocks, task, classes)
    known = rows.labels[rows.known]
    share = float(known.mean()) if len(known) and task == "binary" else None
    cut = _cut(rows, share) if decision is None else decision
    return Baseline(
        rows=features.height,
        frame_columns=tuple(known_rows.columns),
        features={name: profile(known_rows[name]) for name in columns},
        prediction=profile(rows.said),
        mean_score=rows.mean_score,
        label_share=share,
        decision=cut,
        metrics=_measured(rows),
        groups=rows.bias(cut),
        importance={name: float(weight) for name, weight in importance.items() if np.isfinite(weight)},
        per_window=per_window,
        outcome=outcome,
        things=things,
        blocks=rows.block_count,
        task=task,
        classes=tuple(classes),
        label_mean=float(known.mean()) if len(known) and task == "regression" else None,
        label_spread=float(known.std()) if len(known) and task == "regression" else None,
        label_shares=rows.label_shares,
    )


@dataclass(frozen=True, slots=True)
class Rows:
    """A window's scores, outcomes (NaN = not known), groups and numbered blocks, all of one length.

    Of a multiclass model a score is the probability of the likeliest class, whose number is in `likeliest`.
    """

    scores: Floats
    labels: Floats
    groups: NDArray[np.str_] | None
    blocks: NDArray[np.int64] | None = None
    task: Task = "binary"
    classes: tuple[str, ...] = ()
    likeliest: NDArray[np.int64] | None = None

    @property
    def said(self) -> pl.Series:
        """What the model answered: numbers, or the names of classes."""
        if self.likeliest is None:
            return pl.Series(self.scores, dtype=pl.Float64)
        return pl.Series([self.classes[at] for at in self.likeliest], dtype=pl.String)

    @property
    def missed(self) -> Floats:
        """How far each prediction lay from its outcome, in absolute terms; of classes 0 where right and 1 where wrong."""
        if self.likeliest is None:
            return np.abs(self.scores - self.labels)
        wrong: Floats = (self.likeliest != self.labels).astype(np.float64)
        return wrong

    @property
    def label_shares(self) -> dict[str, float]:
        """Of a multiclass model's known outcomes; those of classes that it does not know are left out."""
        known = self.labels[self.known]
        return {name: float((known == at).mean()) for at, name in enumerate(self.classes)} if len(known) else {}

    @property
    def block_count(self) -> int | None:
        """How many blocks the rows with known outcomes come from."""
        return None if self.blocks is None else len(np.unique(self.blocks[self.known]))

    @property
    def known(self) -> NDArray[np.bool_]:
        there = np.isfinite(self.scores)
        return there & (np.isin(self.labels, (0.0, 1.0)) if self.task == "binary" else np.isfinite(self.labels))

    @property
    def mean_score(self) -> float | None:
        finite = self.scores[np.isfinite(self.scores)]
        return float(finite.mean()) if len(finite) else None

    def auc(self) -> Interval | None:
        return metrics.auc(self.scores[self.known], self.labels[self.known])

    def bias(self, decision: float) -> dict[str, GroupBias]:
        if self.groups is None:
            return {}
        known = self.known
        blocks = None if self.blocks is None else self.blocks[known]
        if self.task != "binary":
            right = self.missed[known] <= (decision if self.task == "regression" else 0.0)
            return bias.by_group(self.groups[known], np.ones(len(right), dtype=np.bool_), right, blocks)
        return bias.by_group(self.groups[known], self.labels[known] == 1, self.scores[known] >= decision, blocks)


def rows_of(
    features: pl.DataFrame,
    scores: NDArray[np.floating],
    labels: NDArray[np.generic] | None,
    groups: pl.Series | None,
    blocks: pl.Series | None = None,
    task: Task = "binary",
    classes: Sequence[str] = (),
) -> Rows:
    for what, given in (("scores", scores), ("labels", labels), ("groups", groups), ("blocks", blocks)):
        if given is not None and len(given) != features.height:
            raise InputError(
                f"There are {len(given)} {what} for {features.height} rows.", code="rows-differ", hint="Give one per row."
            )
    outcomes = np.full(features.height, np.nan) if labels is None else _numbers(labels)
    named = None if groups is None else groups.cast(pl.String).fill_null("(none)").to_numpy().astype(str)
    numbered = None if blocks is None else (blocks.rank("dense").fill_null(0)).cast(pl.Int64).to_numpy()
    if task == "multiclass":
        chances = np.asarray(scores, dtype=np.float64).reshape(features.height, len(classes))
        likeliest = np.nan_to_num(chances, nan=-1.0).argmax(axis=1)
        return Rows(chances.max(axis=1), outcomes, named, numbered, task, tuple(classes), likeliest)
    return Rows(_numbers(scores), outcomes, named, numbered, task)


def _numbers(values: NDArray[np.generic]) -> Floats:
    """As float; what is no number is NaN."""
    return pl.Series(np.asarray(values).tolist(), strict=False).cast(pl.Float64, strict=False).fill_null(np.nan).to_numpy()


def _cut(rows: Rows, share: float | None) -> float:
    if rows.task == "binary":
        return _decision(rows.scores, share)
    missed = rows.missed[rows.known]
    return float(np.median(missed)) if len(missed) and rows.task == "regression" else 0.0


def _decision(scores: Floats, share: float | None) -> float:
    finite = scores[np.isfinite(scores)]
    return float(np.quantile(finite, 1 - share)) if share is not None and len(finite) else 0.5


def _measured(rows: Rows) -> dict[str, Interval]:
    if rows.task != "binary":
        found = metrics.errors(rows.missed[rows.known]) if rows.task == "regression" else metrics.hits(rows.missed[rows.known])
        return {name: interval for name, interval in found.items() if interval is not None}
    found = {"auc": rows.auc(), "brier": metrics.brier(rows.scores[rows.known], rows.labels[rows.known])}
    return {name: interval for name, interval in found.items() if interval is not None}


def _map(value: JSON) -> Mapping[str, JSON]:
    assert isinstance(value, Mapping)
    return value


def _list(value: JSON) -> list[JSON]:
    assert isinstance(value, list)
    return value
