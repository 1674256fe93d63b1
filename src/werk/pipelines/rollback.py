"""Back to the version before: the endpoint and the champion move together."""

from __future__ import annotations

from werk import registry
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.pipelines.steps import SERVING
from werk.serving import deploy as serving


def rollback(p: Platform, endpoint: str) -> tuple[ModelVersion, str]:
    """The version that answers again, and its new deployment; `InputError` when there was no other."""
    deployment = serving.rollback(p, endpoint, p.project.root / SERVING)
    row = p.journal.rows("deployments", {"deployment": deployment})[0]
    mv = ModelVersion(str(row["model"]), int(str(row["version"])))
    registry.set_alias(p, mv, "champion")
    return mv, deployment
