"""Steps, pipelines and the engine that drives them through the journal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from werk.core.lazy import fetched
from werk.core.ports.engine import Progress
from werk.workflow.context import Resource, StepContext
from werk.workflow.facts import PROJECTIONS
from werk.workflow.pipeline import Pipeline, parse_params, pipeline
from werk.workflow.step import Step, step

if TYPE_CHECKING:
    from werk.workflow.engine import Engine
    from werk.workflow.payloads import Codec

__all__ = [
    "PROJECTIONS",
    "Codec",
    "Engine",
    "Pipeline",
    "Progress",
    "Resource",
    "Step",
    "StepContext",
    "parse_params",
    "pipeline",
    "step",
]

# These load the dataframe libraries, which a listing of runs does without.
fetched(__name__, {"engine": ("Engine",), "payloads": ("Codec",)})
