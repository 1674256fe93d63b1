"""python score.py WINDOW: score the rows that arrived later, once per version and window."""

import hashlib
import sys
from datetime import UTC, datetime

import mlflow
import pandas as pd
from mlflow import MlflowClient
from prefect import flow, task
from settings import DATA, MODEL, TRACKING

from features import matrix, rows_of


@task(retries=2)  # decided
def load() -> pd.DataFrame:
    return rows_of("later")


@task
def predict(rows: pd.DataFrame, window: str) -> pd.DataFrame:
    version = MlflowClient().get_model_version_by_alias(MODEL, "champion")
    model = mlflow.lightgbm.load_model(f"models:/{MODEL}/{version.version}")
    ids = [hashlib.sha256(f"{version.version}/{window}/{uid}".encode()).hexdigest()[:20] for uid in rows["uid"]]  # decided
    scored = pd.DataFrame({"prediction_id": ids, "uid": rows["uid"], "score": model.predict(matrix(rows))})
    return scored.assign(model=MODEL, version=version.version, window=window, at=datetime.now(UTC))


@task
def store(scored: pd.DataFrame, window: str) -> None:
    folder = DATA / "predictions"
    folder.mkdir(exist_ok=True)
    target = folder / f"{scored['version'].iloc[0]}-{window}.parquet"  # decided
    if target.exists():
        print(f"{target.name} is there already")
        return
    unfinished = target.with_suffix(".unfinished")
    scored.to_parquet(unfinished, index=False)
    unfinished.replace(target)


@flow(name="batch-inference", log_prints=True)
def batch_inference(window: str) -> None:
    mlflow.set_tracking_uri(TRACKING)
    scored = predict(load(), window)
    store(scored, window)
    print(f"{len(scored)} rows scored")


if __name__ == "__main__":
    batch_inference(sys.argv[1])
