"""Every figure of a story's months, pairs and tiles, computed again from the tables and files with code of its own."""

from __future__ import annotations

import copy
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from deltalake import DeltaTable

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[[trigger]]
name = "deploy-approved"
on = "model.approved"
pipeline = "deployment"
params = {model = "$subject"}

[[trigger]]
name = "retrain-on-drift"
on = "drift.detected"
where = {monitor = "model quality"}
pipeline = "training"
params = {window = "$body.window"}
"""
PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(window: str, *, tables) -> pl.DataFrame:
    return tables.scan("raw.rides").filter(pl.col("window") == window).sort("id").collect()


@step("split")
def split(rows: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows[: len(rows) // 2], rows[len(rows) // 2 :]


@step("training")
def train(rows: pl.DataFrame) -> Model:
    return fit_lightgbm(rows, target="late", key=["id"], features=["x", "z"], rounds=20)


@pipeline
def training(window: str, champion: str | None = "rides@champion"):
    fit, holdout = split(load(window))
    model = train(fit)
    report = steps.evaluate(model, holdout, champion=champion)
    version = steps.register(model, report)
    steps.monitor(version, model, fit, holdout, outcome="late", things="rides")
    steps.store_metadata(version, report)


@pipeline
def batch_inference(window: str, model: str):
    rows = load(window)
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def deployment(model: str):
    steps.deploy(model)


@pipeline
def comparison(a: str, b: str, start: str, through: str):
    steps.compare(load(through), a, b, through)


@pipeline
def ladder():
    fit, later = split(load("w0"))
    steps.rung(train(fit), later, "all of it", 0)
"""
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: rides-stops
version: 1.0.0
status: active
schema:
- name: stops
  physicalType: table
  properties:
  - name: name
    logicalType: string
    required: true
