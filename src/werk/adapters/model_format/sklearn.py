"""Allow-listed scikit-learn estimators, stored as typed arrays and never as a pickle."""

from __future__ import annotations

import base64
import json
import sys
from typing import Any

import numpy as np
from numpy.typing import NDArray

from werk.core.canonical import canonical_json, token_digest
from werk.core.errors import InputError

_FITTED = {
    "LogisticRegression": ("coef_", "intercept_", "classes_", "n_features_in_"),
    "LinearRegression": ("coef_", "intercept_", "n_features_in_"),
    "Ridge": ("coef_", "intercept_", "n_features_in_"),
    "StandardScaler": ("mean_", "scale_", "var_", "n_features_in_"),
}
_HOME = {"StandardScaler": "sklearn.preprocessing"}
_ALLOWED = ", ".join([*_FITTED, "Pipeline"])


class SklearnFormat:
    def owns(self, estimator: object) -> bool:
        if "sklearn" not in sys.modules:
            return False
        if _name(estimator) == "Pipeline":
            return all(self.owns(part) for _, part in estimator.steps)  # type: ignore[attr-defined]
        return _name(estimator) in _FITTED

    def dump(self, estimator: object) -> bytes:
        return canonical_json(_pack(self._known(estimator))).encode()

    def load(self, data: bytes) -> object:
        try:
            return _unpack(json.loads(data))
        except (ValueError, KeyError, TypeError) as damage:
            raise InputError("These bytes are no scikit-learn model.", code="model-damaged", hint="Package it again.") from damage

    def digest(self, estimator: object) -> str:
        return f"werk-canon/1:sklearn:{token_digest(_pack(self._known(estimator)))}"

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        known: Any = self._known(estimator)
        # One row at a time: BLAS gives other last bits for other batch shapes.
        parts = [_ask(known, rows[at : at + 1]) for at in range(len(rows))]
        return np.concatenate(parts).astype(np.float64) if parts else np.empty(0)

    def _known(self, estimator: object) -> object:
        if not self.owns(estimator):
            raise InputError(
                f"{type(estimator).__name__} cannot be stored without a pickle.",
                code="model-unsupported",
                hint=f"Allowed: {_ALLOWED}.",
            )
        return estimator


def _name(estimator: object) -> str:
    kind = type(estimator)
    return kind.__name__ if kind.__module__.startswith("sklearn.") else ""


def _ask(known: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if not hasattr(known, "predict_proba"):
        return np.asarray(known.predict(rows))
    share = np.asarray(known.predict_proba(rows))
    return share[:, 1] if share.shape[1] == 2 else share


def _pack(estimator: Any) -> dict[str, object]:
    if _name(estimator) == "Pipeline":
        return {"kind": "Pipeline", "steps": [[name, _pack(part)] for name, part in estimator.steps]}
    kind = _name(estimator)
    return {"kind": kind, "fitted": {n: _array(getattr(estimator, n)) for n in _FITTED[kind]}}


def _array(value: object) -> dict[str, object] | None:
    if value is None:
        return None
    array = np.asarray(value)
    if array.dtype.kind not in "biufU":
        raise InputError(f"Arrays of {array.dtype} cannot be stored.", code="model-unsupported", hint="Use numbers or text.")
    little = np.array(array, dtype=array.dtype.newbyteorder("<"), order="C")
    if little.dtype.kind == "f":
        little[np.isnan(little)] = np.nan
    return {"dtype": little.dtype.str, "shape": list(little.shape), "data": base64.b64encode(little.tobytes()).decode()}


def _unpack(stored: Any) -> Any:
    if stored["kind"] == "Pipeline":
        from sklearn.pipeline import Pipeline

        return Pipeline([(name, _unpack(part)) for name, part in stored["steps"]])
    kind = stored["kind"]
    fields = _FITTED[kind]
    import sklearn.linear_model
    import sklearn.preprocessing  # noqa: F401  (found by name below)

    estimator = getattr(sys.modules[_HOME.get(kind, "sklearn.linear_model")], kind)()
    for name in fields:
        setattr(estimator, name, _restored(stored["fitted"][name]))
    return estimator


def _restored(stored: Any) -> object:
    if stored is None:
        return None
    raw = base64.b64decode(stored["data"], validate=True)
    array = np.frombuffer(raw, dtype=np.dtype(stored["dtype"])).reshape(stored["shape"]).copy()
    return array if array.ndim else array.item()
