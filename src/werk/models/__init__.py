"""Models: fit, evaluate, explain, package. Each name is fetched when first used, so that a server never loads polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werk.core.lazy import fetched

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

fetched(__name__, _HOME)
