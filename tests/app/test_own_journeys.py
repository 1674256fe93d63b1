"""From a file of one's own to an approved model that answers, is watched and rebuilt: a number, two outcomes, several.

The files come with scikit-learn. `WERK_DATA=FOLDER` adds larger ones, AI4I 2020 (doi.org/10.24432/C5HS5C) and the employment of
Massachusetts (US Census ACS PUMS 2015, as in nannyml 0.13.1), as `FOLDER/ai4i2020/ai4i2020.csv` and
`FOLDER/acs_employment_ma/employment_MA_reference.parquet`.
"""

from __future__ import annotations

import asyncio
import json
import os
import runpy
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from sklearn.datasets import load_breast_cancer, load_diabetes, load_wine

from werk.app.cli import commands
from werk.governance import UNCHECKED
from werk.serving.asgi import App

MOST_COMMANDS = 10
DATA = os.environ.get("WERK_DATA")


@dataclass(frozen=True)
class Given:
    """A file's rows, and what one tells `werk init` of them."""

    rows: pl.DataFrame
    target: str
    task: str
    words: tuple[str, ...] = ()


def _tumours() -> Given:
    found = load_breast_cancer()
    rows = pl.DataFrame(found.data, schema=[str(name) for name in found.feature_names])
    return Given(rows.with_columns(malignant=1 - pl.Series(found.target)), "malignant", "binary")


def _diabetes() -> Given:
    found = load_diabetes()
    day = pl.date(2024, 1, 1) + pl.duration(days=pl.int_range(pl.len()))
    rows = pl.DataFrame(found.data, schema=found.feature_names).with_columns(visit=day, worse=pl.Series(found.target))
    return Given(rows, "worse", "regression", ("--time", "visit"))


def _wine() -> Given:
    found = load_wine()
    kinds = pl.Series([str(found.target_names[at]) for at in found.target])
    rows = pl.DataFrame(found.data, schema=found.feature_names).with_columns(cultivar=kinds).with_row_index("bottle")
    return Given(rows, "cultivar", "multiclass", ("--key", "bottle"))


def _machines() -> Given:
    return Given(pl.read_csv(Path(str(DATA)) / "ai4i2020" / "ai4i2020.csv"), "Machine failure", "binary")


def _employment() -> Given:
    rows = pl.read_parquet(Path(str(DATA)) / "acs_employment_ma" / "employment_MA_reference.parquet")
    return Given(rows.drop("predicted_probability", "prediction", strict=False), "employed", "binary")


FILES: Mapping[str, Callable[[], Given]] = {
    "tumours": _tumours,
    "diabetes": _diabetes,
    "wine": _wine,
    **({"machines": _machines, "employment": _employment} if DATA else {}),
}


@dataclass
class Journey:
    root: Path
    typed: list[tuple[str, ...]] = field(default_factory=list)

    def werk(self, *words: str, **variables: str) -> str:
        self.typed.append(words)
        out = StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out):
            for name, value in variables.items():
                patch.setenv(name, value)
            code = commands()([*words], standalone_mode=False)
        assert not code, out.getvalue()
        return out.getvalue()


@pytest.fixture
def journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journey]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    sys.modules.pop("pipelines", None)  # another project's code has the same name
    yield Journey(tmp_path / "mine")
    sys.modules.pop("pipelines", None)


@pytest.mark.parametrize("file", list(FILES))
def test_a_file_becomes_an_approved_model_that_answers_and_is_watched(
    file: str, journey: Journey, monkeypatch: pytest.MonkeyPatch, record_property: Callable[[str, object], None]
) -> None:
    given = FILES[file]()
    later = given.rows.sample(min(len(given.rows), 2000), seed=1)
    given.rows.write_csv("rows.csv")
    later.write_csv("later.csv")
    began = time.monotonic()
    journey.werk("init", "mine", "--from", "rows.csv", "--target", given.target, *given.words)
    monkeypatch.chdir(journey.root)
    plan = journey.root / "plan.toml"
    plan.write_text(plan.read_text(encoding="utf-8").replace(UNCHECKED, ""), encoding="utf-8")  # read, and found to be true
    journey.werk("ingest", "raw.rows", "../rows.csv")
    journey.werk("run", "training")
    token = str(json.loads(journey.werk("actor", "add", "second", "--json"))["token"])
    journey.werk("approve", "mine:1", WERK_TOKEN=token)
    seconds = time.monotonic() - began
    journey.werk("ingest", "raw.later", "../later.csv", "--contract", "raw.rows")
    journey.werk("run", "batch_inference", "-p", "table=raw.later", "-p", "window=later")
    watched = journey.werk("monitor")
    assert "later  mine:1\n" in watched
    assert "model quality     ok" in watched
    assert "identical: mine:1" in journey.werk("rebuild", "mine:1")
    assert len(journey.typed) <= MOST_COMMANDS
    for name, value in {"rows": len(given.rows), "commands": len(journey.typed), "seconds_to_approved": round(seconds)}.items():
        record_property(name, value)
    _answers(journey, given)


def _answers(journey: Journey, given: Given) -> None:
    """The server says of rows what a batch says of them."""
    rows = pl.read_csv("../rows.csv", n_rows=5)
    rows.write_csv("five.csv")
    batch = json.loads(journey.werk("predict", "mine:1", "five.csv", "--json"))
    features = runpy.run_path("pipelines.py")["FEATURES"]
    app = App(journey.root / ".werk" / "serving", require_token=False)
    app.endpoints.refresh()
    said = asyncio.run(_asked(app, {"dataframe_records": rows.select(features).to_dicts()}))
    answer = "class" if given.task == "multiclass" else "score"
    assert sorted(said["predictions"]) == sorted(row[answer] for row in batch)


async def _asked(app: App, body: object) -> dict[str, Any]:
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    await app({"type": "http", "method": "POST", "path": "/invocations", "headers": [(b"host", b"localhost")]}, receive, send)
    answer: dict[str, Any] = json.loads(sent[1]["body"])
    assert sent[0]["status"] == 200, answer
    return answer
