"""One linear model per key, stored as its arrays behind their own hash."""

from __future__ import annotations

import hashlib
import json

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import canonical_json, token_digest
from werk.core.errors import InputError
from werk.core.packed import PackedLinear

_MAGIC = b"werk-per-key/1 "
_ARRAYS = ("centre", "scale", "intercepts", "weights")


class PerKeyFormat:
    def owns(self, estimator: object) -> bool:
        return isinstance(estimator, PackedLinear)

    def dump(self, estimator: object) -> bytes:
        packed = _packed(estimator)
        body = canonical_json(_shape(packed)).encode() + b"\n" + b"".join(_raw(packed))
        return _MAGIC + hashlib.sha256(body).hexdigest().encode() + b"\n" + body

    def load(self, data: bytes) -> object:
        head, _, body = data.partition(b"\n")
        if head != _MAGIC + hashlib.sha256(body).hexdigest().encode():
            raise _damaged()
        described, _, raw = body.partition(b"\n")
        try:
            return _restored(json.loads(described), np.frombuffer(raw, dtype="<f8").astype(np.float64))
        except (ValueError, KeyError, TypeError) as damage:
            raise _damaged() from damage

    def digest(self, estimator: object) -> str:
        packed = _packed(estimator)
        return f"werk-canon/1:per_key:{token_digest([*_shape(packed).values(), *_raw(packed)])}"

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        packed = _packed(estimator)
        which, inputs = _models(packed, rows), _inputs(packed, rows)
        out = packed.intercepts[which].copy()
        for column in range(inputs.shape[1]):  # column by column: the bits do not depend on the batch
            out += packed.weights[which, column] * inputs[:, column]
        return out

    def contributions(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        """A key's own level is the key's part; the base is the level of all rows."""
        packed = _packed(estimator)
        which, base = _models(packed, rows), float(packed.intercepts[-1])
        parts = np.insert(packed.weights[which] * _inputs(packed, rows), packed.key, packed.intercepts[which] - base, axis=1)
        return np.column_stack([parts, np.full(len(rows), base)])


def _models(packed: PackedLinear, rows: NDArray[np.float64]) -> NDArray[np.intp]:
    """(r,): which model answers for each row."""
    codes, last = rows[:, packed.key], len(packed.intercepts) - 1
    known = (codes >= 0) & (codes < last) & (codes == np.floor(codes))
    return np.where(known, codes, last).astype(np.intp)


def _inputs(packed: PackedLinear, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(r, k - 1): every column but the key, centred and scaled, what is missing as 0."""
    others = np.delete(np.asarray(rows, dtype=np.float64), packed.key, axis=1)
    return np.nan_to_num((others - packed.centre) / packed.scale, nan=0.0, posinf=np.inf, neginf=-np.inf)


def _packed(estimator: object) -> PackedLinear:
    if not isinstance(estimator, PackedLinear):
        said = f"{type(estimator).__name__} is no model per key."
        raise InputError(said, code="model-unsupported", hint="Pass what fit_per_key made.")
    return estimator


def _shape(packed: PackedLinear) -> dict[str, int]:
    return {"key": packed.key, "keys": len(packed.intercepts) - 1, "inputs": len(packed.centre)}


def _raw(packed: PackedLinear) -> list[bytes]:
    return [np.ascontiguousarray(getattr(packed, name), dtype="<f8").tobytes() for name in _ARRAYS]


def _restored(shape: dict[str, int], numbers: NDArray[np.float64]) -> PackedLinear:
    models, inputs = shape["keys"] + 1, shape["inputs"]
    cuts = np.cumsum([inputs, inputs, models, models * inputs])
    if not 0 <= shape["key"] <= inputs or cuts[-1] != len(numbers):
        raise ValueError("not what this format writes")
    centre, scale, intercepts, weights = np.split(numbers, cuts[:-1])
    return PackedLinear(shape["key"], centre, scale, intercepts, weights.reshape(models, inputs))


def _damaged() -> InputError:
    return InputError("These bytes are no models per key.", code="model-damaged", hint="Package it again.")
