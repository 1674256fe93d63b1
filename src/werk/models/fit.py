"""Training that gives the same model for the same rows, whatever order they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.canonical import canonical_json
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.models.compiled import Model, answered, canonical_hash, kind_of, model_json, restored
from werk.models.task import Task, checked_task, training_labels
from werk.workflow.frames import lazily

if TYPE_CHECKING:
    from lightgbm import Booster

Rows = Any  # a frame of any library that a step may take


_OURS = {
    "threads": ("num_threads", "num_thread", "nthread", "nthreads", "n_jobs"),
    "seed": ("seed", "random_seed", "random_state"),
    "rounds": (
        *("num_iterations", "num_iteration", "n_iter", "num_tree", "num_trees", "num_round", "num_rounds"),
        *("nrounds", "num_boost_round", "n_estimators", "max_iter"),
    ),
    "params={'objective': ...}": ("objective_type", "app", "application", "loss"),
    "categories": ("categorical_feature", "cat_feature", "categorical_column", "cat_column", "categorical_features"),
}
_FIXED = (
    *("deterministic", "force_row_wise", "force_col_wise", "bin_construct_sample_cnt", "subsample_for_bin"),
    *("verbosity", "verbose", "early_stopping_round", "early_stopping_rounds", "early_stopping", "n_iter_no_change"),
)
_BOOSTING, _DEVICE = ("gbdt", "dart"), ("cpu",)
_ONE_OF = {
    **dict.fromkeys(("boosting", "boosting_type", "boost"), _BOOSTING),
    **dict.fromkeys(("device", "device_type"), _DEVICE),
}
_POSITIONAL = (
    *("bagging_fraction", "sub_row", "subsample", "bagging", "bagging_freq", "subsample_freq", "data_sample_strategy"),
    *("pos_bagging_fraction", "pos_sub_row", "pos_subsample", "pos_bagging"),
    *("neg_bagging_fraction", "neg_sub_row", "neg_subsample", "neg_bagging"),
)


def fit_lightgbm(
    rows: Rows,
    *,
    target: str,
    key: Sequence[str],
    features: Sequence[str],
    categories: Sequence[str] = (),
    task: Task | None = None,
    params: Mapping[str, object] | None = None,
    rounds: int = 200,
    threads: int = 1,
    seed: int | None = None,
) -> Model:
    """A LightGBM model of the rows, the same for the same rows in any order.

    - `rows`: a frame of any library that a step may take (`as_frame` lists them).
    - `target`: the outcome: 1 or 0, a finite number, or a class (`target-values`). No row may lack it (`target-null`).
    - `task`: `binary`, `regression` or `multiclass`; without, that of the `objective` in `params`, which is `binary` by default.
    - `key`: columns that together tell every row apart (`key-tie`); rows are sorted by them before the fit.
    - `features`: numbers or booleans, and `categories`; null is a missing value.
    - `categories`: those features that are text, whole numbers or booleans; a value not seen here is missing when scored.
    - `params`: LightGBM's own. What chooses rows by position (`bagging_fraction` ...) or names threads, seed or rounds a second
      way is refused (`param-refused`).
    - `rounds`: trees. `threads`: pinned and recorded, because another count may give other bits.
    - `seed`: drawn from target, key, features and params unless given.

    ```python
    import polars as pl
    from werk import fit_lightgbm

    rows = pl.DataFrame({"id": range(200), "km": range(200), "late": [0, 1] * 100})
    model = fit_lightgbm(rows, target="late", key=["id"], features=["km"], rounds=5)
    assert (model.format, model.task) == ("lightgbm", "binary")
    ```
    """
    given = {"objective": checked_task(task or "binary"), **(params or {})}
    _check_params(given)
    kind = kind_of(str(given["objective"]))
    if task is not None and kind != task:
        raise _refused("objective", f"'{given['objective']}' is one of {kind}: leave it out, or say task=\"{kind}\".")
    frame, levels = ordered(rows, key, target, features, categories)
    labels, classes = training_labels(frame[target], kind)
    if kind == "regression":
        _check_told_apart(labels, target)
    if kind == "multiclass" and given.setdefault("num_class", len(classes)) != len(classes):
        raise _refused("num_class", f"The rows have {len(classes)} classes: leave it out.")
    chosen = _seed(target, key, features, given) if seed is None else seed
    fixed = {"deterministic": True, "force_row_wise": True, "num_threads": threads, "seed": chosen, "verbosity": -1}
    booster = _trained(frame, labels, features, levels, {**given, **fixed}, rounds)
    record = {**given, **fixed, "rounds": rounds}
    objective = str(given["objective"])
    return Model(booster, "lightgbm", tuple(features), levels, target, objective, tuple(key), record, chosen, classes)


def _check_told_apart(labels: NDArray[np.float64], target: str) -> None:
    """LightGBM keeps outcomes as float32: of an amount far from 0 it would learn the rounding."""
    lost = float(np.abs(labels.astype(np.float32).astype(np.float64) - labels).max(initial=0.0))
    if lost > float(np.ptp(labels)) / 100 > 0:
        raise InputError(
            f"The outcome '{target}' ({labels.min():.10g} to {labels.max():.10g}) differs only beyond the seventh digit, "
            "which LightGBM does not keep.",
            code="target-precision",
            hint="Subtract a constant near its smallest value before the fit, and add it to the answers.",
        )


def _trained(
    frame: pl.DataFrame,
    labels: NDArray[np.float64],
    features: Sequence[str],
    levels: Mapping[str, tuple[str, ...]],
    params: Mapping[str, object],
    rounds: int,
) -> Booster:
    import lightgbm  # here: half a second that a listing need not wait for

    data = lightgbm.Dataset(
        values_of(frame, features, levels),
        label=labels,
        feature_name=[f"f{at}" for at in range(len(features))],
        categorical_feature=[at for at, name in enumerate(features) if name in levels],
    )
    # All rows: beyond its default of 200,000 LightGBM would choose the rows it bins by their position.
    whole = {**params, "bin_construct_sample_cnt": max(len(frame), 200_000)}
    try:
        return lightgbm.train(whole, data, num_boost_round=rounds)
    except lightgbm.basic.LightGBMError as said:
        why = str(said).strip().rstrip(". ")
        raise InputError(
            f"LightGBM refuses these rows or parameters: {why}.", code="fit-refused", hint="Mend what it names."
        ) from said


def _check_params(given: Mapping[str, object]) -> None:
    for name, value in given.items():
        for ours, aliases in _OURS.items():
            if name in aliases:
                raise _refused(name, f"Use {ours}.")
        if name in _FIXED:
            raise _refused(name, "werk sets it, so that equal rows give equal models.")
        if name in _POSITIONAL:
            raise _refused(name, "It chooses rows by position, so that erasing one row would move all others.")
        if name in _ONE_OF and value not in _ONE_OF[name]:
            raise _refused(name, f"Repeatable are: {', '.join(_ONE_OF[name])}.")
        if not isinstance(value, str | int | float | list | tuple):
            raise _refused(name, "Parameters are numbers, text or lists, so that they can be recorded.")


def _refused(name: str, hint: str) -> InputError:
    return InputError(f"The parameter '{name}' is not taken.", code="param-refused", hint=hint)


def fit_logistic(
    rows: Rows,
    *,
    target: str,
    key: Sequence[str],
    features: Sequence[str],
    task: Task = "binary",
    params: Mapping[str, object] | None = None,
) -> Model:
    """A scaled logistic regression (scikit-learn): the baseline that any other model must beat.

    As `fit_lightgbm`, but features are numbers and none may be missing; `task` is `binary` or `multiclass`. `params` are those
    of `LogisticRegression`.
    """
    if checked_task(task) == "regression":
        raise InputError("A logistic regression has no task 'regression'.", code="task-unknown", hint="Use fit_linear.")
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    frame, _ = ordered(rows, key, target, features, ())
    given = {"max_iter": 1000, **(params or {})}
    pipe = Pipeline([("scale", StandardScaler()), ("logistic", LogisticRegression(**given))])
    labels, classes = training_labels(frame[target], task)
    pipe.fit(values_of(frame, features, {}), labels.astype(np.int64))
    return Model(pipe, "sklearn", tuple(features), {}, target, task, tuple(key), given, 0, classes)


def fit_linear(
    rows: Rows,
    *,
    target: str,
    key: Sequence[str],
    features: Sequence[str],
    params: Mapping[str, object] | None = None,
) -> Model:
    """A scaled ridge regression (scikit-learn) of a number: the baseline that any other regression must beat.

    As `fit_lightgbm` with `task="regression"`, but features are numbers and none may be missing. `params` are those of `Ridge`.
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    frame, _ = ordered(rows, key, target, features, ())
    given = {"solver": "cholesky", **(params or {})}
    pipe = Pipeline([("scale", StandardScaler()), ("ridge", Ridge(**given))])
    labels, _ = training_labels(frame[target], "regression")
    pipe.fit(values_of(frame, features, {}), labels)
    return Model(pipe, "sklearn", tuple(features), {}, target, "regression", tuple(key), given, 0)


