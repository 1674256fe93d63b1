"""Steps, pipelines and the engine that drives them through the journal."""

from werk.workflow.context import Progress, Resource, StepContext
from werk.workflow.engine import Engine
from werk.workflow.facts import PROJECTIONS
from werk.workflow.payloads import Codec
from werk.workflow.pipeline import Pipeline, parse_params, pipeline
from werk.workflow.step import Step, step

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
