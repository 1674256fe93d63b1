"""How far a window may lie from training before a monitor speaks up: effect sizes with their sources, never p-values."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Shares are 0 to 1.

    `psi` 0.2 is the customary bound of a significant shift (Siddiqi 2006), `label_h` Cohen's small effect (1988),
    `importance` half of what the model leans on, `ndcg` and the bias metrics follow SageMaker Clarify.
    """

    rows: int = 100
    """Fewer rows than this are too few to judge."""
    volume: float = 0.5
    """A window of less than this share of the usual rows, or of more than its inverse, is an incident."""
    null_rise: float = 0.05
    unseen: float = 0.01
    outside: float = 0.01
    psi: float = 0.2
    importance: float = 0.5
    labels: float = 0.5
    """Model quality is judged once this share of the outcomes is known."""
    auc_margin: float = 0.05
    """Below the baseline's interval. That holds chance alone; months differ too: two standard deviations of the monthly AUC
    of models rolled through the flights' January to June, 0.762 to 0.811, are 0.046."""
    label_h: float = 0.2
    group_rows: int = 500
    group_positives: int = 50
    bias: float = 0.1
    bias_errors: float = 3.0
    """A change of a group's metric must also be this many of its standard errors: many groups are compared each window."""
    ndcg: float = 0.90
