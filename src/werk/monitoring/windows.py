"""All monitors over one window of rows: a verdict line each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.canonical import digest_of
from werk.monitoring.baselines import Baseline, rows_of
from werk.monitoring.bias_drift import check_bias
from werk.monitoring.data_quality import Counted, check_data, counted
from werk.monitoring.explanation import check_explanation
from werk.monitoring.feature_drift import check_features
from werk.monitoring.model_quality import check_model
from werk.monitoring.prediction_drift import check_predictions
from werk.monitoring.thresholds import Thresholds
from werk.monitoring.verdict import MonitorVerdict


def check(
    baseline: Baseline,
    window: str,
    *,
    features: pl.DataFrame,
    scores: NDArray[np.floating],
    labels: NDArray[np.generic] | None = None,
    groups: pl.Series | None = None,
    importance: Mapping[str, float] | None = None,
    thresholds: Thresholds | None = None,
    blocks: pl.Series | None = None,
) -> list[MonitorVerdict]:
    """Data quality, feature drift, prediction drift, model quality, bias and explanation drift, in this order.

    Labels are 0, 1 or missing (NaN, None); `blocks` are as in `baseline`. A check that lacks its input says "cannot say".
    `values["input"]` of every verdict is a digest of what was counted, so that the same rows give the same facts.
    """
    limits, cells = thresholds or Thresholds(), counted(baseline, features)
    rows = rows_of(features, scores, labels, groups, blocks, baseline.task, baseline.classes)
    verdicts = [
        check_data(baseline, window, features, cells, limits),
        check_features(baseline, window, cells, limits),
        check_predictions(baseline, window, rows, limits),
        check_model(baseline, window, rows, limits),
        check_bias(baseline, window, rows, limits),
        check_explanation(window, baseline.importance, importance, limits),
    ]
    said = rows.scores if rows.likeliest is None else rows.scores + rows.likeliest
    seen = _digest(cells, said, rows.labels)
    return [replace(verdict, values={**verdict.values, "input": seen}) for verdict in verdicts]


def _digest(cells: Counted, scores: NDArray[np.float64], labels: NDArray[np.float64]) -> str:
    arrays = {name: array.tobytes().hex() for name, array in (("scores", scores), ("labels", labels))}
    return digest_of({"cells": {name: counts.tolist() for name, counts in cells.items()}, **arrays})
