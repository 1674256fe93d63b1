"""Rows with their features as the store knows them, ready for the model."""

import numpy as np
import pandas as pd
from feast import FeatureStore
from settings import COLUMNS, DATA, HERE, LEVELS


def rows_of(name: str) -> pd.DataFrame:
    landed = pd.read_parquet(DATA / f"{name}.parquet")
    spine = landed[["uid", *(["failed"] if "failed" in landed.columns else [])]].copy()
    spine["event_timestamp"] = pd.Timestamp.now(tz="UTC")  # decided
    store = FeatureStore(repo_path=str(HERE / "feature_repo"))
    found = store.get_historical_features(entity_df=spine, features=[f"{name}:{column}" for column in COLUMNS]).to_df()
    if len(found) != len(spine):
        raise SystemExit(f"The feature store gave {len(found)} rows for {len(spine)}.")
    return found.sort_values("uid", ignore_index=True)


def matrix(rows: pd.DataFrame) -> np.ndarray:
    """Columns in the order of training; a category is its place in LEVELS, an unknown one is missing."""
    columns = []
    for name in COLUMNS:
        if name in LEVELS:
            codes = rows[name].map({level: code for code, level in enumerate(LEVELS[name])})  # decided
            columns.append(codes.astype(float).to_numpy())
        else:
            columns.append(pd.to_numeric(rows[name]).astype(float).to_numpy())
    return np.column_stack(columns)
