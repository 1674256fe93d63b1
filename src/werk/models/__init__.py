"""Models: fit, evaluate, explain, package. Each name is fetched when first used, so that a server never loads polars."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werk.models.compiled import Model, ServedModel, canonical_hash, model_json, restored
    from werk.models.evaluate import Champion, Report, compare, evaluate
    from werk.models.explain import contributions, explain, importance
    from werk.models.fit import fit_lightgbm, fit_linear, fit_logistic, matrix, model_codec, predict
    from werk.models.metrics import Interval, auc
    from werk.models.package import Package, load_package, package
    from werk.models.per_key import fit_per_key

__all__ = [
    "Champion",
    "Interval",
    "Model",
    "Package",
    "Report",
    "ServedModel",
    "auc",
    "canonical_hash",
    "compare",
    "contributions",
    "evaluate",
    "explain",
    "fit_lightgbm",
    "fit_linear",
    "fit_logistic",
    "fit_per_key",
    "importance",
    "load_package",
    "matrix",
    "model_codec",
    "model_json",
    "package",
    "predict",
    "restored",
]

_HOME = {
    "compiled": ("Model", "ServedModel", "canonical_hash", "model_json", "restored"),
    "evaluate": ("Champion", "Report", "compare", "evaluate"),
    "explain": ("contributions", "explain", "importance"),
    "fit": ("fit_lightgbm", "fit_linear", "fit_logistic", "matrix", "model_codec", "predict"),
    "metrics": ("Interval", "auc"),
    "package": ("Package", "load_package", "package"),
    "per_key": ("fit_per_key",),
}


class _Face(ModuleType):
    """`evaluate`, `explain` and `package` name a function here, also after the import system has loaded their modules."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Face


def __getattr__(name: str) -> object:
    for module, names in _HOME.items():
        if name in names:
            return getattr(importlib.import_module(f"werk.models.{module}"), name)
    raise AttributeError(f"module 'werk.models' has no attribute '{name}'")
