"""A small use case through the command line: what a run is compared with is pinned, and what a window took is told once."""

import copy
import json
import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app.wiring import opened
from werk.journal import erase_body

PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("feature-engineering")
def split(rows: pl.DataFrame, cut: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows.filter(pl.col("id") < cut), rows.filter(pl.col("id") >= cut)


@step("training")
def train(rows: pl.DataFrame, rounds: int) -> Model:
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=rounds)


@pipeline
def training(cut: int = 600, rounds: int = 5, champion: str | None = "small@champion"):
    fit, holdout = split(load(), cut)
    model = train(fit, rounds)
    report = steps.evaluate(model, holdout, champion=champion)
    version = steps.register(model, report)
    steps.monitor(version, model, fit, holdout)
    steps.store_metadata(version, report)


@pipeline
def scoring(window: str, model: str = "small@champion"):
    steps.batch_inference(load(), model, window)
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"
GATE = "[metrics.auc]\nmin = 0.5\n[champion]\nmetric = 'auc'\non = 'low'\ntolerance = 0.2\n"
PRICES = "[prices]\ncpu_hour_eur = 36.0\ngb_hour_eur = 3.6\n"


class Case:
    def __init__(self, folder: Path) -> None:
        self.root = folder / "small"
        self.root.mkdir()
        self.environment = {**os.environ, "WERK_HOME": str(folder / "home")}
        self.environment.pop("WERK_TOKEN", None)
        chance = np.random.default_rng(7)
        x = chance.normal(size=900)
        rows = {"id": range(900), "x": x, "z": chance.normal(size=900), "y": (x + chance.normal(size=900) > 0).astype(int)}
        pl.DataFrame(rows).write_parquet(self.root / "rows.parquet")
        files = {"plan.toml": PLAN, "gate.toml": GATE, "pipelines.py": PIPELINES}
        for name, text in {**files, "werk.toml": f'[project]\nname = "small"\nid = "prj_small"\n{PRICES}'}.items():
            (self.root / name).write_text(text)
        self.token = ""
        self.early = {"nothing": self.story()}
        self.does("ingest", "raw.rows", "rows.parquet")

    def story(self) -> str:
        page = self.root.parent / "story.html"  # beside the project: in it, it would be a change of its code
        self.does("story", str(page))
        return page.read_text()

    def werk(self, *words: str, token: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {**self.environment, **({"WERK_TOKEN": token} if token else {})}
        command = [sys.executable, "-m", "werk.app.cli", *words]
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False)

    def does(self, *words: str, token: str = "") -> str:
        done = self.werk(*words, token=token)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.root / ".werk" / "journal.db")) as database:
            return database.execute(query, values).fetchall()

    def report(self, run: str) -> dict[str, Any]:
        [(key,)] = self.ask("SELECT report_key FROM p_evaluations WHERE run = ?", run)
        found: dict[str, Any] = json.loads((self.root / ".werk" / "objects" / key).read_text())
        return found

    def came_from_the_cache(self, run: str) -> dict[str, bool]:
        rows = self.ask("SELECT step, cached_from IS NOT NULL FROM p_steps WHERE run = ?", run)
        return {step: bool(cached) for step, cached in rows}

    def facts(self, kind: str, window: str) -> int:
        bodies = self.ask("SELECT body FROM facts WHERE kind = ?", kind)
        return sum(json.loads(body)["window"] == window for (body,) in bodies)

    def versions(self) -> int:
        [(count,)] = self.ask("SELECT count(*) FROM p_versions")
        return int(count)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    """Trained without a champion, approved by a second actor and made the champion."""
    case = Case(tmp_path_factory.mktemp("gates"))
    case.early["landed"] = case.story()
    first = case.does("run", "training")
    case.early["one run"] = case.story()
    assert case.ask("SELECT json_extract(params, '$.champion') FROM p_runs WHERE run = ?", first) == [(None,)]
    assert case.report(first)["champion"] is None
    case.token = json.loads(case.does("actor", "add", "second", "--json"))["token"]
    case.does("approve", "small:1", token=case.token)
    case.does("alias", "small:1", "champion")
    return case


