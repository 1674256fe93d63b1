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
_DROPPED = ("n_jobs", "verbose", "random_state", "copy", "copy_X", "warm_start")
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
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as damage:
            raise InputError("These bytes are no scikit-learn model.", code="model-damaged", hint="Package it again.") from damage

    def digest(self, estimator: object) -> str:
        return f"werk-canon/1:sklearn:{token_digest(_pack(self._known(estimator)))}"

    def predict(self, estimator: object, rows: NDArray[np.float64]) -> NDArray[np.float64]:
        return _answer(self._known(estimator), np.asarray(rows, dtype=np.float64))

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


def _answer(known: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """In fixed order, column by column: BLAS, which scikit-learn asks, gives other last bits for other batch shapes."""
    if _name(known) == "Pipeline":
        for _, part in known.steps[:-1]:
            rows = _scaled(part, rows)
        return _answer(known.steps[-1][1], rows)
    if _name(known) == "StandardScaler":
        return _scaled(known, rows)
    margins = _margins(known, rows)
    return _chances(known, margins) if _name(known) == "LogisticRegression" else margins[:, 0]


def _scaled(scaler: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    if _name(scaler) != "StandardScaler":
        raise InputError(f"{_name(scaler)} transforms nothing.", code="model-unsupported", hint="Only its last step predicts.")
    centred = rows - scaler.mean_ if scaler.with_mean else rows
    return np.asarray(centred / scaler.scale_ if scaler.with_std else centred, dtype=np.float64)


def _margins(linear: Any, rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, outputs): the intercept and then each column's part, in the order of training."""
    weights = np.atleast_2d(linear.coef_)
    out = np.tile(np.broadcast_to(linear.intercept_, (len(weights),)).astype(np.float64), (len(rows), 1))
    for column in range(weights.shape[1]):
        out += rows[:, column, None] * weights[None, :, column]
    if np.isnan(out).any():
        raise InputError("A linear model cannot take a missing value.", code="feature-missing", hint="Fill it before fitting.")
    return out


def _chances(known: Any, margins: NDArray[np.float64]) -> NDArray[np.float64]:
    if margins.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-margins[:, 0])), dtype=np.float64)
    told = known.get_params(deep=False)
    if told["solver"] == "liblinear" or told.get("multi_class", "auto") not in ("auto", "deprecated", "multinomial"):
        raise InputError("One-against-rest is not supported.", code="model-unsupported", hint='Use solver="lbfgs".')
    raised = np.exp(margins - margins.max(axis=1, keepdims=True))
    total = np.zeros(len(raised))
    for column in range(raised.shape[1]):
        total += raised[:, column]
    return np.asarray(raised / total[:, None], dtype=np.float64)


def _pack(estimator: Any) -> dict[str, object]:
    if _name(estimator) == "Pipeline":
        return {"kind": "Pipeline", "steps": [[name, _pack(part)] for name, part in estimator.steps]}
    kind = _name(estimator)
    fitted = {name: _array(getattr(estimator, name, None)) for name in _FITTED[kind]}
    return {"kind": kind, "params": _params(estimator), "fitted": fitted}


def _params(estimator: Any) -> dict[str, object]:
    """How it was constructed, without what changes no prediction. Only plain values: an object could be anything."""
    kept = {name: value for name, value in estimator.get_params(deep=False).items() if name not in _DROPPED}
    for name, value in kept.items():
        kept[name] = value = value.item() if isinstance(value, np.generic) else value
        if not (value is None or isinstance(value, bool | int | float | str)):
            raise InputError(f"The parameter '{name}' cannot be stored.", code="model-unsupported", hint="Use a number or text.")
    return kept


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
    import sklearn.linear_model
    import sklearn.preprocessing  # noqa: F401  (found by name below)

    kind = stored["kind"]
    params, fitted = stored["params"], stored["fitted"]
    if kind not in _FITTED:
        raise ValueError("not an allowed kind")
    estimator = getattr(sys.modules[_HOME.get(kind, "sklearn.linear_model")], kind)()
    if set(fitted) != set(_FITTED[kind]) or not set(params) <= set(estimator.get_params(deep=False)):
        raise ValueError("not what this format writes")
    estimator.set_params(**params)
    for name, value in fitted.items():
        if value is not None:
            setattr(estimator, name, _restored(value))
    return estimator


def _restored(stored: Any) -> object:
    if stored is None:
        return None
    raw = base64.b64decode(stored["data"], validate=True)
    array = np.frombuffer(raw, dtype=np.dtype(stored["dtype"])).reshape(stored["shape"]).copy()
    return array if array.ndim else array.item()
