"""What the gate decides on is made from the project's present files, and what it decided stays as it was written."""

from __future__ import annotations

import io
import json
import sqlite3
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app import cli

PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, fit_logistic, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("feature-engineering")
def split(rows: pl.DataFrame, cut: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    return rows.filter(pl.col("id") < cut), rows.filter(pl.col("id") >= cut)


@step("training")
def train(rows: pl.DataFrame, rounds: int) -> Model:
    if not rounds:
        return fit_logistic(rows, target="y", key=["id"], features=["x", "z"])
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=rounds)


@pipeline
def training(cut: int = 600, rounds: int = 5, outcome: str = "late"):
    fit, holdout = split(load(), cut)
    model = train(fit, rounds)
    report = steps.evaluate(model, holdout)
    version = steps.register(model, report)
    steps.monitor(version, model, fit, holdout, outcome=outcome)
    steps.store_metadata(version, report)


@pipeline
def scoring(window: str, model: str):
    rows = load()
    steps.check(steps.batch_inference(rows, model, window), rows, model, window)
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"
GATE = "[metrics.auc]\nmin = 0.5\n"
POINT = "[[point]]\nname = 'high'\nexpected = {expected}\ntolerance = 0.3\n[point.inputs]\nx = 3.0\nz = 0.0\n"
RIGHT, WRONG = POINT.format(expected=0.8), POINT.format(expected=0.1)
TEST = "[[test]]\nname = 'more-x-is-more'\nkind = 'direction'\ncolumn = 'x'\nchange = 1.0\nexpect = 'not {way}'\n"


@dataclass(frozen=True, slots=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


class Case:
    """A use case of 900 rows on the command line; what was deleted, added or changed in its folder is the user's doing."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "small"
        self.root.mkdir()
        chance = np.random.default_rng(7)
        x = chance.normal(size=900)
        rows = {"id": range(900), "x": x, "z": chance.normal(size=900), "y": (x + chance.normal(size=900) > 0).astype(int)}
        pl.DataFrame(rows).write_parquet(self.root / "rows.parquet")
        settings = '[project]\nname = "small"\nid = "prj_small"\n'
        for name, text in {"plan.toml": PLAN, "gate.toml": GATE, "pipelines.py": PIPELINES, "werk.toml": settings}.items():
            self.writes(name, text)
        self.does("ingest", "raw.rows", "rows.parquet")

    def writes(self, name: str, text: str | None) -> None:
        (self.root / name).write_text(text) if text is not None else (self.root / name).unlink(missing_ok=True)

    def werk(self, *words: str, token: str = "") -> Said:
        """As the script does, in this process, with the project's code imported anew."""
        sys.modules.pop("pipelines", None)
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.root)
            patch.setattr(sys, "argv", ["werk", *words])
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "dont_write_bytecode", True)
            patch.delenv("WERK_PROFILE", raising=False)
            patch.setenv("WERK_HOME", str(self.root.parent / "home"))
            patch.setenv("WERK_TOKEN", token)
            with pytest.raises(SystemExit) as end:
                cli.main()
        assert isinstance(end.value.code, int | None)
        return Said(end.value.code or 0, out.getvalue(), err.getvalue())

    def does(self, *words: str, token: str = "") -> str:
        done = self.werk(*words, token=token)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def refuses(self, code: str, *words: str) -> str:
        done = self.werk(*words)
        assert (done.returncode, f"[{code}]" in done.stderr) == (3, True), done.stderr
        return done.stderr

    def approves(self, version: str) -> None:
        token = json.loads(self.does("actor", "add", f"for-{version.replace(':', '-')}", "--json"))["token"]
        self.does("approve", version, token=token)

    def ask(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.root / ".werk" / "journal.db")) as database:
            return database.execute(query, values).fetchall()

    def versions(self) -> int:
        [(count,)] = self.ask("SELECT count(*) FROM p_versions")
        return int(count)

    def cached(self, run: str, step: str) -> bool:
        [(found,)] = self.ask("SELECT cached_from IS NOT NULL FROM p_steps WHERE run = ? AND step = ?", run, step)
        return bool(found)


@pytest.fixture
def case(tmp_path: Path) -> Case:
    return Case(tmp_path)


