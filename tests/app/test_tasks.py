"""A number and one of three classes, each through the whole loop by the command line: fit, gate, approve, score, serve, watch,
compare, rebuild, tell."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app.cli import commands
from werk.app.wiring import opened
from werk.core.errors import Refused
from werk.pipelines.explanation import explain
from werk.serving.asgi import App

ROWS = 2200
PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps

KEY, FEATURES = ("id",), ("size", "place")


@step("data-load")
def load(part: str, *, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").filter(pl.col("part") == part).collect()


@step("training")
def train(rows: pl.DataFrame, rounds: int) -> Model:
    return fit_lightgbm(
        rows, target="TARGET", key=KEY, features=FEATURES, categories=("place",), task="TASK", rounds=rounds,
        params={"min_data_in_leaf": 10},
    )


@pipeline
def training(rounds: int = 30, champion: str | None = None):
    fit, held_out = load("fit"), load("held out")
    model = train(fit, rounds)
    report = steps.evaluate(model, held_out, slices=("place",), champion=champion)
    version = steps.register(model, report)
    steps.monitor(version, model, fit, held_out, outcome="TARGET")
    steps.store_metadata(version, report)


@pipeline
def batch_inference(window: str, model: str):
    rows = load(window)
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def comparison(a: str, b: str):
    steps.compare(load("same"), a, b, "same")


@pipeline
def deployment(model: str):
    steps.deploy(model)
"""
PLAN = 'goal = "g"\nowner = "o"\nrisk_class = "minimal"\nsuccess_metric = "m"\naffected_people = "none"\n'
BOTH = '[golden]\nrequired = true\n[behaviour]\nrequired = true\n[champion]\nmetric = "{}"\ntolerance = 0.5\n'
POINT = '[[point]]\nname = "large"\nexpected = {}\ntolerance = {}\n{}[point.inputs]\nsize = 1.8\nplace = "x"\n'
TEST = '[[test]]\nname = "more"\nkind = "direction"\ncolumn = "size"\nchange = 1.0\nexpect = "not fall"\nshare = 0.7\n{}'
NAMES = ["größer", "10", "a b"]


@dataclass
class Case:
    """A project, and what each command of its life has printed."""

    root: Path
    task: str
    target: str
    metric: str
    said: dict[str, str] = field(default_factory=dict)

    def werk(self, *words: str) -> str:
        out = StringIO()
        with redirect_stdout(out):
            code = commands()([*words], standalone_mode=False)
        assert not code, out.getvalue()
        return out.getvalue()


def rows(task: str) -> pl.DataFrame:
    rng = np.random.default_rng(3)
    parts = ["fit"] * 400 + ["held out"] * 600 + ["same"] * 600 + ["later"] * 600
    size, place = rng.normal(size=ROWS), rng.choice(["x", "y"], ROWS)
    size[1600:] += 2.5  # the last window is another world
    price = 100 + 30 * size + 5 * (place == "y") + rng.normal(0, 4, ROWS)
    kinds = [NAMES[int(value > -0.4) + int(value > 0.5)] for value in size + rng.normal(0, 0.15, ROWS)]
    outcome = {"price": price} if task == "regression" else {"kind": kinds}
    return pl.DataFrame({"id": range(ROWS), "part": parts, "size": size, "place": place, **outcome})


def lived(folder: Path, task: str) -> Case:
    numbers = task == "regression"
    case = Case(folder / task, task, "price" if numbers else "kind", "rmse" if numbers else "macro_f1")
    case.root.mkdir()
    of = "" if numbers else 'class = "a b"\n'
    files = {
        "werk.toml": f'[project]\nname = "case"\nid = "prj_{task}"\n',
        "plan.toml": PLAN,
        "pipelines.py": PIPELINES.replace("TARGET", case.target).replace("TASK", task),
        "gate.toml": f"[metrics.{case.metric}]\n{'max = 15.0' if numbers else 'min = 0.8'}\n" + BOTH.format(case.metric),
        "golden.toml": POINT.format(*((154, 30, of) if numbers else (1.0, 0.3, of))),
        "behaviour.toml": TEST.format(of),
    }
    for name, text in files.items():
        (case.root / name).write_text(text, encoding="utf-8")
    rows(task).write_parquet(case.root / "rows.parquet")
    sys.modules.pop("pipelines", None)  # another project's code has the same name
    os.chdir(case.root)
    case.werk("ingest", "raw.rows", "rows.parquet")
    with pytest.raises(Refused) as refused:
        case.werk("run", "training", "-p", "rounds=1")
    case.said["refused"] = str(refused.value)
    case.werk("run", "training")
    token = json.loads(case.werk("actor", "add", "second", "--json"))["token"]
    os.environ["WERK_TOKEN"] = token
    case.werk("approve", "case:1", "--comment", "read")
    del os.environ["WERK_TOKEN"]
    case.werk("deploy", "case:1")
    for window in ("same", "later"):
        case.werk("run", "batch_inference", "-p", f"window={window}", "-p", "model=case:1")
    case.werk("run", "training", "-p", "rounds=40", "-p", "champion=case@champion")
    with redirect_stderr(StringIO()) as told:
        for _ in ("computed", "from the cache"):
            case.werk("run", "comparison", "-p", "a=case:2", "-p", "b=case:1")
    case.said["compared"] = told.getvalue()
    case.said["rebuild"] = case.werk("rebuild", "case:1", "--verify")
    case.werk("story", "story.html")
    case.said["story"] = (case.root / "story.html").read_text(encoding="utf-8")
    return case


