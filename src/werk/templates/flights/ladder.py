"""What point-in-time features are worth: the same model three times, each time knowing more. `python ladder.py`"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import lightgbm
import polars as pl
from flights.features import CATEGORIES, FEATURES, KEY, PLANE, SCHEDULE, TARGET, WEATHER, engineer, flights
from flights.files import Files
from sklearn.metrics import roc_auc_score

from werk.models.fit import fit_lightgbm, matrix

RUNGS = {
    "schedule and plane": (*SCHEDULE, *PLANE),
    "+ weather": (*SCHEDULE, *PLANE, *WEATHER),
    "+ recent delays": FEATURES,
}
PARAMS = {"learning_rate": 0.12, "min_data_in_leaf": 200, "feature_fraction": 0.6, "lambda_l2": 5.0, "cat_smooth": 50.0}
ROUNDS = 60
JULY = datetime(2013, 7, 1, 4, tzinfo=UTC)  # midnight in New York


def ladder(frame: pl.DataFrame, split: datetime = JULY) -> dict[str, float]:
    """The AUC of each rung, trained on the engineered flights scheduled before `split`, scored on the rest."""
    landed = frame.filter(pl.col(TARGET).is_not_null())
    fit, holdout = landed.filter(pl.col("sched_dep") < split), landed.filter(pl.col("sched_dep") >= split)
    return {rung: _auc(fit, holdout, features) for rung, features in RUNGS.items()}


def _auc(fit: pl.DataFrame, holdout: pl.DataFrame, features: tuple[str, ...]) -> float:
    categories = [name for name in CATEGORIES if name in features]
    model = fit_lightgbm(fit, target=TARGET, key=KEY, features=features, categories=categories, params=PARAMS, rounds=ROUNDS)
    assert isinstance(model.estimator, lightgbm.Booster)
    scores = model.estimator.predict(matrix(model, holdout), num_threads=1)
    return float(roc_auc_score(holdout[TARGET].to_numpy(), scores))


if __name__ == "__main__":
    tables = Files(Path(__file__).parent / "data")
    for rung, auc in ladder(engineer(flights(tables), tables)).items():
        print(f"{rung:<20} {auc:.3f}")
