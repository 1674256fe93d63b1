"""A family of models: how to store, load, hash and ask one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class ModelFormat(Protocol):
    """1. `owns` is true for the estimators this format stores, false for all else, and imports nothing heavy to say no.
    2. `load(dump(m))` predicts bit for bit as `m` does; `dump` holds no pickle.
    3. `digest` is `werk-canon/1:<format>:<sha256>` of what the model *is* (EXACTNESS): equal for `m` and `load(dump(m))`,
       and for two trainings from the same rows, parameters and seed; different when a prediction differs.
    4. `predict` takes float64 rows (n, k), NaN = missing, columns in the order of training, and returns float64
       (n,) for regression and binary probability, (n, classes) for multiclass. It runs on one thread and does not depend on
       how rows are batched.
    5. Damaged bytes are an `InputError`, never executed.
    """

    def owns(self, estimator: object) -> bool: ...

    def dump(self, estimator: object) -> bytes: ...

    def load(self, data: bytes) -> object: ...

    def digest(self, estimator: object) -> str: ...

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]: ...


@runtime_checkable
class Explains(Protocol):
    """A capability beyond the port: additive attributions, (n, k + 1) float64 with the base value last, in margin space."""

    def contributions(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]: ...