def test_a_stricter_file_refuses_at_the_next_run_and_a_mended_one_passes(case: Case) -> None:
    case.writes("gate.toml", f"{GATE}[golden]\nrequired = true\n[behaviour]\nrequired = true\n")
    case.refuses("gate-failed", "run", "training")  # neither file is there
    case.writes("golden.toml", WRONG)
    case.writes("behaviour.toml", TEST.format(way="fall"))
    assert "golden.high" in case.refuses("gate-failed", "run", "training")
    case.writes("golden.toml", RIGHT)
    first = case.does("run", "training")
    assert case.versions() == 1
    case.writes("behaviour.toml", TEST.format(way="rise"))
    assert "behaviour.more-x-is-more" in case.refuses("gate-failed", "run", "training")
    case.writes("behaviour.toml", TEST.format(way="fall"))
    case.writes("golden.toml", None)
    assert "Not checked: the report has 0 golden points" in case.refuses("gate-failed", "run", "training")
    case.writes("golden.toml", RIGHT)
    again = case.does("run", "training")
    assert case.cached(again, "model-evaluation"), "the files stand where they stood in the first run"
    assert case.versions() == 1
    case.writes("gate.toml", "[metrics.auc]\nmin = 0.99\n")
    case.refuses("gate-failed", "run", "training")
    [(key,)] = case.ask("SELECT report_key FROM p_evaluations WHERE run = ?", first)
    report = json.loads((case.root / ".werk" / "objects" / key).read_text())
    assert set(report["files"]) == {"golden.toml", "behaviour.toml"}
    assert f"file golden.toml sha256 {report['files']['golden.toml'][:12]} read by {first}" in case.does("lineage", first)


def test_a_report_made_from_another_file_is_refused_on_resume(case: Case) -> None:
    case.writes("gate.toml", f"{GATE}[golden]\nrequired = true\n")
    case.writes("golden.toml", RIGHT)
    case.writes("gate.toml", "")
    failed = case.werk("run", "training")  # stops at the registration, with the evaluation done
    [(run, _)] = case.ask("SELECT run, status FROM p_runs WHERE status = 'failed'")
    assert failed.returncode == 2
    case.writes("gate.toml", f"{GATE}[golden]\nrequired = true\n")
    case.writes("golden.toml", WRONG)
    assert "golden.toml" in case.refuses("report-outdated", "resume", run)
    case.writes("golden.toml", RIGHT)
    case.writes("behaviour.toml", TEST.format(way="rise"))  # a file that appears meanwhile is another file too
    assert "behaviour.toml" in case.refuses("report-outdated", "resume", run)
    assert case.versions() == 0
    case.writes("behaviour.toml", None)
    case.does("resume", run)
    assert case.versions() == 1


def test_only_what_made_the_model_makes_another_version(case: Case) -> None:
    case.does("run", "training")
    case.writes("notes.txt", "nothing that a step reads")
    case.writes("pipelines.py", f"{PIPELINES}\n\n@pipeline\ndef another():\n    load()\n")
    case.does("run", "training")
    case.does("run", "training", "--fresh")
    assert case.versions() == 1
    case.writes("gate.toml", "[metrics.auc]\nmin = 0.6\n")
    case.does("run", "training")
    assert case.versions() == 2, "another gate has seen it"
    case.writes("pipelines.py", PIPELINES.replace("return rows.filter", "rows = rows.sort('id')\n    return rows.filter"))
    case.does("run", "training")
    assert case.versions() == 3, "other code made it, though the model is the same"
    case.does("run", "training", "-p", "cut=650")
    assert case.versions() == 4
    case.does("run", "training")
    assert case.versions() == 4, "a twin of an older version is no new one"


def test_evidence_that_the_gate_does_not_ask_for_makes_no_version_and_is_named(case: Case) -> None:
    case.does("run", "training")
    case.writes("golden.toml", WRONG)
    case.writes("behaviour.toml", TEST.format(way="rise"))
    said = case.werk("run", "training").stderr
    for name in ("golden", "behaviour"):
        assert f"{name}.toml is there, and gate.toml does not ask for it: add [{name}] required = true" in said
    assert case.versions() == 1
    case.writes("behaviour.toml", None)
    case.writes("golden.toml", RIGHT)
    case.writes("gate.toml", f"{GATE}[golden]\nrequired = true\n")
    assert "does not ask" not in case.werk("run", "training").stderr
    assert case.versions() == 2, "another gate"
    case.writes("golden.toml", POINT.format(expected=0.7))
    case.does("run", "training")
    assert case.versions() == 3, "other evidence, which the gate judges"
    case.does("run", "training")
    assert case.versions() == 3


def test_the_champion_itself_under_another_gate_is_not_compared_with_itself(case: Case) -> None:
    with_champion = PIPELINES.replace("outcome: str = ", "champion: str | None = 'small@champion', outcome: str = ")
    case.writes("pipelines.py", with_champion.replace("(model, holdout)", "(model, holdout, champion=champion)"))
    case.writes("gate.toml", f"{GATE}[champion]\nmetric = 'auc'\n")
    case.does("run", "training")
    case.approves("small:1")
    case.does("alias", "small:1", "champion")
    case.writes("gate.toml", f"{GATE}[champion]\nmetric = 'auc'\ntolerance = 0.01\n")
    said = case.werk("run", "training").stderr
    assert "The champion small:1 is this very model" in said
    assert "differs by" not in said
    assert "small:1, which is this very model" in case.does("show", "small:2")


