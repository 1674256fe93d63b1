"""The story of a use case on one printable page: what happened, who decided, what it cost and how to check it."""

from werk.pipelines.story.nouns import (
    Approval,
    Check,
    Checked,
    Cost,
    Followed,
    GateVerdict,
    Kept,
    Landed,
    Link,
    Month,
    Proof,
    Retrain,
    Rule,
    Rung,
    Said,
    Stage,
    Story,
)
from werk.pipelines.story.page import render

__all__ = [
    "Approval",
    "Check",
    "Checked",
    "Cost",
    "Followed",
    "GateVerdict",
    "Kept",
    "Landed",
    "Link",
    "Month",
    "Proof",
    "Retrain",
    "Rule",
    "Rung",
    "Said",
    "Stage",
    "Story",
    "render",
]
