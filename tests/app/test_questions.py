"""What a project can be asked: every answer on the terminal and as JSON, every wrong question with its next step."""

import asyncio
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app import answers
from werk.app.answers import Answer
from werk.app.commands import actors, checkout, deployments, logs, models, monitor, predict, proof, show, status, tables, verdicts
from werk.app.commands import pipelines as graphs
from werk.app.commands import runs as of_runs
from werk.app.wiring import opened
from werk.core.errors import Failed, InputError, Refused
from werk.core.journal import NewFact
from werk.core.nouns import utc_now
from werk.serving.asgi import App

PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(half: str, *, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").filter(pl.col("half") == half).collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=ROUNDS)


@step("post-processing")
def count(scored: pl.DataFrame) -> pl.DataFrame:
    return scored.select(pl.len())


@pipeline
def training():
    rows = load("first")
    model = train(rows)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)
    steps.store_metadata(version, report)


@pipeline
def batch_inference(window: str, model: str):
    rows = load(window)
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)
    count(scored)


@pipeline
def deployment(model: str):
    steps.deploy(model)
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"


class Small:
    """A project of its own, its runs in processes of their own: in this one its code is never loaded."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "small"
        self.home = folder / "home"
        self.root.mkdir()
        (self.root / "werk.toml").write_text('[project]\nname = "small"\nid = "prj_small"\n')
        (self.root / "plan.toml").write_text(PLAN)
        (self.root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
        self.rounds(5)
        chance = np.random.default_rng(7)
        x = chance.normal(size=800)
        halves = ["first"] * 400 + ["second"] * 400
        rows = {"id": range(800), "half": halves, "x": x, "z": chance.normal(size=800)}
        late = (x + chance.normal(size=800) > 0).astype(int)
        pl.DataFrame({**rows, "y": late}).write_parquet(self.root / "rows.parquet")

    def rounds(self, count: int) -> None:
        (self.root / "pipelines.py").write_text(PIPELINES.replace("ROUNDS", str(count)))

    def werk(self, *words: str, token: str = "") -> str:
        env = {**os.environ, "WERK_HOME": str(self.home), **({"WERK_TOKEN": token} if token else {})}
        command = [sys.executable, "-m", "werk.app.cli", *words]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


def _lived(folder: Path) -> Small:
    """Two versions trained and approved, the first one's predictions, the second one champion."""
    small = Small(folder)
    small.werk("ingest", "raw.rows", "rows.parquet")
    small.werk("run", "training")
    small.rounds(9)
    small.werk("run", "training")
    token = json.loads(small.werk("actor", "add", "second", "--json"))["token"]
    for version in ("small:1", "small:2"):
        small.werk("approve", version, "--comment", f"looked at {version}", token=token)
        small.werk("deploy", version)
    small.werk("run", "batch_inference", "-p", "window=second", "-p", "model=small:1")
    return small


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Small]:
    lived = _lived(tmp_path_factory.mktemp("questions"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WERK_HOME", str(lived.home))
        yield lived


def copied(small: Small, folder: Path) -> Path:
    """The project's copy; what happens to it does not reach the one the other tests ask."""
    shutil.copytree(small.root, folder / "small")
    return folder / "small"


def twin(small: Small, folder: Path) -> Small:
    """A copy that may go on: its signed heads are its own."""
    found = copy(small)
    found.root, found.home = copied(small, folder), folder / "home"
    shutil.copytree(small.home, found.home)
    return found


def said(answer: Answer, capsys: pytest.CaptureFixture[str]) -> str:
    """What the terminal shows; the JSON of the same answer must be JSON."""
    answers.show(answer, as_json=True)
    json.loads(capsys.readouterr().out)
    answers.show(answer, as_json=False)
    return capsys.readouterr().out


def record(answer: Answer) -> Any:
    return answer.record


def rows(answer: Answer) -> Any:
    return answer.rows


def test_status_is_one_screen_with_a_next_step(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    answer = status.status(small.root, None)
    found = record(answer)
    assert set(found) == {
        *("project", "id", "stage", "actor", "champions", "pending", "runs", "monitors", "tables", "head", "next"),
    }
    assert [one["model"] for one in found["champions"]] == ["small:2"]
    assert found["champions"][0]["deployment"].startswith("dep_")
    assert {run["pipeline"]: run["status"] for run in found["runs"]} == dict.fromkeys(
        ("training", "batch_inference", "deployment"), "finished"
    )
    text = said(answer, capsys)
    assert "small:2 is champion" in text
    assert text.splitlines()[-1].startswith("next: werk ")


def test_a_run_that_was_killed_is_shown_as_interrupted_and_resumed_next(small: Small, tmp_path: Path) -> None:
    lived = Small(tmp_path)
    (lived.root / "pipelines.py").write_text(
        "import os, signal\nfrom werk import pipeline, step\n\n\n@step('dies')\ndef dies() -> int:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n\n\n@pipeline\ndef fatal():\n    dies()\n"
    )
    env = {**os.environ, "WERK_HOME": str(lived.home)}
    killed = subprocess.run([sys.executable, "-m", "werk.app.cli", "run", "fatal"], cwd=lived.root, env=env, capture_output=True)
    assert killed.returncode == -9
    (run,) = rows(of_runs.runs(5, None, lived.root, None))
    assert record(status.status(lived.root, None))["runs"][0]["status"] == "running", "its lease has not ended yet"
    with sqlite3.connect(lived.root / ".werk/journal.db") as database:
        database.execute("UPDATE leases SET until = 0")
    found = record(status.status(lived.root, None))
    assert found["runs"][0]["status"] == "interrupted"
    (lived.root / "lake").mkdir(exist_ok=True)
    assert found["next"] in (f"werk resume {run['run']}", "werk ingest raw.TABLE FILE")


def test_who_waits_for_approval_comes_before_a_run_that_failed(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    with sqlite3.connect(root / ".werk/journal.db") as database:
        database.execute("UPDATE p_runs SET status = 'failed' WHERE pipeline = 'deployment'")
    assert record(status.status(root, None))["next"].startswith("werk resume run_")
    with sqlite3.connect(root / ".werk/journal.db") as database:
        database.execute("UPDATE p_versions SET status = 'pending'")
    assert record(status.status(root, None))["next"].startswith("werk approve small:2")


def test_every_monitor_has_a_line_for_the_window(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    answer = monitor.monitor(None, None, False, None, small.root, None)
    assert {row["window"] for row in rows(answer)} == {"second"}
    assert {"data quality", "feature drift", "prediction drift", "model quality"} <= {row["monitor"] for row in rows(answer)}
    assert "second  small:1" in said(answer, capsys)
    assert rows(monitor.monitor("small:2", None, False, None, small.root, None)) == []
    with pytest.raises(InputError, match="Did you mean 'second'"):
        monitor.monitor(None, "secnd", False, None, small.root, None)


def test_a_verdict_that_comes_back_is_shown_although_its_check_came_from_the_cache(tmp_path: Path) -> None:
    """Rows, other rows, the first rows again: the third run finds everything in the cache, and what it says is the newest."""
    lived = Small(tmp_path)
    lived.werk("ingest", "raw.rows", "rows.parquet")
    lived.werk("run", "training")
    token = json.loads(lived.werk("actor", "add", "second", "--json"))["token"]
    lived.werk("approve", "small:1", token=token)
    verdicts = []
    changed = pl.read_parquet(lived.root / "rows.parquet").with_columns(x=pl.col("x") * 100)
    changed.write_parquet(lived.root / "changed.parquet")
    for file in ("rows.parquet", "changed.parquet", "rows.parquet"):
        lived.werk("ingest", "raw.rows", file)
        lived.werk("run", "batch_inference", "-p", "window=second", "-p", "model=small:1")
        answers = json.loads(lived.werk("monitor", "--json"))
        verdicts.append({row["monitor"]: (row["verdict"], row["sentence"]) for row in answers if row["monitor"] != "cost"})
    assert verdicts[0] != verdicts[1]
    assert verdicts[2] == verdicts[0]
    head = json.loads(lived.werk("status", "--json"))["head"]
    lived.werk("run", "batch_inference", "-p", "window=second", "-p", "model=small:1")
    facts = json.loads(lived.werk("sql", "--json", f"select kind from journal.facts where seq > {head['seq']}"))
    assert not [fact for fact in facts if fact["kind"] in ("monitor.checked", "drift.detected")], "an exact repeat says nothing"


def test_a_violation_in_the_newest_window_is_exit_code_three_when_asked(
    small: Small, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rows that a model was trained on are no violation, those it has not seen are one."""
    other = twin(small, tmp_path)
    monkeypatch.setenv("WERK_HOME", str(other.home))
    other.werk("run", "batch_inference", "-p", "window=first", "-p", "model=small:1")
    found = rows(monitor.monitor(None, None, False, None, other.root, None))
    verdicts = {window: {row["verdict"] for row in found if row["window"] == window} for window in ("first", "second")}
    assert ("ok" in verdicts["first"], "violation" in verdicts["first"]) == (True, False)
    assert "violation" in verdicts["second"]
    assert monitor.monitor(None, None, True, None, other.root, None).exit_code == 0, "the first was checked last"
    with pytest.raises(Refused, match="violation in second") as no:
        monitor.monitor(None, "second", True, None, other.root, None)
    assert (no.value.exit_code, no.value.code) == (3, "monitor-violation")


def test_the_newest_window_is_the_one_checked_last_whatever_it_is_called(tmp_path: Path, small: Small) -> None:
    root = copied(small, tmp_path)

    def say(version: str, window: str, verdict: str) -> None:
        body = {"monitor": "bias", "window": window, "verdict": verdict, "sentence": window, "values": {}, "report_key": None}
        with opened(root, None) as session:
            session.p.journal.append(
                [NewFact("monitor.checked", f"small:{version}", body, dedupe_key=f"{version}{window}{verdict}")]
            )

    say("2", "zulu", "violation")
    say("2", "alpha", "ok")
    assert monitor.monitor(None, None, True, None, root, None).exit_code == 0, "an old alarm under a later name"
    assert {answer["window"] for answer in record(status.status(root, None))["monitors"]} == {"alpha"}
    say("1", "beta", "violation")
    say("2", "zulu", "ok")
    assert monitor.monitor(None, None, True, None, root, None).exit_code == 0
    say("2", "beta", "ok")
    assert monitor.monitor(None, None, True, None, root, None).exit_code == 0, "what another version had met there"
    say("2", "alpha", "violation")
    with pytest.raises(Refused, match=r"violation in alpha \(small:2\): bias"):
        monitor.monitor(None, None, True, None, root, None)
    assert "alpha  small:2, checked last" in (status.status(root, None).text or "")


def test_predictions_carry_their_run_and_the_verdict_on_their_window(small: Small) -> None:
    found = rows(tables.sql("select distinct run, drift from product.predictions", small.root, None))
    assert len(found) == 1
    assert found[0]["run"].startswith("run_")
    assert found[0]["drift"] in ("ok", "violation")


def test_a_prediction_asked_again_gives_its_score_and_its_reasons(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    (one,) = rows(tables.sql("select prediction_id, score, id from product.predictions order by 1 limit 1", small.root, None))
    answer = predict.explain(one["prediction_id"], small.root, None)
    found = record(answer)
    assert found["again"] == found["score"] == one["score"]
    margin = found["base"] + sum(part["added"] for part in found["contributions"])
    assert 1 / (1 + np.exp(-margin)) == pytest.approx(one["score"], rel=1e-9)
    assert {part["feature"] for part in found["contributions"]} == {"x", "z"}
    assert "asked again" in said(answer, capsys)
    with pytest.raises(InputError, match="no prediction 'prd_0'"):
        predict.explain("prd_0", small.root, None)


def asked(root: Path, rows: list[dict[str, Any]]) -> list[str]:
    """The ids of what the prediction server answers for these rows."""
    app = App(root / ".werk/serving", require_token=False)
    app.endpoints.refresh()
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": json.dumps({"instances": rows}).encode()}

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/models/small/invocations", "headers": [(b"host", b"localhost")]}
    asyncio.run(app(scope, receive, send))
    assert sent[0]["status"] == 200, sent
    ids: list[str] = json.loads(sent[1]["body"])["prediction_ids"]
    return ids


def test_a_served_prediction_is_followed_like_one_of_a_batch(
    small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = copied(small, tmp_path)
    first, second = asked(root, [{"id": 500, "x": 0.25, "z": None}, {"id": 501, "x": -0.0, "z": 7}])
    shown = record(show.show(first, None, root, None))
    assert (shown["model"], shown["version"], shown["key"], shown["features"]) == (
        "small",
        2,
        {"id": 500},
        {"x": 0.25, "z": None},
    )
    assert "deployment" in said(show.show(first, None, root, None), capsys)

    answer = predict.explain(first, root, None)
    found = record(answer)
    margin = found["base"] + sum(part["added"] for part in found["contributions"])
    assert found["again"] == found["score"] == shown["score"] == pytest.approx(1 / (1 + np.exp(-margin)), rel=1e-9)
    assert {part["feature"]: part["value"] for part in found["contributions"]} == {"x": 0.25, "z": None}
    assert (found["run"], found["deployment"]) == (None, shown["deployment"])
    assert f"served as {shown['deployment']}" in said(answer, capsys)

    answer = proof.lineage(second, root, None)
    found = record(answer)
    assert (found["model"], found["prediction"]["deployment"], found["snapshots"][0]["source"]) == (
        "small:2",
        shown["deployment"],
        "rows.parquet",
    )
    assert any(edge["source"].startswith("file rows.parquet") for edge in found["producers"])
    assert found["code"]["tree"]
    assert "-0.0" not in json.dumps(found)  # what a caller sent is shown to who asks for it, and stands nowhere else
    text = said(answer, capsys)
    assert "answered at 'small'" in text
    assert f"trained by {found['run']}" in text
    assert text.rstrip().endswith("nothing has come of it yet")


def test_a_served_prediction_is_known_after_a_restore(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    (id,) = asked(root, [{"id": 500, "x": 0.25, "z": None}])
    (segment,) = (root / ".werk/serving/predictions").glob("*.jsonl")
    with segment.open("ab") as log:
        log.write(b'{"id":"prd_00000000000000000000","torn')  # what a killed server leaves
    for words in (["backup", str(tmp_path / "safe")], ["restore", str(tmp_path / "safe"), str(tmp_path / "back")]):
        home = small.home if words[0] == "backup" else tmp_path / "home"
        subprocess.run(
            [sys.executable, "-m", "werk.app.cli", *words], cwd=root, env={**os.environ, "WERK_HOME": str(home)}, check=True
        )
    told = subprocess.run(
        [sys.executable, "-m", "werk.app.cli", "show", id, "--json"],
        cwd=tmp_path / "back",
        env={**os.environ, "WERK_HOME": str(tmp_path / "home")},
        stdout=subprocess.PIPE,
        check=True,
    )
    assert json.loads(told.stdout)["features"] == {"x": 0.25, "z": None}
    (back,) = (tmp_path / "back/.werk/serving/predictions").glob("*.jsonl")
    assert back.read_bytes().count(b"\n") == 1
    assert b"torn" not in back.read_bytes()
    assert back.stat().st_mode & 0o777 == 0o600


def test_a_log_that_says_otherwise_than_the_journal_is_no_lineage(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    (id,) = asked(root, [{"x": 0.25, "z": 1}])
    (segment,) = (root / ".werk/serving/predictions").glob("*.jsonl")
    whole = segment.read_text()
    segment.write_text(whole.replace('"version":2', '"version":1'))
    for ask in (proof.lineage, predict.explain):
        with pytest.raises(Failed, match="does not tell of it like that"):
            ask(id, root, None)
    segment.write_text(whole.replace('"x":0.25', '"x":-3.5'))
    with pytest.raises(Failed, match="small:2 now answers"):
        predict.explain(id, root, None)
    segment.write_text("")  # erased: nothing else holds what the caller sent
    for ask in (proof.lineage, predict.explain):
        with pytest.raises(InputError, match="no prediction"):
            ask(id, root, None)


def test_rows_scored_by_hand_equal_the_batch(small: Small, tmp_path: Path) -> None:
    batch = rows(tables.sql("select id, score from product.predictions order by id", small.root, None))
    before = rows(tables.tables(None, small.root, None))
    out = tmp_path / "scored.parquet"
    assert record(predict.predict("small:1", str(small.root / "rows.parquet"), out, small.root, None))["rows"] == 800
    by_hand = {row["id"]: row["score"] for row in pl.read_parquet(out).to_dicts()}
    assert {row["id"]: row["score"] for row in batch} == {row["id"]: by_hand[row["id"]] for row in batch}
    of_table = rows(predict.predict("small:1", "raw.rows@0", None, small.root, None))
    assert {row["id"]: row["score"] for row in of_table} == by_hand
    assert rows(tables.tables(None, small.root, None)) == before, "nothing was written"


@pytest.mark.parametrize(
    ("model", "columns", "sentence"),
    [
        ("small:1", {"id": [1], "x": [0.1], "zz": [0.1]}, "Did you mean 'zz'"),
        ("small:7", {"id": [1], "x": [0.1], "z": [0.1]}, "no version small:7"),
        ("smal@champion", {"id": [1], "x": [0.1], "z": [0.1]}, "no model 'smal'"),
        ("small:1", {"id": [1, 1], "x": [0.1, 0.2], "z": [0.1, 0.2]}, "not unique"),
    ],
)
def test_what_cannot_be_scored_says_why(
    small: Small, tmp_path: Path, model: str, columns: dict[str, list[float]], sentence: str
) -> None:
    pl.DataFrame(columns).write_csv(tmp_path / "rows.csv")
    with pytest.raises(InputError, match=sentence):
        predict.predict(model, str(tmp_path / "rows.csv"), None, small.root, None)


def test_the_metadata_of_a_run_is_one_query(small: Small) -> None:
    query = (
        "select m.run, m.params, m.metrics, m.snapshots, m.usage, r.status from journal.metadata m "
        "join journal.runs r using (run) where m.version = 1 and m.pipeline = 'training'"
    )
    (found,) = rows(tables.sql(query, small.root, None))
    assert json.loads(found["metrics"])["auc"]["value"] > 0.5
    assert json.loads(found["snapshots"]) == ["raw.rows@0"]
    assert set(json.loads(found["usage"])) >= {"cpu_s", "wall_s", "gb_s"}
    (facts,) = rows(tables.sql("select count(*) as n, count(distinct hash) as hashes from journal.facts", small.root, None))
    assert facts["n"] == facts["hashes"] > 20


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("select * from journal.salts", "no table 'journal.salts'"),
        ("select salt from journal.facts", "salt"),
        ("delete from journal.facts", "no SELECT"),
        ("select * from read_csv('/etc/passwd')", "cannot be run"),
    ],
)
def test_a_query_reaches_the_record_and_nothing_else(small: Small, query: str, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        tables.sql(query, small.root, None)


def test_a_table_names_its_source_and_all_that_came_of_it(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    answer = proof.lineage("raw.rows@0", small.root, None)
    found = record(answer)
    assert [edge["how"] for edge in found["producers"]] == ["landed as"]
    reached = {edge["target"] for edge in found["consumers"]}
    assert {"small:1", "small:2", "product.predictions@0"} <= reached
    assert any(id.startswith("dep_") for id in reached)
    assert "landed as raw.rows@0" in said(answer, capsys)


def test_every_id_leads_back_to_the_file(small: Small) -> None:
    (predicted,) = rows(tables.sql("select min(prediction_id) as id from product.predictions", small.root, None))
    deployed = rows(deployments.deployments(small.root, None))[0]["deployment"]
    run = rows(of_runs.runs(1, None, small.root, None))[0]["run"]
    for id in (predicted["id"], deployed, run, "small:2", "product.predictions@0"):
        found = record(proof.lineage(id, small.root, None))
        assert any(edge["source"].startswith("file rows.parquet") for edge in found["producers"]), id


def test_a_prediction_names_both_runs_and_what_came_of_itself(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = rows(tables.sql("select prediction_id, run from product.predictions order by id limit 1", small.root, None))
    answer = proof.lineage(row["prediction_id"], small.root, None)
    found, text = record(answer), said(answer, capsys)
    assert found["scored_by"] == row["run"] != found["run"]
    assert f"scored by {row['run']}" in text
    assert f"trained by {found['run']}" in text
    assert [(edge["source"], edge["target"]) for edge in found["consumers"]] == [
        (row["prediction_id"], "product.predictions@0"),
    ]


def test_a_broken_edge_is_a_failure_that_names_it(tmp_path: Path, small: Small) -> None:
    root = copied(small, tmp_path)
    with sqlite3.connect(root / ".werk/journal.db") as database:
        database.execute("DELETE FROM p_table_versions WHERE \"table\" = 'raw.rows'")
    with pytest.raises(Failed, match=r"the table version raw\.rows@0 is not in the journal"):
        proof.lineage("small:1", root, None)


@pytest.mark.parametrize(
    ("id", "sentence"),
    [
        ("raw.row@0", "Did you mean 'raw.rows@0'"),
        ("raw.rows@9", "no table version 'raw.rows@9'"),
        ("run_0", "no run 'run_0'"),
        ("dep_0", "no deployment 'dep_0'"),
        ("small:9", "small:9"),
        ("prd_0", "no prediction 'prd_0'"),
        ("what", "what"),
        ("", "''"),
    ],
)
def test_an_unknown_id_is_named(small: Small, id: str, sentence: str) -> None:
    for ask in (lambda: proof.lineage(id, small.root, None), lambda: show.show(id, None, small.root, None)):
        with pytest.raises(InputError, match=sentence):
            ask()


def test_show_says_what_it_takes(small: Small) -> None:
    with pytest.raises(InputError, match="'nothing' is no id of anything recorded") as refused:
        show.show("nothing", None, small.root, None)
    assert refused.value.hint == "Name a run, model:version, model@alias, table@version, prediction or deployment."


def test_a_comparison_without_a_champion_is_not_called_passed() -> None:
    rule = {
        "rule": "champion.auc",
        "passed": True,
        "value": None,
        "threshold": 0.0,
        "sentence": "nothing to compare",
        "checked": True,
    }
    found = {**dict.fromkeys(("metrics", "golden", "behaviour")), "passed": True, "rules": [rule, {**rule, "value": 0.1}]}
    first, second = [line for line in verdicts.told(found) if "champion.auc" in line]
    assert first.split()[:2] == ["-", "champion.auc"]
    assert second.split()[:2] == ["passed", "champion.auc"]


def test_a_version_shows_who_decided_and_why(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    answer = show.show("small:1", None, small.root, None)
    (decision,) = record(answer)["decisions"]
    assert (decision["action"], decision["by"], decision["comment"]) == ("approved", "second", "looked at small:1")
    assert decision["assurance"] == "local-self"
    assert "looked at small:1" in said(answer, capsys)
    assert record(show.show("small@champion", None, small.root, None))["version"] == 2


def test_a_version_shows_what_it_was_measured_to_do(small: Small, capsys: pytest.CaptureFixture[str]) -> None:
    answer = show.show("small:1", None, small.root, None)
    auc = record(answer)["evaluation"]["metrics"]["auc"]
    assert 0 <= auc["low"] <= auc["value"] <= auc["high"] <= 1
    assert re.search(r"^  auc +0\.\d+ \(95 % 0\.\d+ to ", said(answer, capsys), re.MULTILINE)


def test_a_report_that_was_made_better_is_refused(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    report = root / ".werk" / "objects" / record(show.show("small:1", None, root, None))["report_key"]
    better = json.loads(report.read_text())
    better["metrics"]["auc"]["value"] = 1.0
    report.write_text(json.dumps(better))
    with pytest.raises(Failed, match="not the one that was evaluated") as found:
        show.show("small:1", None, root, None)
    assert found.value.code == "report-tampered"


@pytest.mark.parametrize("what", ["run", "table", "deployment", "prediction"])
def test_everything_has_a_page(small: Small, capsys: pytest.CaptureFixture[str], what: str) -> None:
    ids = {
        "run": lambda: rows(of_runs.runs(1, None, small.root, None))[0]["run"],
        "table": lambda: "raw.rows@0",
        "deployment": lambda: rows(deployments.deployments(small.root, None))[0]["deployment"],
        "prediction": lambda: rows(tables.sql("select min(prediction_id) as i from product.predictions", small.root, None))[0][
            "i"
        ],
    }
    text = said(show.show(ids[what](), None, small.root, None), capsys)
    assert len(text.splitlines()) > 5
    assert "{'" not in text, "no raw dictionaries"


def test_a_failed_run_tells_its_step_and_the_users_traceback(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = Small(tmp_path)
    (broken.root / "pipelines.py").write_text(
        "from werk import pipeline, step\n\n\n@step('one')\ndef one() -> int:\n    return 1\n\n\n"
        "@step('two')\ndef two(n: int) -> int:\n    return n / 0\n\n\n@pipeline\ndef broken():\n    two(one())\n"
    )
    env = {**os.environ, "WERK_HOME": str(broken.home)}
    done = subprocess.run([sys.executable, "-m", "werk.app.cli", "run", "broken"], cwd=broken.root, env=env, capture_output=True)
    assert done.returncode == 1
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WERK_HOME", str(broken.home))
        (run,) = rows(of_runs.runs(5, None, broken.root, None))
        text = said(logs.logs(run["run"], None, None, broken.root, None), capsys)
    assert "one" in text
    assert "ZeroDivisionError" in text
    assert "return n / 0" in text
    assert "werk/workflow" not in text


def test_back_to_the_version_before_and_forward_again(small: Small, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = copied(small, tmp_path)
    answer = deployments.rollback("small", "worse on Mondays", root, None)
    assert (record(answer)["version"], record(answer)["left"]["for"]) == (1, "small:2")
    text = said(answer, capsys)
    for words in ("small:1 is the champion", "accepted with auc 0.", "approved by second at 20", ": looked at small:1"):
        assert words in text
    assert "with the deployment of small:2" in text
    first, *_ = rows(deployments.deployments(root, None))
    assert (first["version"], first["live"]) == ("small:1", True)
    assert first["cause"]["rollback_of"].startswith("dep_")
    assert [row["alias"] for row in rows(models.models(None, root, None))] == ["champion", None]
    assert first["cause"]["comment"] == "worse on Mondays"
    with pytest.raises(InputError, match="no other version"):
        deployments.rollback("small", "", root, None)
    with pytest.raises(InputError, match="no model 'nothing'"):
        deployments.rollback("nothing", "", root, None)
    with pytest.raises(Refused, match="champion"):
        models.retire("small:1", "", root, None)
    assert record(models.retire("small:2", "worse", root, None))["status"] == "retired"
    with pytest.raises(Refused, match="retired, not approved"):
        deployments.deploy("small:2", root, None)


def test_a_server_started_again_does_not_answer_with_what_an_older_werk_let_retire(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    with opened(root) as session:
        body: dict[str, Any] = {"model": "small", "version": 2, "comment": "", "assurance": "local"}
        session.p.journal.append([NewFact("model.retired", "small:2", body)])
    command = [sys.executable, "-m", "werk.app.cli", "serve", "--port", "0", "--project", str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        assert server.stdout.readline().startswith("ready at ")
        assert "Ctrl-C" in server.stdout.readline()  # and no endpoint in between
        server.terminate()
    assert not any(row["live"] for row in rows(deployments.deployments(root, None)))


def test_a_version_is_put_into_a_folder_whole(small: Small, tmp_path: Path) -> None:
    found = record(checkout.checkout("small:1", tmp_path / "out", small.root, None))
    assert found["gone"] == []
    assert "rounds=5" in (tmp_path / "out/code/pipelines.py").read_text()
    assert pl.read_parquet(tmp_path / "out/data/raw.rows@0.parquet").height == 800
    assert {"model.bin", "model.json", "manifest.json"} <= {path.name for path in (tmp_path / "out/model").iterdir()}
    assert json.loads((tmp_path / "out/report.json").read_text())["metrics"]["auc"]
    assert json.loads((tmp_path / "out/about.json").read_text())["plan"]["goal"] == "g"
    with pytest.raises(InputError, match="not empty"):
        checkout.checkout("small:1", tmp_path / "out", small.root, None)


def test_what_is_gone_is_named_and_the_rest_written(small: Small, tmp_path: Path) -> None:
    root = copied(small, tmp_path)
    shutil.rmtree(root / "lake")
    answer = checkout.checkout("small:1", tmp_path / "out", root, None)
    assert answer.exit_code == 1
    assert "raw.rows" in record(answer)["gone"][0]
    assert (tmp_path / "out/model/model.bin").is_file()


def test_the_past_is_asked_by_its_time(small: Small, tmp_path: Path) -> None:
    now = utc_now().isoformat()
    assert rows(models.models(now, small.root, None)) == rows(models.models(None, small.root, None))
    assert rows(tables.tables("2020-01-01T00:00:00+00:00", small.root, None)) == []
    assert rows(of_runs.runs(5, "2020-01-01T00:00:00+00:00", small.root, None)) == []
    assert rows(monitor.monitor(None, None, False, "2020-01-01T00:00:00+00:00", small.root, None)) == []
    for wrong in ("2020-01-01T00:00:00", "yesterday"):
        with pytest.raises(InputError):
            tables.tables(wrong, small.root, None)


def test_the_graph_of_a_pipeline_is_data(small: Small) -> None:
    done = small.werk("pipelines", "training", "--json")
    spec = json.loads(done)
    assert [node["id"] for node in spec["nodes"]] == [
        *("data-load", "training", "model-evaluation", "register-model", "model-monitoring", "store-metadata"),
    ]
    assert "4 register-model" in small.werk("pipelines", "training")
    with pytest.raises(InputError):
        graphs.pipelines(None, small.root.parent)


def test_a_token_is_shown_once_and_listed_never(small: Small) -> None:
    shown = rows(actors.actors(small.root, None))
    assert {row["name"] for row in shown} >= {"second"}
    assert all("werk_" not in json.dumps(row) for row in shown)
