"""A published figure on the same data, reproduced."""

import runpy
from pathlib import Path

RECIPE = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "tidymodels_recipe" / "recipe.py"))


def test_the_published_auc_is_reproduced() -> None:
    result = RECIPE["reproduce"](RECIPE["flight_data"]())
    assert result.rows == RECIPE["PUBLISHED_ROWS"]
    assert round(result.late_share, 3) == 0.161
    assert abs(result.auc - RECIPE["PUBLISHED_AUC"]) <= 0.005