@pytest.fixture(scope="session", params=["regression", "multiclass"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder, before = tmp_path_factory.mktemp("tasks"), Path.cwd()
    kept = {name: os.environ.get(name) for name in ("WERK_HOME", "WERK_TOKEN", "WERK_PROFILE")}
    os.environ["WERK_HOME"] = str(folder / "home")
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        os.environ.pop(name, None)
    try:
        yield lived(folder, request.param)
    finally:
        os.chdir(before)
        for name, value in kept.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


@pytest.fixture(autouse=True)
def inside(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(case.root)


def asked(case: Case, path: str, body: Any) -> dict[str, Any]:
    """The app itself, without a socket."""
    sent: list[dict[str, Any]] = []
    scope = {"type": "http", "method": "POST", "path": path, "headers": [(b"host", b"localhost")]}

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps(body).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    app = App(case.root / ".werk" / "serving", require_token=False)
    app.endpoints.refresh()
    asyncio.run(app(scope, receive, send))
    answer: dict[str, Any] = json.loads(sent[1]["body"])
    assert sent[0]["status"] == 200, answer
    return answer


def test_the_gate_refuses_a_poor_model_by_the_measure_of_the_task(case: Case) -> None:
    assert case.metric in case.said["refused"] or "golden" in case.said["refused"]


def test_the_table_holds_what_the_task_answers(case: Case) -> None:
    found = json.loads(case.werk("sql", "select * from product.predictions", "--json"))
    assert len(found) == 1200
    if case.task == "regression":
        assert all(20 < row["score"] < 250 for row in found)
        assert "class" not in found[0]
        return
    for row in found:
        chances = [row["p_10"], row["p_a_b"], row["p_größer"]]
        assert sum(chances) == pytest.approx(1)
        assert row["score"] == max(chances)
        assert row["class"] == ["10", "a b", "größer"][int(np.argmax(chances))]


def test_the_server_answers_what_the_table_holds(case: Case) -> None:
    [stored] = json.loads(case.werk("sql", "select * from product.predictions where id = 1100", "--json"))
    frame = pl.read_parquet(case.root / "rows.parquet").filter(pl.col("id") == 1100)
    row = frame.select("size", "place").to_dicts()[0]
    told = asked(case, "/models/case/invocations", {"dataframe_records": [row]})
    tensors = [{"name": "size", "shape": [1], "datatype": "FP64", "data": [row["size"]]}]
    tensors.append({"name": "place", "shape": [1], "datatype": "BYTES", "data": [row["place"]]})
    infers = asked(case, "/v2/models/case/infer", {"inputs": tensors})
    outputs = {output["name"]: output["data"] for output in infers["outputs"]}
    if case.task == "regression":
        assert told["predictions"] == outputs["score"] == [stored["score"]]
    else:
        assert told["predictions"] == outputs["class"] == [stored["class"]]
        assert told["probabilities"] == [{"10": stored["p_10"], "a b": stored["p_a_b"], "größer": stored["p_größer"]}]
        assert outputs["score"] == list(told["probabilities"][0].values())
    with opened() as session:
        for id in (stored["prediction_id"], told["prediction_ids"][0]):
            said = explain(session.p, id)
            assert said.score == stored["score"]
            assert said.of == stored.get("class")
            added = said.base + sum(one.added for one in said.contributions)
            assert {one.feature for one in said.contributions} == {"size", "place"}
            assert case.task == "multiclass" or added == pytest.approx(stored["score"])


def test_every_monitor_speaks_of_both_windows(case: Case) -> None:
    with opened() as session:
        found = session.p.journal.rows("monitors", {"version": "1"})
    by = {(row["window"], row["monitor"]): row for row in found}
    words = " ".join(str(row["sentence"]) for row in found)
    assert {monitor for _, monitor in by} >= {"data quality", "feature drift", "prediction drift", "model quality", "bias"}
    for monitor in ("feature drift", "prediction drift", "model quality"):
        assert (by["same", monitor]["verdict"], by["later", monitor]["verdict"]) == ("ok", "violation"), by["same", monitor]
    assert "AUC" not in words
    assert case.target in words


def test_challenger_and_champion_are_compared_and_rebuilt(case: Case) -> None:
    with opened() as session:
        [compared] = [fact.body for fact in session.p.journal.facts(kinds=("models.compared",))]
        [rebuilt] = session.p.journal.rows("rebuilds")
        report = session.p.journal.rows("versions", {"version": 2})[0]["report_key"]
        against = json.loads(session.p.object_store.get([report])[report])["champion"]
    assert compared is not None
    first, again = (line.strip() for line in case.said["compared"].splitlines() if "case:2 minus case:1" in line)
    assert first == again
    assert first.startswith("mae on 600 rows" if case.task == "regression" else "accuracy on 600 rows")
    assert f"minus case:1 {compared['difference']:.4g} (95 %" in first
    assert compared["low"] <= compared["difference"] <= compared["high"]
    assert rebuilt["outcome"] == "identical"
    assert against["why"] is None
    assert {"rmse", "mae", "r2"} <= set(against["differences"]) or {"macro_f1", "auc"} <= set(against["differences"])


def test_the_story_speaks_of_the_outcome_in_its_own_words(case: Case) -> None:
    story = case.said["story"]
    assert ("AUC" in story) is False
    assert "one price and one not" not in story
    assert "were price" not in story
    assert "probability of" in story or case.task == "regression"
