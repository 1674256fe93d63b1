"""A model as the prediction server holds it: numbers in, numbers out, no data frame library."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import canonical_json, token_digest
from werk.core.errors import InputError
from werk.core.ports.model_format import ModelFormat


@dataclass(frozen=True, slots=True)
class Model:
    """What a prediction depends on, and how it came to be: what `fit_*` returns and steps pass on.

    - `estimator`: the library's own object; `format` says which adapter stores and runs it.
    - `features`, in the order the estimator takes them; `categories`: the sorted values of each feature that is one.
    - `task`: the objective it was trained for; `kind` says which of the three tasks that is.
    - `target` and `key`: the columns of outcome and identity; `classes`: the names of a multiclass model's outcomes.
    """

    estimator: object
    format: str
    features: tuple[str, ...]
    categories: Mapping[str, tuple[str, ...]]
    target: str
    task: str
    key: tuple[str, ...]
    params: Mapping[str, object] = field(default_factory=dict)
    seed: int = 0
    classes: tuple[str, ...] = ()

    @property
    def kind(self) -> Literal["binary", "regression", "multiclass"]:
        """Whatever the trainer calls its objective."""
        return kind_of(self.task)


def kind_of(objective: str) -> Literal["binary", "regression", "multiclass"]:
    """The task that a trainer's objective serves."""
    if objective.startswith("multiclass") or objective in ("softmax", "ova", "ovr", "multiclass_ova"):
        return "multiclass"
    return "binary" if objective in ("binary", "cross_entropy") else "regression"


def answered(form: ModelFormat, model: Model, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """One number a row; of a multiclass model a probability for each class, also where two have made the library give one."""
    found = form.predict(model.estimator, rows)
    return np.stack([1 - found, found], axis=1) if model.kind == "multiclass" and found.ndim == 1 else found


def model_json(model: Model) -> bytes:
    """Everything about a model but its estimator, in canonical bytes."""
    names = ("format", "features", "target", "task", "key", "seed")
    facts: dict[str, object] = {name: getattr(model, name) for name in names}
    classes = {"classes": model.classes} if model.classes else {}
    return canonical_json({**facts, "categories": dict(model.categories), "params": dict(model.params), **classes}).encode()


def restored(described: bytes, estimator: object) -> Model:
    """The model of a `model_json` and its estimator."""
    try:
        facts = json.loads(described)
        facts["categories"] = {name: tuple(values) for name, values in facts["categories"].items()}
        facts["features"], facts["key"] = tuple(facts["features"]), tuple(facts["key"])
        facts["classes"] = tuple(facts.get("classes", ()))
        return Model(estimator=estimator, **facts)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as damage:
        raise InputError("This model.json is damaged.", code="model-damaged", hint="Package the model again.") from damage


def canonical_hash(form: ModelFormat, model: Model) -> str:
    """What a prediction depends on: the estimator, the features in order, categories, target, task and classes."""
    parts = [form.digest(model.estimator), model.features, dict(model.categories), model.target, model.task]
    parts += [model.classes] if model.classes else []
    return f"werk-canon/1:{model.format}:{token_digest(parts)}"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """Built once per server from a package's bytes; answers JSON rows bit for bit as the batch path does."""

    model: Model
    form: ModelFormat

    @classmethod
    def of(cls, described: bytes, form: ModelFormat, data: bytes) -> ServedModel:
        return cls(restored(described, form.load(data)), form)

    def predict_rows(self, rows: Sequence[Mapping[str, object]]) -> NDArray[np.float64]:
        values = np.empty((len(rows), len(self.model.features)), dtype=np.float64)
        for at, name in enumerate(self.model.features):
            codes = {value: float(code) for code, value in enumerate(self.model.categories.get(name, ()))}
            known = codes if name in self.model.categories else None
            values[:, at] = [_number(name, row, known) for row in rows]
        return answered(self.form, self.model, values)


def _number(name: str, row: Mapping[str, object], codes: Mapping[str, float] | None) -> float:
    if name not in row:
        raise InputError(f"A row lacks the feature '{name}'.", code="feature-missing", hint="Send null for a missing value.")
    value = row[name]
    if value is None:
        return np.nan
    if codes is not None and isinstance(value, str | int):
        return codes.get(_spelled(value), np.nan)
    if codes is None and isinstance(value, int | float):
        return float(value)
    wanted = "text" if codes is not None else "a number"
    raise InputError(f"Feature '{name}' needs {wanted}, not {value!r}.", code="feature-type", hint="Send the training type.")


def _spelled(value: str | int) -> str:
    """As the data frame library spells a category at training."""
    return str(value).lower() if isinstance(value, bool) else str(value)
