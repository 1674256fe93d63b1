"""Answers as the model did when it was registered, without the platform that trained it: NumPy, and LightGBM for its models.

`Predictor(FOLDER).predict(rows)` takes a mapping of columns (a dict of lists, a pandas or Polars frame) with the raw features of
`model.json`: categories as text, what is missing as None or NaN. It gives a float64 array: (n,) values of a regression or
probabilities of a binary model, (n, classes) of a multiclass one, in the order of `classes`. MLflow finds it as
`mlflow.pyfunc.load_model(FOLDER_ABOVE)`.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np


class Predictor:
    def __init__(self, folder: str | Path) -> None:
        folder = Path(folder)
        self.about: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        self._ask = _READERS[self.about["format"]](folder)

    def predict(self, rows: Any, params: Any = None) -> np.ndarray:
        values = np.column_stack([self._column(name, rows[name]) for name in self.about["features"]])
        found = self._ask(values)
        several = self.about["task"] == "multiclass" and found.ndim == 1
        return np.stack([1 - found, found], axis=1) if several else found

    def _column(self, name: str, values: Any) -> np.ndarray:
        if name not in self.about["categories"]:
            return np.asarray([np.nan if value is None else float(value) for value in values], dtype=np.float64)
        codes = {text: float(code) for code, text in enumerate(self.about["categories"][name])}
        return np.asarray([codes.get(_spelled(value), np.nan) for value in values], dtype=np.float64)


def _spelled(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool | np.bool_) else str(value)


def _lightgbm(folder: Path) -> Any:
    import lightgbm

    booster = lightgbm.Booster(model_file=str(folder / "model.lgb"))
    return lambda rows: np.asarray(booster.predict(rows, num_threads=1), dtype=np.float64)


def _sklearn(folder: Path) -> Any:
    stored = json.loads((folder / "model.bin").read_text(encoding="utf-8"))
    steps = [part for _, part in stored["steps"]] if stored["kind"] == "Pipeline" else [stored]

    def ask(rows: np.ndarray) -> np.ndarray:
        for step in steps[:-1]:
            rows = _scaled(step, rows)
        return _linear(steps[-1], rows)

    return ask


def _scaled(step: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    fitted, params = step["fitted"], step["params"]
    centred: np.ndarray = rows - _array(fitted["mean_"]) if params["with_mean"] else rows
    return np.asarray(centred / _array(fitted["scale_"]) if params["with_std"] else centred)


def _linear(step: dict[str, Any], rows: np.ndarray) -> np.ndarray:
    """Column by column, so that the last bits do not depend on how many rows are asked at once."""
    weights = np.atleast_2d(_array(step["fitted"]["coef_"]))
    out = np.tile(np.broadcast_to(_array(step["fitted"]["intercept_"]), (len(weights),)).astype(np.float64), (len(rows), 1))
    for column in range(weights.shape[1]):
        out += rows[:, column, None] * weights[None, :, column]
    if step["kind"] != "LogisticRegression":
        return out[:, 0]
    if out.shape[1] == 1:
        return np.asarray(1 / (1 + np.exp(-out[:, 0])))
    raised = np.exp(out - out.max(axis=1, keepdims=True))
    total = np.zeros(len(raised))
    for column in range(raised.shape[1]):
        total += raised[:, column]
    return np.asarray(raised / total[:, None])


def _array(stored: dict[str, Any]) -> np.ndarray:
    raw = base64.b64decode(stored["data"], validate=True)
    return np.frombuffer(raw, dtype=np.dtype(stored["dtype"])).reshape(stored["shape"])


def _per_key(folder: Path) -> Any:
    """A line with the sum of the rest, a line of JSON (`key`, `keys`, `inputs`), then float64, little-endian."""
    _, shape, raw = (folder / "model.bin").read_bytes().split(b"\n", 2)
    told = json.loads(shape)
    models, inputs, key = told["keys"] + 1, told["inputs"], told["key"]
    numbers = np.frombuffer(raw, dtype="<f8")
    centre, scale, intercepts, weights = np.split(numbers, np.cumsum([inputs, inputs, models]))
    weights = weights.reshape(models, inputs)

    def ask(rows: np.ndarray) -> np.ndarray:
        codes, last = rows[:, key], models - 1
        known = (codes >= 0) & (codes < last) & (codes == np.floor(codes))
        which = np.where(known, codes, last).astype(np.intp)
        others = np.nan_to_num((np.delete(rows, key, axis=1) - centre) / scale, nan=0.0, posinf=np.inf, neginf=-np.inf)
        out = intercepts[which].copy()
        for column in range(inputs):
            out += weights[which, column] * others[:, column]
        return out

    return ask


_READERS = {"lightgbm": _lightgbm, "sklearn": _sklearn, "per_key": _per_key}


def _load_pyfunc(folder: str) -> Predictor:
    """What MLflow calls with the folder of the model's data."""
    return Predictor(folder)
