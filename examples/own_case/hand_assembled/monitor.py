"""python monitor.py WINDOW: has the data moved, have the predictions, and is the model still as good?"""

import json
import sys

import mlflow
import pandas as pd
from evidently import BinaryClassification, DataDefinition, Dataset, Report
from evidently.presets import ClassificationPreset, DataDriftPreset, DataSummaryPreset
from mlflow import MlflowClient
from settings import COLUMNS, DATA, LEVELS, MODEL, TRACKING
from sklearn.metrics import roc_auc_score

from features import matrix, rows_of

DRIFTED_SHARE, WORSE = 0.5, 0.05  # decided


def dataset(rows: pd.DataFrame, labelled: bool) -> Dataset:
    kinds = [BinaryClassification(target="failed", prediction_probas="score", pos_label=1)] if labelled else []
    numbers = [name for name in (*COLUMNS, "score") if name not in LEVELS]
    definition = DataDefinition(numerical_columns=numbers, categorical_columns=list(LEVELS), classification=kinds or None)
    return Dataset.from_pandas(rows, data_definition=definition)


def monitor(window: str) -> None:
    mlflow.set_tracking_uri(TRACKING)
    version = MlflowClient().get_model_version_by_alias(MODEL, "champion").version
    model = mlflow.lightgbm.load_model(f"models:/{MODEL}/{version}")
    accepted = pd.read_parquet(DATA / "reference.parquet")
    accepted = accepted.assign(score=model.predict(matrix(accepted)))
    scored = pd.read_parquet(DATA / "predictions" / f"{version}-{window}.parquet")
    rows = rows_of("later").merge(scored[["uid", "score"]], on="uid", validate="1:1")
    labelled = "failed" in rows.columns and rows["failed"].notna().all()
    columns = [*COLUMNS, "score", *(["failed"] if labelled else [])]
    presets = [DataSummaryPreset(), DataDriftPreset(), *([ClassificationPreset()] if labelled else [])]  # decided
    made = Report(presets).run(dataset(rows[columns], labelled), dataset(accepted[columns], labelled))
    folder = DATA / "monitors"
    folder.mkdir(exist_ok=True)
    made.save_html(str(folder / f"{version}-{window}.html"))
    verdicts = {"drift": _drift(made), "quality": _quality(accepted, rows) if labelled else "cannot say: no outcome is known yet"}
    (folder / f"{version}-{window}.json").write_text(json.dumps(verdicts, indent=1))
    for name, verdict in verdicts.items():
        print(f"{window} {name}: {verdict}")


def _drift(made: object) -> str:
    for metric in made.dict()["metrics"]:
        if "DriftedColumnsCount" in metric["metric_name"]:
            count, share = metric["value"]["count"], metric["value"]["share"]
            return f"{'violation' if share > DRIFTED_SHARE else 'ok'}: {count:.0f} columns moved"
    raise SystemExit("The report has no drift in it.")


def _quality(accepted: pd.DataFrame, rows: pd.DataFrame) -> str:
    before, now = (roc_auc_score(part["failed"], part["score"]) for part in (accepted, rows))
    return f"{'violation' if now < before - WORSE else 'ok'}: AUC {now:.3f}, {before:.3f} at acceptance"


if __name__ == "__main__":
    monitor(sys.argv[1])
