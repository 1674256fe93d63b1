"""One small model per key, such as a product or an appliance, all in one packed model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.core.packed import PackedLinear
from werk.models.compiled import Model
from werk.models.fit import Rows, ordered, values_of


def fit_per_key(
    rows: Rows, *, target: str, key: Sequence[str], per: str, features: Sequence[str], prior_rows: float = 10.0
) -> Model:
    """A linear regression for each value of `per`, held near the one of all rows as if that had `prior_rows` rows of its own.

    So a key with many rows has its own model, one with few leans on all, and one not seen here is answered by the model of all
    rows. It is one model to gate, approve and serve, and the same for the same rows in any order.

    - `target`: a number. No row may lack it (`target-null`), nor `per` (`per-key-null`).
    - `key`: columns that together tell every row apart (`key-tie`), such as the product and the week.
    - `per`: text, whole numbers or booleans; one of the model's features and its only category.
    - `features`: numbers or booleans; a missing one counts as the middle of its column.
    - `prior_rows`: above 0, in rows; the larger, the more alike the models. Ridge regression towards common weights: partial
      pooling (Gelman and Hill, Data Analysis Using Regression and Multilevel/Hierarchical Models, 2007, chapter 12).

    ```python
    import polars as pl
    from werk import fit_per_key

    rows = pl.DataFrame({"shop": ["a", "b"] * 50, "day": [d // 2 for d in range(100)], "sold": [3.0, 9.0] * 50})
    model = fit_per_key(rows, target="sold", key=["shop", "day"], per="shop", features=["day"], prior_rows=1.0)
    assert (model.format, model.features) == ("per_key", ("shop", "day"))
    ```
    """
    if not (np.isfinite(prior_rows) and prior_rows > 0):
        said = f"prior_rows is {prior_rows}, not a number above 0."
        raise InputError(said, code="param-refused", hint="Give the rows that the model of all keys counts as, such as 10.")
    names = [per, *(name for name in features if name != per)]
    frame, levels = ordered(rows, key, target, names, [per])
    if missing := frame[per].null_count():
        hint = f'Drop them: rows.drop_nulls("{per}").'
        raise InputError(f"{missing:,} rows have no '{per}'.", code="per-key-null", hint=hint)
    values = values_of(frame, names, levels)
    packed = _pooled(values[:, 0].astype(np.intp), values[:, 1:], _outcomes(frame[target]), len(levels[per]), prior_rows)
    params = {"per": per, "prior_rows": float(prior_rows)}
    return Model(packed, "per_key", tuple(names), levels, target, "regression", tuple(key), params, 0)


def _outcomes(series: pl.Series) -> NDArray[np.float64]:
    if not series.dtype.is_numeric():
        said = f"The target '{series.name}' is {series.dtype}, not a number."
        raise InputError(said, code="target-type", hint="One model per key forecasts numbers: cast it.")
    outcomes = series.cast(pl.Float64).to_numpy()
    if not np.isfinite(outcomes).all():
        raise InputError(f"The target '{series.name}' is NaN or infinite.", code="target-type", hint="Drop those rows.")
    return outcomes


def _pooled(
    codes: NDArray[np.intp], inputs: NDArray[np.float64], outcomes: NDArray[np.float64], keys: int, prior_rows: float
) -> PackedLinear:
    centre, scale = _spread(inputs)
    design = np.column_stack([np.ones(len(inputs)), np.nan_to_num((inputs - centre) / scale, nan=0.0)])
    common = _ridge(design, outcomes, 1e-6 * len(design), np.zeros(design.shape[1]))
    weights = np.tile(common, (keys + 1, 1))
    order = np.argsort(codes, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(codes[order])) + 1):
        weights[codes[rows[0]]] = _ridge(design[rows], outcomes[rows], prior_rows, common)
    return PackedLinear(0, centre, scale, weights[:, 0].copy(), np.ascontiguousarray(weights[:, 1:]))


def _spread(inputs: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Middle and spread of every column, of its finite values; a constant column keeps a spread of 1."""
    finite = np.isfinite(inputs)
    if np.isinf(inputs).any():
        raise InputError("A feature is infinite.", code="feature-type", hint="Make it null where it cannot be told.")
    counts = np.maximum(finite.sum(axis=0), 1)
    centre = np.where(finite, inputs, 0.0).sum(axis=0) / counts
    scale = np.sqrt(np.where(finite, (inputs - centre) ** 2, 0.0).sum(axis=0) / counts)
    return centre, np.where(scale > 0, scale, 1.0)


def _ridge(
    design: NDArray[np.float64], outcomes: NDArray[np.float64], strength: float, towards: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The weights w that minimise |y - Xw|^2 + strength |w - towards|^2."""
    gram = design.T @ design + strength * np.eye(design.shape[1])
    return towards + np.linalg.solve(gram, design.T @ (outcomes - design @ towards))