def _seed(*definition: object) -> int:
    """From what is trained, never from when or where: 31 bits, as LightGBM takes them."""
    text = canonical_json(definition).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") >> 1


def ordered(
    rows: Rows, key: Sequence[str], target: str, features: Sequence[str], categories: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, tuple[str, ...]]]:
    """What a fit needs of the rows, sorted by their key, and the values of each category."""
    for name in categories:
        if name not in features:
            raise unknown("feature", name, features, code="category-unknown", hint="Categories are features as well.")
    needed = list(dict.fromkeys([*key, target, *features]))
    given = lazily(rows)
    _check_columns(given, needed)
    frame = by_key(given.select(needed), key)
    if frame.is_empty():
        hint = "Look at the table, the window and the split they come from."
        raise InputError("There are no rows to fit on.", code="rows-missing", hint=hint)
    if missing := frame[target].null_count():
        raise InputError(
            f"{missing:,} rows have no '{target}'.", code="target-null", hint=f'Drop them: rows.drop_nulls("{target}").'
        )
    return frame, {name: _levels(frame[name]) for name in categories}


def by_key(rows: Rows, key: Sequence[str]) -> pl.DataFrame:
    """The rows sorted by their natural key; `InputError` when the key is null or does not tell them apart."""
    given = lazily(rows)
    _check_columns(given, key)
    frame = given.collect().sort(key)
    _refuse_ties(frame, key)
    return frame