def test_a_rerun_is_compared_with_todays_champion_and_adds_no_version(case: Case) -> None:
    before, run = case.versions(), case.does("run", "training")
    assert case.ask("SELECT json_extract(params, '$.champion') FROM p_runs WHERE run = ?", run) == [("small:1",)]
    compared = case.report(run)["champion"]
    assert (compared["version"], compared["n"], compared["seen"]) == ("small:1", 300, 0)
    assert compared["differences"]["auc"]["value"] == 0
    again = case.does("run", "training")
    assert case.came_from_the_cache(again)["model-evaluation"] is True
    assert case.versions() == before


def test_rows_the_champion_was_trained_on_are_left_out_of_the_comparison(case: Case) -> None:
    run = case.does("run", "training", "-p", "cut=300", "-p", "rounds=6")
    compared = case.report(run)["champion"]
    assert (compared["n"], compared["seen"]) == (300, 300)
    [(rules,)] = case.ask("SELECT rules FROM p_evaluations WHERE run = ?", run)
    assert "300 others left out, as small:1 was trained on them" in rules


def test_nobody_leaves_the_comparison_out(case: Case) -> None:
    before = case.versions()
    done = case.werk("run", "training", "-p", "champion=none", "-p", "rounds=7")
    assert done.returncode == 3
    assert "champion-left-out" in done.stderr
    assert "small:1" in done.stderr
    assert case.versions() == before


def test_an_alias_that_is_misspelt_is_no_missing_champion(case: Case) -> None:
    done = case.werk("run", "training", "-p", "champion=small@champoin")
    assert (done.returncode, "champion" in done.stderr) == (2, True)


def test_a_window_is_told_once_with_what_it_took_and_a_rerun_says_nothing_else(case: Case) -> None:
    first, again = case.does("run", "scoring", "-p", "window=told"), case.does("run", "scoring", "-p", "window=told")
    assert case.came_from_the_cache(again)["batch-inference"] is True
    [(verdict, sentence, values)] = case.ask('SELECT verdict, sentence, "values" FROM p_monitors WHERE "window" = \'told\'')
    assert case.facts("monitor.checked", "told") == 1
    took = (
        "SELECT coalesce(s.usage, o.usage) FROM p_steps s LEFT JOIN p_steps o ON s.cached_from = o.run || '/' || o.step "
        "WHERE s.run = ?"
    )
    usages = [json.loads(usage) for (usage,) in case.ask(took, first)]
    assert len(usages) == 2
    cpu, gb = (sum(usage[name] for usage in usages) for name in ("cpu_s", "gb_s"))
    assert json.loads(values)["eur"] == pytest.approx((cpu * 36.0 + gb * 3.6) / 3600)
    assert (verdict, "EUR" in sentence) == ("ok", True)
    written = case.ask("SELECT model, model_version, rows FROM p_predictions_written WHERE \"window\" = 'told'")
    assert written == [("small", 1, 900)]
    assert case.facts("predictions.written", "told") == 1


def test_a_window_scored_afresh_after_another_names_no_version_that_it_did_not_write(case: Case) -> None:
    case.does("run", "scoring", "-p", "window=early")
    case.does("run", "training", "-p", "rounds=8")
    [(newest,)] = case.ask("SELECT max(version) FROM p_versions")
    case.does("approve", f"small:{newest}", token=case.token)
    case.does("run", "scoring", "-p", "window=late", "-p", f"model=small:{newest}")
    query = "SELECT \"window\", model_version FROM p_predictions_written WHERE \"window\" IN ('early', 'late') ORDER BY version"
    assert case.ask(query) == [("early", 1), ("late", newest)]
    case.does("run", "scoring", "-p", "window=early", "--fresh")
    assert case.ask(query) == [("early", 1), ("late", newest)]
    assert case.facts("predictions.written", "early") == 1


def test_the_cost_of_a_training_stands_with_its_other_facts(case: Case) -> None:
    [(usage, eur)] = case.ask("SELECT usage, eur FROM p_metadata ORDER BY seq LIMIT 1")
    spent = json.loads(usage)
    assert eur == pytest.approx((spent["cpu_s"] * 36.0 + spent["gb_s"] * 3.6) / 3600)
    assert eur > 0