"""
SHIFT = {"w0": 0.0, "w1": 0.0, "w2": -2.0, "w3": -2.0}


def rides() -> pl.DataFrame:
    """2,000 rides a window; from w2 on far fewer are late, for the same reasons."""
    chance, frames = np.random.default_rng(11), []
    for at, (window, shift) in enumerate(SHIFT.items()):
        x, z = chance.normal(size=2000), chance.normal(size=2000)
        late = (x + 0.5 * z * at + chance.normal(size=2000) + shift > 0).astype(int)
        ids = [at * 2000 + n for n in range(2000)]
        frames.append(pl.DataFrame({"id": ids, "window": [window] * 2000, "x": x, "z": z, "late": late}))
    return pl.concat(frames)


class Rides:
    def __init__(self, folder: Path) -> None:
        self.root, self.home, self.rows = folder / "rides", folder / "home", rides()
        self.root.mkdir()
        (self.root / "werk.toml").write_text(SETTINGS)
        (self.root / "pipelines.py").write_text(PIPELINES)
        (self.root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
        plan = dict.fromkeys(("goal", "owner", "success_metric", "affected_people"), "x") | {"risk_class": "minimal"}
        (self.root / "plan.toml").write_text("".join(f'{name} = "{value}"\n' for name, value in plan.items()))
        self.rows.write_parquet(self.root / "rides.parquet")

    def werk(self, *words: str, token: str = "", code: int = 0) -> str:
        env = {**os.environ, "WERK_HOME": str(self.home), **({"WERK_TOKEN": token} if token else {})}
        command = [sys.executable, "-m", "werk.app.cli", *words]
        done = subprocess.run(command, cwd=self.root, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stderr
        return done.stdout

    def gate(self, least: float) -> None:
        (self.root / "gate.toml").write_text(f"[metrics.auc]\nmin = {least}\n")

    def scores(self, window: str, version: int) -> np.ndarray[Any, Any]:
        """As they lie in the table, without werk: in the order of the rides."""
        table = pl.DataFrame(DeltaTable(str(self.root / "lake" / "product" / "predictions")).to_pyarrow_table())
        mine = table.filter((pl.col("window") == window) & (pl.col("version") == version)).sort("id")
        return mine["score"].to_numpy()

    def late(self, window: str) -> np.ndarray[Any, Any]:
        return self.rows.filter(pl.col("window") == window).sort("id")["late"].to_numpy()

    def by_hand(self, version: int, rows: pl.DataFrame) -> np.ndarray[Any, Any]:
        rows.write_parquet(self.root / "some.parquet")
        self.werk("predict", f"rides:{version}", "some.parquet", "--out", "scored.parquet")
        return pl.read_parquet(self.root / "scored.parquet").sort("id")["score"].to_numpy()


def auc(scores: np.ndarray[Any, Any], late: np.ndarray[Any, Any]) -> float:
    """Of all pairs of a late and another ride, the share in which the late one has the higher score; a tie is half."""
    ours, theirs = scores[late == 1][:, None], scores[late == 0][None, :]
    return float(((ours > theirs) + 0.5 * (ours == theirs)).mean())


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Rides:
    """w1 is scored by the first version, w2 starts a retraining; w3 is scored by the second, and w2 once more by it."""
    one = Rides(tmp_path_factory.mktemp("figures"))
    one.werk("ingest", "raw.rides", "rides.parquet")
    one.werk("run", "training", "-p", "window=w0")
    one.werk("run", "ladder")
    token = json.loads(one.werk("actor", "add", "second", "--json"))["token"]
    one.werk("approve", "rides:1", token=token)
    for window in ("w1", "w2"):
        one.werk("run", "batch_inference", "-p", f"window={window}", "-p", "model=rides:1")
    one.werk("approve", "rides:2", token=token)
    for window in ("w3", "w2"):
        one.werk("run", "batch_inference", "-p", f"window={window}", "-p", "model=rides:2")
    one.werk("run", "comparison", "-p", "a=rides:2", "-p", "b=rides:1", "-p", "start=w3", "-p", "through=w3")
    one.werk("story", "story.html")
    return one


@pytest.fixture(scope="module")
def page(lived: Rides) -> str:
    return (lived.root / "story.html").read_text(encoding="utf-8")


def cells(page: str, caption: str) -> list[list[str]]:
    """The body of the table under this caption, as text."""
    table = page[page.index(f"<caption>{caption}") :]
    rows = re.findall(r"<tr>(.*?)</tr>", table[table.index("<tbody>") : table.index("</tbody>")], re.DOTALL)
    return [[html.unescape(re.sub(r"<[^>]+>", "", cell)) for cell in re.findall(r"<t[hd].*?</t[hd]>", row)] for row in rows]


def test_each_month_is_told_by_the_version_that_scored_it_first(lived: Rides, page: str) -> None:
    def line(window: str, version: int) -> list[str]:
        late = lived.late(window)
        return [
            window,
            "2,000",
            f"{late.mean() * 100:.1f} %",
            f"rides:{version}",
            f"{auc(lived.scores(window, version), late):.3f}",
        ]

    again = ["w2, again", "the same", "the same", "rides:2", f"{auc(lived.scores('w2', 2), lived.late('w2')):.3f}"]
    assert cells(page, "Every window and who scored it") == [line("w1", 1), line("w2", 1), again, line("w3", 2)]


def test_the_verdict_that_started_the_retraining_stands_beside_it(lived: Rides, page: str) -> None:
    rows = {row[0]: row[1:] for row in cells(page, "Each monitor&#x27;s answer")}
    assert rows["model quality"][1] == "violation", "w2 by the first version"
    answers = json.loads(lived.werk("monitor", "--json"))
    columns = [("w1", 1), ("w2", 1), ("w2", 2), ("w3", 2)]
    for name, told in rows.items():
        said = {(row["window"], int(row["version"])): row["verdict"] for row in answers if row["monitor"] == name}
        assert told == [said[column] for column in columns], name
    assert "rides:2 was trained to follow rides:1 because of w2: " in page


def test_the_tile_shows_the_hold_out_of_the_version_in_use_and_not_the_study(lived: Rides, page: str) -> None:
    held = lived.rows.filter(pl.col("window") == "w2").sort("id")[1000:]
    tile = auc(lived.by_hand(2, held), held["late"].to_numpy())
    facts = page[page.index('class="facts"') : page.index("</ul>")]
    assert re.findall(r"<b>(.*?)</b><span>(.*?)</span>", facts)[:4] == [
        ("8,000", "records came in"),
        ("6,000", "rides judged"),
        (f"{tile:.3f}", "AUC of rides:2 on its hold-out"),
        ("2", "decisions by people"),
    ]
    first = lived.rows.filter(pl.col("window") == "w0").sort("id")[1000:]
    study = f"{auc(lived.by_hand(1, first), first['late'].to_numpy()):.3f}"
    assert study in page[page.index("a study</h2>") : page.index("The gate</h2>")]
    assert study not in facts


def test_each_pair_is_told_by_what_it_was_tested_on(lived: Rides, page: str) -> None:
    held = lived.rows.filter(pl.col("window") == "w2").sort("id")[1000:]
    later = lived.rows.filter(pl.col("window") == "w3").sort("id")
    told = cells(page, "AUC of a new version")
    assert [row[:3] for row in told] == [
        ["rides:2", "rides:1", "1,000 rides, held out from the training of rides:2 and new to both"],
        ["rides:2", "rides:1", "2,000 rides, w3"],
    ]
    for row, rows in zip(told, (held, later), strict=True):
        new, old = (auc(lived.by_hand(version, rows), rows["late"].to_numpy()) for version in (2, 1))
        assert row[3:6] == [f"{new:.3f}", f"{old:.3f}", f"{new - old:+.3f}"]
        low, high = (float(end) for end in row[6].split("\u00a0to\u00a0"))
        assert low < new - old < high
        assert row[7] == ("better" if low > 0 else "worse" if high < 0 else "no clear difference")


def test_the_opening_says_the_same(lived: Rides, page: str) -> None:
    text = html.unescape(re.sub(r"<[^>]+>", "", page)).replace("\u2011", "-").replace("\u00a0", " ")
    shares = {window: lived.late(window).mean() * 100 for window in ("w1", "w2", "w3")}
    least, most = min(shares, key=shares.__getitem__), max(shares, key=shares.__getitem__)
    assert f"from {shares[least]:.1f} % in {least} to {shares[most]:.1f} % in {most} were late" in text
    first = [round(100 * auc(lived.scores(window, by), lived.late(window))) for window, by in (("w1", 1), ("w2", 1), ("w3", 2))]
    assert f"in {min(first)} to {max(first)} of 100 cases" in text
    assert "What the monitors found in w2 started a retraining by itself." in text
    assert "rides:2 did " in text
    scores = sum(len(lived.scores(window, by)) for window, by in (("w1", 1), ("w2", 1), ("w3", 2), ("w2", 2)))
    assert f"{scores:,} scores" in text


def text_of(page: str) -> str:
    return html.unescape(re.sub(r"<[^>]+>", "", page)).replace("\u2011", "-").replace("\u00a0", " ")


@pytest.fixture(scope="module")
def retold(tmp_path_factory: pytest.TempPathFactory) -> Rides:
    """One learned state all along: w2 is scored, corrected and scored again by rides:1; the gate is tightened, then loosened.

    w2's violation finds rides:1 again, w3's meets the tight gate.
    """
    one = Rides(tmp_path_factory.mktemp("retold"))
    settings = one.root / "werk.toml"
    settings.write_text(settings.read_text().replace('{window = "$body.window"}', '{window = "w0"}'))
    one.werk("ingest", "raw.rides", "rides.parquet")
    one.werk("run", "training", "-p", "window=w0")
    token = json.loads(one.werk("actor", "add", "second", "--json"))["token"]
    one.werk("approve", "rides:1", token=token)
    one.werk("run", "batch_inference", "-p", "window=w2", "-p", "model=rides:1")
    corrected = one.rows.with_columns(late=pl.when(pl.col("window") == "w2").then(pl.col("x") > 0).otherwise(pl.col("late") == 1))
    corrected.with_columns(pl.col("late").cast(pl.Int64)).write_parquet(one.root / "corrected.parquet")
    one.werk("ingest", "raw.rides", "corrected.parquet")
    one.werk("run", "batch_inference", "-p", "window=w2", "-p", "model=rides:1")
    one.gate(0.999)
    one.werk("run", "training", "-p", "window=w0", code=3)
    one.werk("run", "batch_inference", "-p", "window=w3", "-p", "model=rides:1")
    one.gate(0.4)
    one.werk("run", "training", "-p", "window=w0")
    one.werk("story", "story.html")
    return one


@pytest.fixture(scope="module")
def retold_page(retold: Rides) -> str:
    return (retold.root / "story.html").read_text(encoding="utf-8")


def asked(one: Rides, query: str) -> list[dict[str, Any]]:
    return list(json.loads(one.werk("sql", "--json", query)))


def test_each_version_is_told_by_its_own_evaluation_and_each_refused_run_by_its_own(retold: Rides, retold_page: str) -> None:
    hashes = {row["canonical_hash"] for row in asked(retold, "select canonical_hash from journal.versions")}
    assert len(hashes) == 1, "both versions and the refused run have learned the same"
    refused = [row["run"] for row in asked(retold, "select run, seq from journal.evaluations where not passed order by seq")]
    assert len(refused) == 2
    table = retold_page[retold_page.index("<caption>Each rule") :]
    heads = re.findall(r'<th scope="col">(.*?)</th>', table[: table.index("</thead>")])
    assert [re.sub(r"<[^>]+>", " ", head).split() for head in heads] == [
        ["rule"],
        ["rides:1"],
        *([run, "refused"] for run in refused),
        ["rides:2"],
    ]
    rows = {row[0]: row[1:] for row in cells(retold_page, "Each rule")}
    assert rows["metrics.auc.min"] == ["passed", "broken", "broken", "passed"]
    assert rows["decision"] == ["registered", "refused", "refused", "registered"]
    assert "the same learned state as rides:1" in text_of(retold_page)


def test_the_loop_counts_every_training_once_and_every_violation_said(retold: Rides, retold_page: str) -> None:
    said = asked(retold, "select kind, body from journal.facts where kind = 'monitor.checked'")
    alarms = sum(json.loads(row["body"])["verdict"] == "violation" for row in said)
    loop = retold_page[retold_page.index('aria-label="The loop') :]
    told = html.unescape(loop[: loop.index("</title>")])
    assert "train (5 trainings)" in told
    assert "gate (2 refused, 2 registered, 1 known already)" in told
    assert f"monitor (2 windows; violations: {alarms}; retrainings: 2)" in told
    table = retold_page[retold_page.index("<caption>Each monitor") : retold_page.index("in words</summary>")]
    assert table.count("violation</td>") == alarms


def test_a_window_scored_again_by_the_same_version_keeps_what_was_said_first(retold: Rides, retold_page: str) -> None:
    first, corrected = retold.late("w2"), (retold.rows.filter(pl.col("window") == "w2").sort("id")["x"] > 0).to_numpy()
    scores = retold.scores("w3", 1), retold.by_hand(1, retold.rows.filter(pl.col("window") == "w2"))
    assert cells(retold_page, "Every window and who scored it") == [
        ["w2", "2,000", f"{first.mean() * 100:.1f} %", "rides:1", f"{auc(scores[1], first):.3f}"],
        ["w2, again", "the same", f"{corrected.mean() * 100:.1f} %", "rides:1", f"{auc(scores[1], corrected):.3f}"],
        ["w3", "2,000", f"{retold.late('w3').mean() * 100:.1f} %", "rides:1", f"{auc(scores[0], retold.late('w3')):.3f}"],
    ]
    answers = {row[0]: row[1:] for row in cells(retold_page, "Each monitor&#x27;s answer")}
    assert answers["model quality"] == ["violation", "ok", "violation"], "w2, w2 with what was corrected, w3"
    assert answers["feature drift"][1] == "ok", "said of rows that were others than before, so it is no silence"
    said = asked(retold, "select body from journal.facts where kind = 'monitor.checked' order by seq")
    told = {name: [b["verdict"] for row in said if (b := json.loads(row["body"]))["monitor"] == name] for name in answers}
    assert {name: row for name, row in answers.items() if name != "cost"} == {n: row for n, row in told.items() if n != "cost"}


def test_a_retraining_that_made_no_version_is_told_too(retold: Rides, retold_page: str) -> None:
    text = text_of(retold_page)
    refused = asked(retold, "select run, seq from journal.evaluations where not passed order by seq")[1]["run"]
    assert "Because of w2: " in text
    assert "a retraining was started, and what it learned was rides:1 again: no version was added." in text
    assert f"a retraining was started, and the gate refused what it learned ({refused})." in text
    assert "What the monitors found in w2 and in w3 started a retraining by itself each time." in text
    assert "Depending on the month" not in text
    assert "months" not in text


def test_the_command_line_says_what_was_said_before(retold: Rides) -> None:
    [row] = [one for one in json.loads(retold.werk("monitor", "--json", "--window", "w2")) if one["monitor"] == "model quality"]
    assert row["before"] == ["violation"]
    lines = retold.werk("monitor", "--window", "w2").splitlines()
    [at] = [number for number, line in enumerate(lines) if line.split()[:2] == ["model", "quality"]]
    assert ("said before: violation" in lines[at]) == (row["verdict"] != "violation")


@pytest.fixture(scope="module")
def undone(lived: Rides, tmp_path_factory: pytest.TempPathFactory) -> Rides:
    """What `lived` is, and then a person goes back to the first version and puts the second one live with his own hand.

    Two tables have landed that no training read, one of them under a contract.
    """
    folder = tmp_path_factory.mktemp("undone")
    one = copy.copy(lived)
    one.root, one.home = folder / "rides", folder / "home"
    shutil.copytree(lived.root, one.root)
    shutil.copytree(lived.home, one.home)
    (one.root / "contracts").mkdir()
    (one.root / "contracts" / "raw.stops.yaml").write_text(CONTRACT)
    (one.root / "stops.csv").write_text("name\nNorth\nSouth\n\n" * 100)
    one.werk("ingest", "raw.stops", "stops.csv")
    (one.root / "later.csv").write_text("id\n1\n2\n")
    one.werk("ingest", "raw.later", "later.csv")
    one.werk("rollback", "rides", "--comment", "rides:2 shouts wolf")
    one.werk("deploy", "rides:2")
    one.werk("story", "story.html")
    return one


@pytest.fixture(scope="module")
def undone_page(undone: Rides) -> str:
    return (undone.root / "story.html").read_text(encoding="utf-8")


def test_what_a_person_did_is_never_told_as_a_rule(undone: Rides, undone_page: str) -> None:
    told = [(row[0], row[1], row[2].endswith("(by rule)"), row[5]) for row in cells(undone_page, "Decisions as the journal")]
    assert told == [
        ("rides:1", "approved", False, ""),
        ("rides:1", "deployed", True, ""),
        ("rides:2", "approved", False, ""),
        ("rides:2", "deployed", True, ""),
        ("rides:2 to rides:1", "rolled back", False, "rides:2 shouts wolf"),
        ("rides:2", "deployed by hand", False, ""),
    ]
    text = text_of(undone_page)
    assert "followed by rule." in text[text.index("Who decided") :], "two of the six"
    assert "every deployment followed by rule" not in text
    assert "Four decisions were taken by people: two approvals, one rollback and one deployment by hand." in text
    assert "4decisions by people" in text
    assert "approve (2 approved, 1 rolled back, 1 deployed by hand)" in text_of(undone_page)


def test_every_deployment_by_rule_is_said_where_it_is_true(page: str) -> None:
    assert "Two decisions were taken by people: two approvals; every deployment followed by rule." in text_of(page)


def test_only_what_was_checked_is_called_checked(undone: Rides, undone_page: str) -> None:
    landed = {row[0]: row[1:] for row in cells(undone_page, "Rows in, rows landed")}
    assert landed["raw.stops"][4] == "under a contract"
    assert landed["raw.later"][4] == landed["raw.rides"][4] == "no contract"
    came, stops = (sum(int(row[0].replace(",", "")) for row in rows) for rows in (landed.values(), [landed["raw.stops"]]))
    text = text_of(undone_page)
    assert "landed, and so without any check: raw.later, raw.rides." in text
    assert f"{stops:,}of {came:,} records checked" in text
    assert "check (1 of 3 tables; " in text


def test_the_records_a_model_was_made_from_are_those_its_training_read(undone_page: str) -> None:
    told = "8,000 records came in for the table that its training read from; there was no contract to check them against."
    assert told in text_of(undone_page)


def test_without_any_contract_nothing_was_checked(page: str) -> None:
    assert "check (not yet)" in text_of(page)
    assert "checked on arrival" not in page