def _check_columns(rows: pl.LazyFrame, needed: Sequence[str]) -> None:
    present = rows.collect_schema().names()
    for name in needed:
        if name not in present:
            raise unknown("column", name, present, code="column-unknown")


def _levels(series: pl.Series) -> tuple[str, ...]:
    return tuple(sorted(_spelled(series).drop_nulls().unique()))


def _spelled(series: pl.Series) -> pl.Series:
    textual = isinstance(series.dtype, pl.Categorical | pl.Enum) or series.dtype in (pl.String, pl.Boolean, pl.Null)
    if not (textual or series.dtype.is_integer()):
        raise InputError(
            f"The category '{series.name}' is {series.dtype}.",
            code="category-type",
            hint="Categories are text, whole numbers or booleans: other types have no one spelling.",
        )
    return series.cast(pl.String)


def _refuse_ties(frame: pl.DataFrame, key: Sequence[str]) -> None:
    keys = frame.select(key)
    bad = keys.filter(pl.any_horizontal(pl.all().is_null()) | keys.is_duplicated())
    if len(bad):
        raise InputError(
            f"The key ({', '.join(key)}) is null or not unique: {bad.row(0)}.",
            code="key-tie",
            hint="Name columns that tell every row apart.",
        )


def matrix(model: Model, frame: Rows) -> NDArray[np.float64]:
    """The frame as the model was trained: its features in order, categories as codes, missing as NaN."""
    given = lazily(frame)
    _check_columns(given, model.features)
    return values_of(given.select(model.features).collect(), model.features, model.categories)


def values_of(frame: pl.DataFrame, features: Sequence[str], levels: Mapping[str, tuple[str, ...]]) -> NDArray[np.float64]:
    """(n, k): the features in order, categories as codes, missing as NaN."""
    out = np.empty((len(frame), len(features)), dtype=np.float64)
    for at, name in enumerate(features):
        out[:, at] = _column(frame[name], levels.get(name))
    return out


def _column(series: pl.Series, levels: tuple[str, ...] | None) -> NDArray[np.float64]:
    if levels is not None:
        codes = pl.Series(range(len(levels)), dtype=pl.Float64)
        known = pl.Series(levels, dtype=pl.String)
        text = _spelled(series)  # 3.0 is not the category 3 of training, and would be taken for a missing value
        return text.replace_strict(known, codes, default=None, return_dtype=pl.Float64).fill_null(np.nan).to_numpy()
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise InputError(
            f"Column '{series.name}' is {series.dtype}, not a number.",
            code="feature-type",
            hint="Cast it, or name it in categories.",
        )
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy()


def predict(p: Platform, model: Model, frame: Rows) -> NDArray[np.float64]:
    """One prediction a row, in the frame's order; of a multiclass model (rows, classes)."""
    return answered(p.model_format[model.format], model, matrix(model, frame))


class _ModelCodec:
    """How a run stores a model: its description's length, the description, the estimator."""

    kind = "model"

    def owns(self, value: object) -> bool:
        return isinstance(value, Model)

    def dump(self, p: Platform, value: Model) -> bytes:
        described = model_json(value)
        return len(described).to_bytes(8, "little") + described + p.model_format[value.format].dump(value.estimator)

    def load(self, p: Platform, data: bytes) -> Model:
        blank = self.described(data)
        end = 8 + int.from_bytes(data[:8], "little")
        return replace(blank, estimator=p.model_format[blank.format].load(data[end:]))

    def described(self, data: bytes) -> Model:
        """Everything about the stored model but its estimator, which is None."""
        return restored(data[8 : 8 + int.from_bytes(data[:8], "little")], None)

    def digest(self, p: Platform, value: Model) -> str:
        return canonical_hash(p.model_format[value.format], value).rpartition(":")[2]


model_codec = _ModelCodec()