@pytest.mark.parametrize(
    ("plan", "code", "named"),
    [
        (None, 2, "plan-absent"),
        ("", 2, "plan-incomplete"),
        (PLAN.replace("'auc'", "''"), 2, "plan-incomplete"),
        (PLAN.replace("minimal", "unacceptable"), 3, "risk-unacceptable"),
    ],
)
def test_a_run_that_registers_asks_for_its_plan_before_any_work(case: Case, plan: str | None, code: int, named: str) -> None:
    case.writes("plan.toml", plan)
    done = case.werk("run", "training")
    assert (done.returncode, f"[{named}]" in done.stderr) == (code, True), done.stderr
    assert case.ask("SELECT run FROM p_runs") == [], "nothing was begun"
    said = case.werk("run", "scoring", "-p", "model=small:1", "-p", "window=a")
    assert "plan" not in said.stderr, "what registers nothing needs no plan"


def test_only_an_approved_version_writes_into_the_product_table(case: Case) -> None:
    case.does("run", "training")
    scoring = ("run", "scoring", "-p", "model=small:1", "-p", "window=a")
    said = case.refuses("not-approved", *scoring)
    assert "small:1 is pending, and only an approved version writes into product.predictions." in said
    case.does("reject", "small:1")
    assert "is rejected" in case.refuses("not-approved", *scoring)
    case.does("run", "training", "-p", "rounds=6")
    case.approves("small:2")
    case.does("run", "scoring", "-p", "model=small:2", "-p", "window=a")
    case.does("retire", "small:2")
    assert "is retired" in case.refuses("not-approved", "run", "scoring", "-p", "model=small:2", "-p", "window=b")
    assert case.ask("SELECT model_version, rows FROM p_predictions_written") == [(2, 900)]


def test_a_model_that_explains_nothing_is_watched_by_all_other_monitors(case: Case) -> None:
    case.does("run", "training", "-p", "rounds=0")
    case.approves("small:1")
    case.does("run", "scoring", "-p", "model=small:1", "-p", "window=w")
    said = {monitor: (verdict, text) for monitor, verdict, text in case.ask("SELECT monitor, verdict, sentence FROM p_monitors")}
    assert said["explanation drift"] == ("not checked", "w: not checked: the format 'sklearn' explains nothing")
    others = {"data quality", "feature drift", "prediction drift", "model quality"}
    assert {monitor: said[monitor][0] for monitor in others} == dict.fromkeys(others, "ok")
    columns = case.does("sql", "select count(*) as n, count(attributions) as explained from product.predictions", "--json")
    assert json.loads(columns) == [{"n": 900, "explained": 0}]
    case.does("story", str(case.root.parent / "story.html"))
    case.does("run", "training")  # a later version of a format that explains writes into the same table
    case.approves("small:2")
    case.does("run", "scoring", "-p", "model=small:2", "-p", "window=w2")


def objects(case: Case, query: str) -> Path:
    [(key,)] = case.ask(query)
    return case.root / ".werk" / "objects" / str(key)


def test_a_changed_report_or_baseline_is_noticed_by_its_name(case: Case) -> None:
    case.does("run", "training")
    case.approves("small:1")
    assert case.does("audit", "verify").startswith("holds")
    report = objects(case, "SELECT report_key FROM p_versions")
    baseline = objects(case, "SELECT key FROM p_baselines")
    for path, code, words in (
        (report, "report-tampered", ("show", "small:1")),
        (baseline, "baseline-tampered", ("run", "scoring", "-p", "model=small:1", "-p", "window=w")),
    ):
        honest = path.read_bytes()
        path.write_bytes(honest.replace(b"0.", b"1.", 1))
        done = case.werk("audit", "verify")
        assert (done.returncode, path.name in done.stdout) == (1, True), done.stdout
        done = case.werk(*words)
        assert (done.returncode, code in done.stderr, path.name in done.stderr) == (1, True, True), done.stderr
        assert path.name in case.werk("rebuild", "small:1", "--verify").stdout
        path.unlink()
        assert f"{path.name}' of small" in case.werk("audit", "verify").stdout
        path.write_bytes(honest)
    assert case.does("audit", "verify").startswith("holds")


def test_an_approved_version_keeps_the_baseline_it_was_approved_with(case: Case) -> None:
    case.does("run", "training", "-p", "outcome=lte")
    case.does("run", "training")
    before = objects(case, "SELECT key FROM p_baselines")
    assert json.loads(before.read_text())["outcome"] == "late", "until then a wrong word can be mended"
    case.approves("small:1")
    case.does("run", "training", "-p", "outcome=never")
    assert case.versions() == 1
    assert objects(case, "SELECT key FROM p_baselines") == before


