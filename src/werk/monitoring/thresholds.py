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
    """Columns beyond these are told. They are a violation when together they touch `touched` of what the model leans on (the
    same one percent, as if all of it were one column), or when one of them does in `mostly` all of its rows."""
    touched: float = 0.01
    mostly: float = 0.5
    psi: float = 0.2
    importance: float = 0.5
    labels: float = 0.5
    """Model quality is judged once this share of the outcomes is known."""
    auc_margin: float = 0.05
    """Below the baseline's interval. That holds chance alone; months differ too: two standard deviations of the monthly AUC
    of models rolled through the flights' January to June, 0.762 to 0.811, are 0.046."""
    error_margin: float = 0.1
    """A regression's mean error may lie so far above the baseline's interval, as a share of its upper end."""
    label_h: float = 0.2
    """A regression's outcomes: how many of their standard deviations their mean may move (Cohen's d, a small effect as well)."""
    group_rows: int = 500
    group_positives: int = 50
    bias: float = 0.1
    bias_chance: float = 0.05
    """A change must also be one that chance alone shows in this share of all windows, whichever group and metric shows it
    (Bonferroni over all that are compared, Student's t over the blocks)."""
    blocks: int = 7
    """Rows of fewer days than this say nothing about a group: one storm would."""
    ndcg: float = 0.90
