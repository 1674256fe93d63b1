"""What each feature added to each prediction."""

from __future__ import annotations

from math import fsum

import numpy as np
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.core.ports.model_format import Explains
from werk.models.compiled import Model
from werk.models.fit import Rows, matrix


def explain(p: Platform, model: Model, frame: Rows) -> NDArray[np.float64]:
    """Additive attributions (n, k + 1) in margin space, the base value last; (n, classes, k + 1) of a multiclass model."""
    return contributions(p, model, matrix(model, frame))


def contributions(p: Platform, model: Model, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`explain` for rows that are the model's numbers already."""
    form = p.model_format[model.format]
    if not isinstance(form, Explains):
        raise InputError(f"Format '{model.format}' explains nothing.", code="explain-unsupported", hint="Use lightgbm.")
    found = form.contributions(model.estimator, values)
    return found.reshape(len(values), -1, len(model.features) + 1) if model.kind == "multiclass" else found


def importance(attributions: NDArray[np.float64], model: Model) -> dict[str, float]:
    """Mean absolute attribution of every feature, the same to the last bit in whatever order the rows come."""
    sizes = np.abs(attributions[..., :-1])
    sizes = sizes.sum(axis=1) if sizes.ndim == 3 else sizes
    return {name: fsum(sizes[:, at]) / max(len(sizes), 1) for at, name in enumerate(model.features)}
