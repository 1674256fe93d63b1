"""What kind of question a model answers, and its outcomes as the numbers that training and metrics work on.

A project says it once, where it fits; everything after reads it from the model: the report's metrics, the gate, batch and served
answers, monitors and the story.

```python no-run: a fragment
fit_lightgbm(rows, target="late", ...)                        # binary, the default: the outcome is 1 or 0 (or a boolean)
fit_lightgbm(rows, target="price", task="regression", ...)    # the outcome is a finite number
fit_lightgbm(rows, target="kind", task="multiclass", ...)     # text, whole numbers or booleans, each value a class
```

Scikit-learn: `fit_logistic(task="binary" | "multiclass")` and `fit_linear` (regression). `Model.kind` is one of the three words,
`Model.classes` the classes' names in the order of the model's answers: whole numbers by size, all else by its letters. A model
answers one number a row, a multiclass one a probability for each class.

| task | metrics of the report (`gate.toml`: `[metrics.NAME]`, `[champion] metric = "NAME"`) |
| --- | --- |
| binary | `auc`, `log_loss`, `brier`, `accuracy`, `ece` |
| regression | `mae`, `rmse`, `r2`, `mape` (only where no outcome is 0); `baseline_mae`, `baseline_rmse`: of the best constant |
| multiclass | `accuracy`, `log_loss`, `macro_f1`, `auc`, `ece` (of the likeliest class); `baseline_accuracy`: of the commonest |

A report of a multiclass model has each class among its `slices`, as `TARGET=CLASS (class)` with `precision`, `recall`, `f1` and
`auc`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, get_args

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.errors import InputError, unknown

Task = Literal["binary", "regression", "multiclass"]
Floats = NDArray[np.float64]
MEASURE = {"binary": "auc", "multiclass": "accuracy", "regression": "mae"}  # what a model is told by and two are compared by
MOST_CLASSES = 100
UNSEEN = -1.0  # the number of a class that the model was not trained on; a missing outcome is NaN


def checked_task(task: str) -> Task:
    for known in get_args(Task):
        if task == known:
            chosen: Task = known
            return chosen
    raise unknown("task", task, get_args(Task), code="task-unknown")


def training_labels(outcomes: pl.Series, kind: str) -> tuple[Floats, tuple[str, ...]]:
    """The outcomes as numbers, and the classes they count; `InputError` where nothing can be learnt from them."""
    if kind != "multiclass":
        return _finite(outcomes, kind), ()
    texts = spelled(outcomes)
    if missing := texts.null_count():
        raise _unfit(outcomes.name, f"has {missing:,} rows that are not a number (NaN)", "Drop them before the fit.")
    classes = in_order(texts.unique())
    if len(classes) < 2:
        raise _unfit(outcomes.name, f"is '{classes[0]}' in every row", "A model of classes needs rows of at least two.")
    if len(classes) > MOST_CLASSES:
        hint = f'At most {MOST_CLASSES} are learnt: join the rare ones, or use task="regression" for a number.'
        raise _unfit(outcomes.name, f"has {len(classes):,} classes", hint)
    return numbered(outcomes, kind, classes), classes


def numbered(outcomes: pl.Series, kind: str, classes: tuple[str, ...]) -> Floats:
    """As numbers: NaN where the outcome is missing, `UNSEEN` for a class the model does not know."""
    if kind != "multiclass":
        textual = outcomes.dtype == pl.String or isinstance(outcomes.dtype, pl.Categorical | pl.Enum)
        found = (outcomes.cast(pl.String) if textual else outcomes).cast(pl.Float64, strict=False)
        if found.null_count() > outcomes.null_count():
            raise _unfit(outcomes.name, f"is no number, and a {kind} model answers with one", 'Names need task="multiclass".')
        return found.fill_null(np.nan).to_numpy()
    codes = pl.Series(range(len(classes)), dtype=pl.Float64)
    texts = spelled(outcomes)
    found = texts.replace_strict(pl.Series(classes, dtype=pl.String), codes, default=UNSEEN, return_dtype=pl.Float64)
    return pl.select(pl.when(texts.is_null()).then(np.nan).otherwise(found)).to_series().to_numpy()


def spelled(outcomes: pl.Series) -> pl.Series:
    """Each class by the one name it has: 3 and 3.0 are the class "3"; NaN is missing."""
    if outcomes.dtype.is_float():
        known = outcomes.fill_nan(None)
        if not known.drop_nulls().is_finite().all() or (known.drop_nulls() % 1 != 0).any():
            raise _unfit(outcomes.name, "has fractions, which name no classes", 'Use task="regression", or cut it into classes.')
        return known.cast(pl.Int64).cast(pl.String)
    textual = outcomes.dtype in (pl.String, pl.Boolean, pl.Null) or isinstance(outcomes.dtype, pl.Categorical | pl.Enum)
    if not (textual or outcomes.dtype.is_integer()):
        raise _unfit(outcomes.name, f"is {outcomes.dtype}", "Classes are text, whole numbers or booleans.")
    return outcomes.cast(pl.String)


def in_order(names: Iterable[str]) -> tuple[str, ...]:
    """
    >>> in_order(["10", "9"]), in_order(["b", "10", "a"])
    (('9', '10'), ('10', 'a', 'b'))
    """
    known = list(names)
    whole = all(re.fullmatch(r"-?\d+", name, re.ASCII) for name in known)
    return tuple(sorted(known, key=(lambda name: (int(name), name)) if whole else lambda name: (0, name)))


def _finite(outcomes: pl.Series, kind: str) -> Floats:
    labels = numbered(outcomes, kind, ())
    wrong = ~np.isfinite(labels)
    if kind == "regression" and wrong.any():
        told = f"has {int(wrong.sum()):,} rows that are no finite number, such as {labels[wrong][0]}"
        raise _unfit(outcomes.name, told, "Drop them before the fit.")
    return labels


def _unfit(name: str, why: str, hint: str) -> InputError:
    return InputError(f"The outcome '{name}' {why}.", code="target-values", hint=hint)
