"""What scoring a window took, in EUR by the price file, as the line of the monitor `cost`."""

from __future__ import annotations

from werk import monitoring
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.monitoring import Prices
from werk.pipelines.steps import spent


def record_cost(p: Platform, run: str, prices: Prices | None) -> None:
    """Once a run that wrote predictions has ended: a step cannot tell what its own run took. Saying it again adds nothing.

    A step from the cache counts with what it took when it ran.
    """
    for row in p.journal.rows("predictions_written", {"run": run}):
        mv = ModelVersion(str(row["model"]), int(str(row["model_version"])))
        monitoring.record(p, mv, [monitoring.cost_line(str(row["window"]), spent(p, run), prices)], run)
