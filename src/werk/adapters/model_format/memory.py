"""A linear model of plain numbers, for tests that need a model and no library."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import canonical_json, token_digest
from werk.core.errors import InputError


@dataclass(frozen=True, slots=True)
class LinearToy:
    """`intercept + sum(weight * value)`, a missing value counting as zero."""

    intercept: float
    weights: tuple[float, ...] = ()


class MemoryFormat:
    def owns(self, estimator: object) -> bool:
        return isinstance(estimator, LinearToy)

    def dump(self, estimator: object) -> bytes:
        toy = _toy(estimator)
        return canonical_json({"intercept": toy.intercept, "weights": toy.weights}).encode()

    def load(self, data: bytes) -> object:
        try:
            stored = json.loads(data)
            return LinearToy(float(stored["intercept"]), tuple(float(w) for w in stored["weights"]))
        except (ValueError, KeyError, TypeError, RecursionError) as damage:
            raise InputError("These bytes are no memory model.", code="model-damaged", hint="Package it again.") from damage

    def digest(self, estimator: object) -> str:
        toy = _toy(estimator)
        return f"werk-canon/1:memory:{token_digest([toy.intercept, toy.weights])}"

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        toy = _toy(estimator)
        out = np.full(len(rows), toy.intercept, dtype=np.float64)
        for column, weight in enumerate(toy.weights):  # column by column: the bits do not depend on the batch
            out += weight * np.nan_to_num(rows[:, column], nan=0.0)
        return out


def _toy(estimator: object) -> LinearToy:
    if not isinstance(estimator, LinearToy):
        raise InputError(f"{type(estimator).__name__} is no memory model.", code="model-unsupported", hint="Use LinearToy.")
    return estimator