def test_the_gates_verdict_is_told_with_every_run_and_version(case: Case) -> None:
    case.writes("gate.toml", f"{GATE}[golden]\nrequired = true\n[behaviour]\nrequired = true\n")
    case.writes("golden.toml", RIGHT)
    case.writes("behaviour.toml", TEST.format(way="fall"))
    done = case.werk("run", "training", "--json")
    told = json.loads(done.stdout)["evaluations"][0]
    assert told["passed"] is True
    assert 0.5 < told["metrics"]["auc"]["value"] < 1
    rules = {rule["rule"]: rule for rule in told["rules"]}
    assert set(rules) == {"metrics.auc.min", "golden.high", "behaviour.more-x-is-more"}
    assert (rules["metrics.auc.min"]["threshold"], rules["metrics.auc.min"]["passed"]) == (0.5, True)
    assert "auc" in done.stderr
    assert "metrics.auc.min" in done.stderr
    [point] = [line for line in done.stderr.splitlines() if "golden.high" in line]
    assert "expected 0.8 +- 0.3" in point
    assert "bound" not in point
    case.writes("gate.toml", "[metrics.auc]\nmin = 0.99\n")
    refused = case.werk("run", "training")
    assert refused.returncode == 3
    assert "failed  metrics.auc.min" in refused.stderr
    assert "0.99" in refused.stderr
    shown = json.loads(case.does("show", "small:1", "--json"))["evaluation"]
    assert shown["golden"][0]["name"] == "high"
    assert shown["behaviour"][0]["name"] == "more-x-is-more"
    assert (shown["champion"], shown["metrics"]["auc"]) == (None, told["metrics"]["auc"])
    page = case.does("show", "small:1")
    for words in ("metrics.auc.min", "golden.high", "more-x-is-more", "champion", "brier"):
        assert words in page


COMPARED = PIPELINES.replace(
    'outcome: str = "late"):', 'outcome: str = "late", champion: str | None = "small@champion"):'
).replace("steps.evaluate(model, holdout)", "steps.evaluate(model, holdout, champion=champion)")
COMPARED = COMPARED.replace('features=["x", "z"], rounds', 'features=["x", "z", "id"], rounds')  # part of a key may be a feature
NOT_WORSE = GATE + "[champion]\nmetric = 'auc'\ntolerance = 0.02\n"
LOAD, SPOILT = 'tables.scan("raw.rows").collect()', 'tables.scan("raw.rows").collect().with_columns(x=pl.col("z"))'
SAME = 'tables.scan("raw.rows").collect().head(10**6)'


@pytest.fixture
def reigning(tmp_path: Path) -> Case:
    """A champion, and a gate that no worse model passes."""
    case = Case(tmp_path)
    case.writes("pipelines.py", COMPARED)
    case.writes("gate.toml", NOT_WORSE.replace("min = 0.5", "min = 0.0"))
    case.does("run", "training")
    token = json.loads(case.does("actor", "add", "second", "--json"))["token"]
    case.does("approve", "small:1", token=token)
    case.does("alias", "small:1", "champion")
    return case


def champion_rule(case: Case, *words: str) -> tuple[int, str]:
    done = case.werk("run", "training", *words)
    [told] = [line for line in done.stderr.splitlines() if "champion.auc  " in line]
    return done.returncode, told


def test_a_champion_is_not_asked_about_features_that_other_code_made(reigning: Case) -> None:
    """Spoilt features spoil both models alike, and the worse one would look like the better."""
    reigning.writes("pipelines.py", COMPARED.replace(LOAD, SPOILT))
    code, told = champion_rule(reigning)
    assert (code, "300 rows as its own code made them" in told) == (3, True), told
    difference = float(told.split("differs by ")[1].split(" ")[0])
    assert difference < -0.2


def test_other_code_that_makes_the_same_of_each_row_compares_all_of_them(reigning: Case) -> None:
    reigning.writes("pipelines.py", COMPARED.replace(LOAD, SAME))
    code, told = champion_rule(reigning, "-p", "rounds=6")
    assert (code, "(small:1, 300 rows)" in told) == (0, True), told


def test_rows_that_only_other_code_has_made_compare_nothing_and_that_is_said(reigning: Case) -> None:
    rows = pl.read_parquet(reigning.root / "rows.parquet")
    pl.concat([rows, rows.with_columns(pl.col("id") + 900)]).write_parquet(reigning.root / "rows.parquet")
    reigning.does("ingest", "raw.rows", "rows.parquet")
    code, told = champion_rule(reigning, "-p", "cut=900")
    assert (code, "(small:1, 900 rows)" in told) == (0, True), f"the same code makes the same of new rows: {told}"
    reigning.writes("pipelines.py", COMPARED.replace(LOAD, SPOILT))
    code, told = champion_rule(reigning, "-p", "cut=900")
    assert (code, "the code of data-load has changed since small:1" in told) == (3, True), told
