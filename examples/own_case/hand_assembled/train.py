"""python train.py: fit, evaluate, gate and register a model; the version waits for an approval."""

import getpass
import hashlib
import json
import subprocess
import sys

import lightgbm
import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.models import infer_signature
from prefect import flow, task
from settings import ARTIFACTS, COLUMNS, DATA, HERE, HOLDOUT, LEVELS, MIN_AUC, MODEL, PARAMS, ROUNDS, TOLERANCE, TRACKING
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

from features import matrix, rows_of


@task(retries=2)  # decided
def load() -> pd.DataFrame:
    return rows_of("history").dropna(subset=["failed"])


@task
def split(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """By the key alone: a row stays on its side, whatever rows come or go."""
    drawn = rows["uid"].map(lambda uid: int(hashlib.sha256(str(uid).encode()).hexdigest()[:12], 16) / 16**12)  # decided
    return rows[drawn >= HOLDOUT], rows[drawn < HOLDOUT]


@task
def fit(rows: pd.DataFrame) -> lightgbm.Booster:
    categories = [COLUMNS.index(name) for name in LEVELS]
    data = lightgbm.Dataset(matrix(rows), label=rows["failed"], feature_name=COLUMNS, categorical_feature=categories)
    return lightgbm.train(PARAMS, data, num_boost_round=ROUNDS)


def interval(labels: np.ndarray, scores: np.ndarray, draws: int = 300) -> tuple[float, float]:
    """The 95 % interval of AUC, by bootstrap."""
    random, found = np.random.default_rng(7), []
    for _ in range(draws):
        chosen = random.integers(0, len(labels), len(labels))
        if 0 < labels[chosen].mean() < 1:
            found.append(roc_auc_score(labels[chosen], scores[chosen]))
    low, high = np.quantile(found, [0.025, 0.975])  # decided
    return float(low), float(high)


@task
def evaluate(model: lightgbm.Booster, rows: pd.DataFrame) -> dict:
    scores, labels = model.predict(matrix(rows)), rows["failed"].to_numpy()
    low, high = interval(labels, scores)
    told, share = calibration_curve(labels, scores, n_bins=10, strategy="quantile")  # decided
    slices = {}
    for level in LEVELS["type"]:
        here = (rows["type"] == level).to_numpy()
        if 0 < labels[here].mean() < 1:
            slices[level] = {"n": int(here.sum()), "auc": roc_auc_score(labels[here], scores[here])}
    metrics = {"auc": roc_auc_score(labels, scores), "auc_low": low, "auc_high": high}
    metrics |= {"brier": brier_score_loss(labels, scores), "log_loss": log_loss(labels, scores)}
    calibration = [[float(a), float(b)] for a, b in zip(told, share, strict=True)]
    return {"n": len(rows), "metrics": metrics, "slices": slices, "calibration": calibration}


@task
def gate(report: dict, holdout: pd.DataFrame) -> list[str]:
    """Why the model may not be registered; an empty list lets it pass."""
    reasons = []
    if report["metrics"]["auc_low"] < MIN_AUC:
        reasons.append(f"the low end of AUC is {report['metrics']['auc_low']:.3f}, at least {MIN_AUC}")
    try:
        champion = mlflow.lightgbm.load_model(f"models:/{MODEL}@champion")
    except MlflowException:
        return reasons
    theirs = roc_auc_score(holdout["failed"], champion.predict(matrix(holdout)))
    if report["metrics"]["auc"] < theirs - TOLERANCE:
        reasons.append(f"AUC is {report['metrics']['auc']:.3f}, the champion's is {theirs:.3f}")
    return reasons


def commit() -> str:
    said = subprocess.run(["git", "rev-parse", "HEAD"], cwd=HERE, capture_output=True, text=True, check=False)
    return said.stdout.strip() or "none"


@task
def register(model: lightgbm.Booster, report: dict, holdout: pd.DataFrame) -> str:
    with mlflow.start_run() as run:
        mlflow.log_params({**PARAMS, "rounds": ROUNDS, "holdout": HOLDOUT})  # decided
        mlflow.log_metrics(report["metrics"])
        mlflow.log_dict(report, "report.json")
        mlflow.log_dict(json.loads((DATA / "history.json").read_text()), "data.json")
        mlflow.log_artifact(str(HERE / "requirements.txt"))
        mlflow.log_artifact(str(HERE / "plan.json"))
        mlflow.set_tags({"commit": commit(), "trainer": getpass.getuser()})
        values = matrix(holdout)
        signature = infer_signature(values, model.predict(values))
        mlflow.lightgbm.log_model(model, name="model", signature=signature, registered_model_name=MODEL)
        return run.info.run_id


@flow(name="training", log_prints=True)
def training() -> None:
    mlflow.set_tracking_uri(TRACKING)
    client = MlflowClient()
    if client.get_experiment_by_name(MODEL) is None:
        client.create_experiment(MODEL, artifact_location=ARTIFACTS.as_uri())
    mlflow.set_experiment(MODEL)
    plan = json.loads((HERE / "plan.json").read_text())
    if empty := [name for name, value in plan.items() if not value]:
        sys.exit(f"plan.json does not say: {', '.join(empty)}.")
    learned_from, held_out = split(load())
    model = fit(learned_from)
    report = evaluate(model, held_out)
    if reasons := gate(report, held_out):
        sys.exit(f"The gate refused the model: {'; '.join(reasons)}.")
    run = register(model, report, held_out)
    held_out.to_parquet(DATA / "reference.parquet", index=False)  # decided
    version = client.search_model_versions(f"run_id='{run}'")[0].version
    client.set_model_version_tag(MODEL, version, "status", "pending")  # decided
    print(f"{MODEL}:{version} is pending")


if __name__ == "__main__":
    training()
