"""uvicorn serve:app: answer with the champion; every answer is logged before it is given."""

import json
import os
import uuid
from datetime import UTC, datetime
from typing import Annotated, Literal

import mlflow
import pandas as pd
from fastapi import FastAPI
from mlflow import MlflowClient
from pydantic import BaseModel, ConfigDict, Field
from settings import DATA, MODEL, TRACKING

from features import matrix

mlflow.set_tracking_uri(TRACKING)
version = MlflowClient().get_model_version_by_alias(MODEL, "champion")
model = mlflow.lightgbm.load_model(f"models:/{MODEL}/{version.version}")
app = FastAPI(title=MODEL)
log = (DATA / "answers.jsonl").open("ab", buffering=0)  # decided


class Part(BaseModel):
    model_config = ConfigDict(extra="forbid")  # decided
    type: Literal["H", "L", "M"] | None
    air_temperature: Annotated[float, Field(ge=250, le=350)] | None
    process_temperature: Annotated[float, Field(ge=250, le=400)] | None
    rotational_speed: Annotated[int, Field(ge=0, le=5000)] | None
    torque: Annotated[float, Field(ge=0, le=150)] | None
    tool_wear: Annotated[int, Field(ge=0, le=500)] | None


class Question(BaseModel):
    parts: Annotated[list[Part], Field(min_length=1, max_length=1000)]  # decided


@app.get("/ready")
def ready() -> dict:
    return {"model": MODEL, "version": version.version}


@app.post("/predict")
def predict(question: Question) -> dict:
    rows = [part.model_dump() for part in question.parts]
    scores = model.predict(matrix(pd.DataFrame(rows))).tolist()
    asked = uuid.uuid4().hex  # decided
    line = {"id": asked, "version": version.version, "at": datetime.now(UTC).isoformat(), "inputs": rows, "scores": scores}
    os.write(log.fileno(), json.dumps(line).encode() + b"\n")
    return {"id": asked, "version": version.version, "scores": scores}
