"""Training that gives the same model for the same rows, whatever order they come in."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import lightgbm
import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler

from werk.core.canonical import canonical_json
from werk.core.errors import InputError, unknown
from werk.core.platform import Platform
from werk.models.compiled import Model, canonical_hash, model_json, restored

Rows = pl.DataFrame | pl.LazyFrame


def fit_lightgbm(
    rows: Rows,
    *,
    target: str,
    key: Sequence[str],
    features: Sequence[str],
    categories: Sequence[str] = (),
    params: Mapping[str, object] | None = None,
    rounds: int = 200,
    threads: int = 1,
    seed: int | None = None,
) -> Model:
    """A booster of the rows; threads are pinned and recorded, because another count may give other bits."""
    frame, levels = _ordered(rows, key, [*features, target], categories)
    given = {"objective": "binary", **(params or {})}
    chosen = _seed(target, key, features, given) if seed is None else seed
    fixed = {"deterministic": True, "force_row_wise": True, "num_threads": threads, "seed": chosen, "verbosity": -1}
    names = [name for name in features if name in levels]
    data = lightgbm.Dataset(
        _values(frame, features, levels),
        label=frame[target].cast(pl.Float64).to_numpy(),
        feature_name=[f"f{at}" for at in range(len(features))],
        categorical_feature=[list(features).index(name) for name in names],
    )
    booster = lightgbm.train({**given, **fixed}, data, num_boost_round=rounds)
    task = str(given["objective"])
    record = {**given, **fixed, "rounds": rounds}
    return Model(booster, "lightgbm", tuple(features), levels, target, task, tuple(key), record, chosen)


def fit_logistic(
    rows: Rows,
    *,
    target: str,
    key: Sequence[str],
    features: Sequence[str],
    params: Mapping[str, object] | None = None,
) -> Model:
    """A scaled logistic regression of complete numeric rows: the baseline any other model must beat."""
    frame, _ = _ordered(rows, key, [*features, target], ())
    given = {"max_iter": 1000, **(params or {})}
    pipe = Pipeline([("scale", StandardScaler()), ("logistic", LogisticRegression(**given))])
    pipe.fit(_values(frame, features, {}), frame[target].cast(pl.Int64).to_numpy())
    return Model(pipe, "sklearn", tuple(features), {}, target, "binary", tuple(key), given, 0)


def _seed(*definition: object) -> int:
    """From what is trained, never from when or where: 31 bits, as LightGBM takes them."""
    text = canonical_json(definition).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=4).digest(), "little") >> 1


def _ordered(
    rows: Rows, key: Sequence[str], needed: Sequence[str], categories: Sequence[str]
) -> tuple[pl.DataFrame, dict[str, tuple[str, ...]]]:
    present = rows.lazy().collect_schema().names()
    for name in [*key, *needed, *categories]:
        if name not in present:
            raise unknown("column", name, present, code="column-unknown")
    frame = rows.lazy().select(list(dict.fromkeys([*key, *needed]))).collect().sort(key)
    _refuse_ties(frame, key)
    levels = {name: tuple(sorted(frame[name].cast(pl.String).drop_nulls().unique())) for name in categories}
    return frame, levels


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
    whole = frame.lazy().collect()
    for name in model.features:
        if name not in whole.columns:
            raise unknown("column", name, whole.columns, code="column-unknown")
    return _values(whole, model.features, model.categories)


def _values(frame: pl.DataFrame, features: Sequence[str], levels: Mapping[str, tuple[str, ...]]) -> NDArray[np.float64]:
    out = np.empty((len(frame), len(features)), dtype=np.float64)
    for at, name in enumerate(features):
        out[:, at] = _column(frame[name], levels.get(name))
    return out


def _column(series: pl.Series, levels: tuple[str, ...] | None) -> NDArray[np.float64]:
    if levels is not None:
        codes = pl.Series(range(len(levels)), dtype=pl.Float64)
        known = pl.Series(levels, dtype=pl.String)
        text = series.cast(pl.String)
        return text.replace_strict(known, codes, default=None, return_dtype=pl.Float64).fill_null(np.nan).to_numpy()
    if not (series.dtype.is_numeric() or series.dtype in (pl.Boolean, pl.Null)):
        raise InputError(
            f"Column '{series.name}' is {series.dtype}, not a number.",
            code="feature-type",
            hint="Cast it, or name it in categories.",
        )
    return series.cast(pl.Float64).fill_null(np.nan).to_numpy()


def predict(p: Platform, model: Model, frame: Rows) -> NDArray[np.float64]:
    """One prediction a row, in the frame's order."""
    return p.model_format[model.format].predict(model.estimator, matrix(model, frame))


class _ModelCodec:
    """How a run stores a model: its description's length, the description, the estimator."""

    kind = "model"

    def owns(self, value: object) -> bool:
        return isinstance(value, Model)

    def dump(self, p: Platform, value: Model) -> bytes:
        described = model_json(value)
        return len(described).to_bytes(8, "little") + described + p.model_format[value.format].dump(value.estimator)

    def load(self, p: Platform, data: bytes) -> Model:
        end = 8 + int.from_bytes(data[:8], "little")
        blank = restored(data[8:end], None)
        return restored(data[8:end], p.model_format[blank.format].load(data[end:]))

    def digest(self, p: Platform, value: Model) -> str:
        return canonical_hash(p.model_format[value.format], value).rpartition(":")[2]


model_codec = _ModelCodec()
