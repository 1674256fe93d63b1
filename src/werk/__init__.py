"""werk turns plain Python functions into pipelines over versioned tables, and writes everything that happens as facts.

`import werk` loads nothing heavy: each public name is fetched when it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from werk.app.face import open
    from werk.features import Features, FeatureView, Window
    from werk.models import Model, Report, fit_lightgbm, fit_linear, fit_logistic, fit_per_key
    from werk.pipelines import steps
    from werk.registry import Gate
    from werk.workflow import StepContext, pipeline, step
    from werk.workflow.frames import as_frame

__all__ = [
    "FeatureView",
    "Features",
    "Gate",
    "Model",
    "Report",
    "StepContext",
    "Window",
    "as_frame",
    "fit_lightgbm",
    "fit_linear",
    "fit_logistic",
    "fit_per_key",
    "open",
    "pipeline",
    "step",
    "steps",
]

_HOME = {
    "FeatureView": "werk.features",
    "Features": "werk.features",
    "Gate": "werk.registry",
    "Model": "werk.models",
    "Report": "werk.models",
    "StepContext": "werk.workflow",
    "Window": "werk.features",
    "as_frame": "werk.workflow.frames",
    "fit_lightgbm": "werk.models",
    "fit_linear": "werk.models",
    "fit_logistic": "werk.models",
    "fit_per_key": "werk.models",
    "open": "werk.app.face",
    "pipeline": "werk.workflow",
    "step": "werk.workflow",
}


def __getattr__(name: str) -> object:
    if name == "steps":
        return importlib.import_module("werk.pipelines.steps")
    if name == "__version__":
        from importlib.metadata import version

        return version("werk")
    if name in _HOME:
        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module 'werk' has no attribute '{name}'")
