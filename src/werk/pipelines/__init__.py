"""Whatever touches two sibling rooms."""

from werk.pipelines.facts import PROJECTIONS

__all__ = ["PROJECTIONS"]
