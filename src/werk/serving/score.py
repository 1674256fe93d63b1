"""The batch answer: one prediction a row, each with an id of its own that an exact repeat gives again."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.canonical import canonical_json
from werk.core.errors import InputError, unknown
from werk.core.nouns import ModelVersion, Snapshot
from werk.core.platform import Platform
from werk.models.compiled import Model, canonical_hash
from werk.models.explain import explain
from werk.models.fit import predict


def score(
    p: Platform,
    mv: ModelVersion,
    model: Model,
    frame: pl.DataFrame | pl.LazyFrame,
    *,
    input_snapshot: Snapshot | str,
    batch: str | None = None,
    with_attributions: int = 0,
) -> pl.DataFrame:
    """Every row's prediction, sorted by the model's natural key; rows out are rows in.

    Columns: prediction_id, model, version, canonical_hash, input_snapshot, the key, score. `batch` is what `batch_of` says of
    rows that are to be written; without, the ids are of the version and the input. `with_attributions=n` adds a
    list column `attributions` (one value a feature, the base value last, in margin space) for n rows chosen by their
    prediction id, so that the same rows are chosen again; the others hold null.

    `score` is a binary model's probability of 1 and a regression's number. A multiclass model has more columns: `class`, the
    likeliest, whose probability `score` then is, and `p_CLASS` with the probability of each. Its attributions are of `class`.
    """
    rows = _by_key(model, frame.lazy().collect())
    identity = canonical_hash(p.model_format[model.format], model)
    answers = predict(p, model, rows)
    if answers.ndim != 1 and not model.classes:
        raise InputError(
            f"{mv} gives {answers.shape[1]} scores a row.", code="score-shape", hint="Batch scoring takes one score a row."
        )
    ids = prediction_ids(rows, model.key, identity, batch or f"{mv}/{input_snapshot}")
    out = rows.select(
        pl.Series("prediction_id", ids, dtype=pl.String),
        pl.lit(mv.model).alias("model"),
        pl.lit(mv.version, dtype=pl.Int64).alias("version"),
        pl.lit(identity).alias("canonical_hash"),
        pl.lit(str(input_snapshot)).alias("input_snapshot"),
        *model.key,
        *_said(model, answers),
    )
    return out.with_columns(_attributions(p, model, rows, ids, with_attributions)) if with_attributions else out


def probability_columns(classes: Sequence[str]) -> list[str]:
    """A column for each class, told apart also where a query takes capitals for small letters or a table no punctuation.

    >>> probability_columns(["no", "No", "a b"])
    ['p_no', 'p_No_2', 'p_a_b']
    """
    taken: dict[str, int] = {}
    out = []
    for name in classes:
        plain = "p_" + re.sub(r"[\s,;{}()=`\"'.]", "_", name)
        found = plain
        while found.casefold() in taken:
            taken[plain.casefold()] += 1
            found = f"{plain}_{taken[plain.casefold()]}"
        taken[found.casefold()] = 1
        out.append(found)
    return out


def _said(model: Model, answers: NDArray[np.float64]) -> list[pl.Series]:
    if not model.classes:
        return [pl.Series("score", answers, dtype=pl.Float64)]
    likeliest, columns = answers.argmax(axis=1), probability_columns(model.classes)
    for name in ("class", *columns):
        if name in model.key:
            hint = "Call the key otherwise."
            raise InputError(
                f"The key '{name}' is what the predictions call one of their columns.", code="column-taken", hint=hint
            )
    return [
        pl.Series("score", answers.max(axis=1, initial=0.0), dtype=pl.Float64),
        pl.Series("class", [model.classes[at] for at in likeliest], dtype=pl.String),
        *(pl.Series(name, answers[:, at], dtype=pl.Float64) for at, name in enumerate(columns)),
    ]


def batch_of(mv: ModelVersion, window: str, rows: str) -> str:
    """What makes a batch one: it is written once, and its ids are its own. `rows` is the digest of everything scored from.

    The tables' versions are no part of it: equal rows of a newer version are the same batch. `2` is the scheme of the ids:
    a batch whose ids were made by another one is written once more.
    """
    return f"2/{mv}/{window}/{rows}"


def prediction_ids(rows: pl.DataFrame, key: Sequence[str], identity: str, batch: str) -> list[str]:
    """`prd_` and 20 hex digits of sha256 over the model's canonical hash, the batch and each row's natural key."""
    start = hashlib.sha256(canonical_json([identity, batch, list(key)]).encode())
    return [_continued(start, text) for text in rows.select(_key_text(rows, key)).to_series()]


def _continued(start: hashlib._Hash, text: str) -> str:
    state = start.copy()
    state.update(text.encode())
    return f"prd_{state.hexdigest()[:20]}"


def _key_text(rows: pl.DataFrame, key: Sequence[str]) -> pl.Expr:
    """Each part behind its length, so that no two keys share a text; times as microseconds UTC."""
    parts = [pl.col(name).dt.epoch("us") if rows[name].dtype == pl.Datetime else pl.col(name) for name in key]
    texts = [part.cast(pl.String) for part in parts]
    return pl.concat_str([piece for text in texts for piece in (text.str.len_bytes().cast(pl.String), pl.lit(":"), text)])


def _by_key(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    for name in model.key:
        if name not in frame.columns:
            raise unknown("column", name, frame.columns, code="column-unknown")
    keys = frame.select(model.key)
    bad = keys.filter(pl.any_horizontal(pl.all().is_null()) | keys.is_duplicated())
    if len(bad):
        raise InputError(
            f"The key ({', '.join(model.key)}) is null or not unique: {bad.row(0)}.",
            code="key-tie",
            hint="Score one row a key.",
        )
    return frame.sort(model.key)


def _attributions(p: Platform, model: Model, rows: pl.DataFrame, ids: list[str], count: int) -> pl.Series:
    chosen = np.sort(np.argsort(np.array(ids))[:count])  # ids are hashes: the smallest are a repeatable random sample
    values = explain(p, model, rows[chosen]) if len(chosen) else np.empty((0, 0))
    if values.ndim == 3:
        values = values[np.arange(len(chosen)), predict(p, model, rows[chosen]).argmax(axis=1)]
    out: list[list[float] | None] = [None] * len(ids)
    for at, row in zip(chosen, values, strict=True):
        out[at] = row.tolist()
    return pl.Series("attributions", out, dtype=pl.List(pl.Float64))