def test_a_price_that_is_no_price_stops_before_anything_is_recorded(case: Case) -> None:
    settings = case.root / "werk.toml"
    honest = settings.read_text()
    runs = case.ask("SELECT count(*) FROM p_runs")
    settings.write_text(honest.replace("gb_hour_eur = 3.6", "gb_hour_euro = 3.6"))
    try:
        done = case.werk("run", "scoring", "-p", "window=w1")
    finally:
        settings.write_text(honest)
    assert (done.returncode, "gb_hour_eur" in done.stderr) == (2, True)
    assert case.ask("SELECT count(*) FROM p_runs") == runs


@pytest.mark.parametrize(
    ("stage", "told", "untold"),
    [
        ("nothing", ["Nothing has happened yet.", "no table has landed", "no model has come to the gate"], ["poor model"]),
        ("landed", ["900", "no model has come to the gate", "nothing has been predicted"], ["EUR</"]),
        (
            "one run",
            ["small:1", "registered", "Nobody has approved it yet.", "nothing has been predicted", "training, 1 run"],
            [],
        ),
    ],
)
def test_the_story_is_right_from_the_start(case: Case, stage: str, told: list[str], untold: list[str]) -> None:
    page = case.early[stage]
    assert [words for words in told if words not in page] == []
    assert [words for words in untold if words in page] == []
    assert ("holds: " in page) is True


def test_the_story_shows_the_source_row_and_commands_that_check_it(case: Case) -> None:
    case.does("run", "scoring", "-p", "window=w1")
    page = case.story()
    assert "The row itself, as it landed in raw.rows@0 from rows.parquet" in page
    [(hash,)] = case.ask("SELECT hash FROM facts ORDER BY seq DESC LIMIT 1")
    assert page.count(hash) >= 2, "the head is shown, and the signed line that holds it"
    audited = case.does("audit", "verify")
    assert audited.partition(" facts")[0] in page
    assert "No retraining was started." not in page, "no month has been judged yet"
    assert len(page.encode()) < 500_000


def test_a_recall_names_no_model_that_was_only_compared_with_one_of_the_table(case: Case, tmp_path: Path) -> None:
    one = copy.copy(case)
    one.root = tmp_path / "small"
    shutil.copytree(case.root, one.root)
    pl.read_parquet(one.root / "rows.parquet").with_columns(pl.col("x") + 0.01).write_parquet(one.root / "mended.parquet")
    one.does("ingest", "raw.rows", "mended.parquet")
    run = one.does("run", "training", "-p", "rounds=9")
    [(new,)] = one.ask("SELECT version FROM p_versions WHERE run = ?", run)
    found = json.loads(one.does("lineage", "raw.rows@0", "--json"))["consumers"]
    assert {"source": "small:1", "how": "compared with in", "target": run} in found
    assert f"small:{new}" not in {edge["target"] for edge in found}
    came_from = json.loads(one.does("lineage", f"small:{new}", "--json"))["producers"]
    assert {edge["source"] for edge in came_from if edge["target"] == run and edge["how"] == "read by"} >= {"raw.rows@1"}
    assert "raw.rows@0" not in {edge["source"] for edge in came_from}
    told = json.loads(one.does("lineage", "raw.rows@1", "--json"))["consumers"]
    assert f"small:{new}" in {edge["target"] for edge in told}


def test_a_window_of_rows_it_was_trained_on_is_called_that(case: Case) -> None:
    case.does("run", "scoring", "-p", "window=known")
    told = {row["trained_on"] for row in json.loads(case.does("monitor", "--window", "known", "--json"))}
    assert told == {600}, "of the 900 rows scored"
    assert "known  small:1  (600 of the rows are among those it was trained on)" in case.does("monitor", "--window", "known")
    assert "known is no measure of work to come: small:1 was trained on 600 of its 900 rows." in case.story()


def test_what_was_erased_of_the_scoring_leaves_story_and_monitor_whole(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WERK_HOME", case.environment["WERK_HOME"])
    one = copy.copy(case)
    one.root = tmp_path / "small"
    shutil.copytree(case.root, one.root)
    run = one.does("run", "scoring", "-p", "window=erased")
    [(seq,)] = one.ask("SELECT seq FROM facts WHERE kind = 'run.started' AND subject = ?", run)
    with opened(one.root, None) as session:
        erase_body(session.journal, seq, "a person's right")
    assert {row["trained_on"] for row in json.loads(one.does("monitor", "--window", "erased", "--json"))} == {0}
    assert "erased is no measure" not in one.story()
