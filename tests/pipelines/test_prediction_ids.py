"""One id, one stored row: whatever is scored again, and however it was interrupted."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest
from deltalake import write_deltalake

from werk import data, models
from werk.adapters.table_store.delta import DeltaTableStore
from werk.app.wiring import PROJECTIONS, RESOURCES
from werk.core.errors import Failed, InputError, Refused, Transient
from werk.core.journal import NewFact
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.journal import open_journal
from werk.models import fit_lightgbm
from werk.pipelines import steps
from werk.pipelines.explanation import explain
from werk.pipelines.lineage import lineage
from werk.pipelines.prediction import prediction
from werk.pipelines.source_row import first_prediction
from werk.pipelines.steps import PREDICTIONS
from werk.workflow import Engine, StepContext, pipeline, step

ROWS = 30
TEXTS = ("environment_sha256", "report_key", "report_sha256", "gate_sha256", "plan_sha256", "trainer")
RUN: dict[str, Any] = {"code": {}, "environment": {}}


@step("data-load")
def load(*, tables: data.Pinned) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("feature-engineering")
def scaled(rows: pl.DataFrame, times: int) -> pl.DataFrame:
    """Stands for feature code that changes: the same table, other features."""
    return rows.with_columns(pl.col("x") * times)


@pipeline
def scoring(window: str, model: str, times: int = 1) -> None:
    steps.batch_inference(scaled(load(), times), model, window)


@pipeline
def twice(window: str, model: str) -> None:
    rows = load()
    steps.batch_inference(scaled(rows, -1), model, window)
    steps.batch_inference(scaled(rows, 1), model, window)


class Place:
    """A project on files, where `small:1` and `small:2` learned the same and are approved."""

    def __init__(self, root: Path, journal_url: str = "", tables: Any = None) -> None:
        self.journal = open_journal(
            journal_url or f"sqlite:///{root / 'j.db'}", project="prj_1", actor="act_1", projections=PROJECTIONS
        )
        ports = {
            "object_store": build("object_store", "file", {"path": root / "objects"}),
            "key_store": build("key_store", "file", {"path": root / "keys"}),
            "table_store": tables or build("table_store", "delta", {"path": root / "tables"}),
            "meter": build("meter", "memory", {}),
        }
        self.p = Platform(
            project=Project("prj_1", "small", Path(__file__).parent),  # its steps count as the project's code
            actor=Actor("act_1", "tests", "local"),
            stage="test",
            journal=self.journal,
            identity=cast("Any", None),
            model_format=cast("Any", {"lightgbm": build("model_format", "lightgbm", {})}),
            **cast("Any", ports),
        )
        self.runs = 0

    def filled(self) -> Place:
        self.lands(1)
        table = rows(1).with_columns(y=(pl.col("x") > 0).cast(pl.Int64))
        model = fit_lightgbm(table, target="y", key=["id"], features=["x"], rounds=3, params={"min_child_samples": 2})
        made = models.package(self.p, model, name="small", facts={})
        told = {**dict.fromkeys(TEXTS, ""), "package_key": made.key, "manifest_sha256": made.manifest_sha256}
        about = {**told, "canonical_hash": made.canonical_hash, "snapshots": [], "code": {}, "assurance_needed": "local"}
        for version in (1, 2):
            which = {"model": "small", "version": version}
            decided = {**which, "comment": "", "assurance": "local"}
            step = {"step": "training", "code_sha256": "c", "outputs": [], "reads": [], "writes": []}
            self.p.journal.append([NewFact("step.finished", f"run_{version}", step, f"run_{version}")])
            registered = NewFact("model.registered", f"small:{version}", {**about, **which}, f"run_{version}")
            self.p.journal.append([registered, NewFact("model.approved", f"small:{version}", decided)])
        return self

    def lands(self, seed: int) -> None:
        data.write(self.p, "raw.rows", rows(seed), mode="replace")

    def scores(self, window: str, version: int = 1, times: int = 1, *, fresh: bool = False, store: Any = None) -> pl.DataFrame:
        """Returns what the step returned."""
        p = replace(self.p, table_store=store) if store else self.p
        run = self._drives(p, scoring, {"window": window, "model": f"small:{version}", "times": times}, fresh=fresh)
        return self.answered(run)

    def _drives(self, p: Platform, which: Any, params: dict[str, object], *, fresh: bool = False) -> str:
        engine = Engine(p, RESOURCES, lease_s=1)
        run = engine.start(which, params, pins=data.pins(p, ["raw.rows"]), fresh=fresh, **RUN)
        engine.drive(which, run)
        return run

    def scores_twice(self, window: str) -> str:
        return self._drives(self.p, twice, {"window": window, "model": "small:1"})

    def answered(self, run: str, step: str = "batch-inference") -> pl.DataFrame:
        (row,) = self.p.journal.rows("steps", {"run": run, "step": step})
        key = cast("Any", row["outputs"])[0]["key"]
        return pl.read_parquet(self.p.object_store.get([key])[key])

    def stored(self) -> pl.DataFrame:
        return data.scan(self.p, PREDICTIONS).drop("attributions").collect()


def rows(seed: int) -> pl.DataFrame:
    return pl.DataFrame({"id": range(ROWS), "x": np.random.default_rng(seed).normal(size=ROWS)})


@contextmanager
def opened(root: Path, **given: Any) -> Iterator[Place]:
    place = Place(root, **given)
    with place.journal:
        yield place


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with opened(tmp_path) as made:
        yield made.filled()


def assert_one_row_an_id(place: Place, answers: Sequence[pl.DataFrame], batches: int) -> None:
    """Every answer of a run is in the table as it was given, under an id that no other row has."""
    stored = place.stored()
    assert len(stored) == batches * ROWS
    assert stored["prediction_id"].n_unique() == len(stored)
    for answer in answers:
        both = answer.join(stored, on="prediction_id", suffix="_stored")
        assert len(both) == len(answer)
        for name in ("id", "score", "model", "version", "window"):
            assert both[name].equals(both[f"{name}_stored"]), name


def test_each_row_has_an_id_of_its_own_however_often_a_table_is_scored(place: Place) -> None:
    answers = [
        place.scores("w1"),
        place.scores("w1", times=-1),
        place.scores("w1", version=2),
        place.scores("w1", version=2, times=-1),
        place.scores("w2"),
    ]
    assert_one_row_an_id(place, answers, 5)
    for given, version in zip(answers, (1, 1, 2, 2, 1), strict=True):
        id = given["prediction_id"][0]
        assert lineage(place.p, id).model == f"small:{version}"
        found = explain(place.p, id)
        assert found.again == found.score == given["score"][0]


def test_an_exact_repeat_has_the_same_ids_and_adds_no_row(place: Place) -> None:
    first = place.scores("w1")
    assert place.scores("w1").equals(first), "from the cache"
    assert place.scores("w1", fresh=True).equals(first), "computed again"
    assert_one_row_an_id(place, [first], 1)


def test_equal_rows_of_a_newer_table_are_the_same_batch(place: Place) -> None:
    """Rows, other rows, the first again; the last one computed, not taken from the cache."""
    first = place.scores("w1")
    place.lands(2)
    other = place.scores("w1")
    place.lands(1)
    back, computed = place.scores("w1"), place.scores("w1", fresh=True)
    assert back.equals(first)
    assert computed["prediction_id"].equals(first["prediction_id"])
    assert_one_row_an_id(place, [first, other, back, computed], 2)


@pytest.mark.parametrize("seed", range(4))
def test_no_order_of_changes_makes_an_id_stand_for_two_rows(place: Place, seed: int) -> None:
    chance, seen, answers = np.random.default_rng(seed), set[tuple[Any, ...]](), []
    for _ in range(7):
        table, version, times = int(chance.integers(1, 3)), int(chance.integers(1, 3)), int(chance.choice([-1, 1]))
        window = int(chance.integers(2))
        place.lands(table)
        answers.append(place.scores(f"w{window}", version, times, fresh=bool(chance.integers(2))))
        seen.add((table, version, times, window))
    assert_one_row_an_id(place, answers, len(seen))
    for answer in answers:
        assert explain(place.p, answer["prediction_id"][-1]).score == answer["score"][-1]


class Deadly(DeltaTableStore):
    """Its process dies once the predictions are committed, before anybody can tell."""

    def write(self, table: str, *given: Any, **named: Any) -> int:
        version = super().write(table, *given, **named)
        if table == PREDICTIONS:
            os.kill(os.getpid(), signal.SIGKILL)
        return version


def die(root: str) -> None:
    with opened(Path(root)) as place:
        place.scores("w1", store=Deadly(Path(root) / "tables"))


@pytest.mark.parametrize("resumed", [True, False])
def test_what_a_killed_run_has_written_keeps_its_ids(tmp_path: Path, resumed: bool) -> None:
    with opened(tmp_path) as place:
        place.filled()
    _killed(tmp_path)
    with opened(tmp_path) as place:
        (killed,) = [str(row["run"]) for row in place.p.journal.rows("runs", {"status": "running"})]
        if resumed:
            _resumed(place, killed)
        answer = place.answered(killed) if resumed else place.scores("w1")
        assert_one_row_an_id(place, [answer, place.scores("w1", fresh=True)], 1)
        assert set(place.stored()["run"]) == {killed}
        assert explain(place.p, answer["prediction_id"][0]).run == killed


def _killed(root: Path) -> None:
    code = f"import importlib; importlib.import_module({__name__!r}).die({str(root)!r})"
    where = [path for path in sys.path if path]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *where])}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -signal.SIGKILL


def test_a_killed_batch_is_told_before_the_next_and_its_resume_doubles_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as place:
        place.filled().scores("w0")
    _killed(tmp_path)
    with opened(tmp_path) as place:
        (killed,) = [str(row["run"]) for row in place.p.journal.rows("runs", {"status": "running"})]
        second = place.scores("w2")
        assert [row["run"] for row in place.p.journal.rows("table_versions", {"table": PREDICTIONS, "version": 1})] == [killed]
        assert_one_row_an_id(place, [second], 3)
        _resumed(place, killed)
        assert_one_row_an_id(place, [place.answered(killed), second], 3)
        (table,) = [row for row in data.standing(place.p.journal) if row["table"] == PREDICTIONS]
        assert (table["version"], table["rows"]) == (2, 3 * ROWS)
        told = place.p.journal.rows("predictions_written", order=("version",))
        assert [(row["version"], row["window"], row["rows"]) for row in told] == [(0, "w0", 30), (1, "w1", 30), (2, "w2", 30)]
        assert told[1]["run"] == killed
        assert data.audit(place.p).damages == ()


def test_forged_rows_never_become_part_of_the_batches(place: Place, tmp_path: Path) -> None:
    first = place.scores("w1")
    real = data.scan(place.p, PREDICTIONS).collect()
    forged = real[:5].with_columns(prediction_id=pl.lit("prd_forged_") + pl.col("prediction_id").str.slice(-6))
    write_deltalake(tmp_path / "tables/product/predictions", forged, mode="overwrite")
    with pytest.raises(Refused, match="Somebody else has written") as no:
        place.scores("w2")
    assert no.value.code == "store-overtaken"
    assert_one_row_an_id(place, [first], 1)
    for ask in (prediction, lineage, explain):
        with pytest.raises(
            InputError, match=r"stands in product.predictions@1 alone, which this project did not write"
        ) as unknown:
            ask(place.p, forged["prediction_id"][0])
        assert unknown.value.code == "prediction-foreign"
        with pytest.raises(InputError, match="no prediction 'prd_never'"):
            ask(place.p, "prd_never")
    assert first_prediction(place.p) == min(first["prediction_id"])
    assert data.sql(place.p, f"select count(*) n from {PREDICTIONS}").rows() == [(ROWS,)]

    data.set_back(place.p, PREDICTIONS)
    second = place.scores("w2")
    assert_one_row_an_id(place, [first, second, place.scores("w1", fresh=True)], 2)
    for answer in (first, second):
        id = answer["prediction_id"][0]
        assert lineage(place.p, id).model == "small:1"
        assert explain(place.p, id).again == answer["score"][0]
    with pytest.raises(InputError, match="no prediction"):
        lineage(place.p, forged["prediction_id"][0])
    assert (data.audit(place.p).damages, data.audit(place.p).untold) == ((), (f"{PREDICTIONS}@1",))


class Overtaken(DeltaTableStore):
    """Somebody else appends right before the predictions are committed."""

    def write(self, table: str, *given: Any, **named: Any) -> int:
        if table == PREDICTIONS:
            write_deltalake(self.location(table), data_of(self)[:1], mode="append")
        return super().write(table, *given, **named)


def data_of(store: DeltaTableStore) -> pl.DataFrame:
    return pl.DataFrame(store.read(PREDICTIONS))


def test_a_batch_that_was_overtaken_is_written_after_the_table_was_set_back(place: Place, tmp_path: Path) -> None:
    first = place.scores("w1")
    with pytest.raises(Refused, match=r"Somebody else has written product.predictions@1"):
        place.scores("w2", store=Overtaken(tmp_path / "tables"))
    assert_one_row_an_id(place, [first], 1)
    data.set_back(place.p, PREDICTIONS)
    second = place.scores("w2")
    assert_one_row_an_id(place, [first, second, place.scores("w2", fresh=True)], 2)
    assert len(place.p.journal.rows("predictions_written")) == 2
    assert data.audit(place.p).damages == ()


def _resumed(place: Place, run: str) -> None:
    """Once the dead worker's hold has ended."""
    for _ in range(100):
        try:
            Engine(place.p, RESOURCES, lease_s=1).resume(scoring, run)
            return
        except Transient:
            time.sleep(0.1)
    raise TimeoutError(run)


def test_a_run_that_scores_twice_explains_each_from_its_own_rows(place: Place) -> None:
    run = place.scores_twice("w1")
    answers = [place.answered(run, step) for step in ("batch-inference", "batch-inference-2")]
    assert (answers[0]["score"] != answers[1]["score"]).any()
    for answer in answers:
        for id, score in answer.select("prediction_id", "score").rows():
            assert explain(place.p, id).score == score


def test_the_ids_are_the_same_on_other_stores(place: Place, tmp_path: Path, postgres_url: str) -> None:
    (tmp_path / "other").mkdir()
    with opened(tmp_path / "other", journal_url=postgres_url, tables=build("table_store", "memory", {})) as other:
        assert other.filled().scores("w1")["prediction_id"].equals(place.scores("w1")["prediction_id"])


def test_an_id_that_two_rows_have_is_refused_by_name_and_not_chosen_from(place: Place) -> None:
    """As an older werk has left them."""
    answer = place.scores("w1")
    stored = data.scan(place.p, PREDICTIONS).collect()
    id = min(answer["prediction_id"])
    data.write(
        place.p, PREDICTIONS, stored.filter(prediction_id=id).with_columns(score=pl.lit(0.5), version=pl.lit(2, dtype=pl.Int64))
    )
    for ask in (prediction, lineage, explain):
        with pytest.raises(Failed, match=f"2 rows .* id '{id}'") as refused:
            ask(place.p, id)
        assert refused.value.code == "prediction-ambiguous"
    assert first_prediction(place.p) == sorted(answer["prediction_id"])[1]


def test_a_row_that_was_changed_in_the_table_is_not_explained(place: Place) -> None:
    answer = place.scores("w1")
    stored = data.scan(place.p, PREDICTIONS).collect()
    scores = stored.with_columns(score=pl.col("score") + 0.125)
    data.write(place.p, PREDICTIONS, scores, mode="replace")
    id, score = answer.select("prediction_id", "score").row(0)
    with pytest.raises(Failed, match=f"now answers {score}, not {score + 0.125}"):
        explain(place.p, id)
    data.write(place.p, PREDICTIONS, stored.with_columns(id=ROWS - 1 - pl.col("id")), mode="replace")
    with pytest.raises(Failed, match=f"Of no row that run run_.* comes the id '{id}'"):
        explain(place.p, id)


def test_rows_that_no_step_has_made_are_refused(place: Place, tmp_path: Path) -> None:
    alone = StepContext("run_x", "batch-inference", {}, tmp_path)
    with pytest.raises(InputError, match="'rows' of batch-inference was made by no step of this run"):
        steps.batch_inference.fn(pl.DataFrame({"id": [1]}), "m:1", "w", p=place.p, context=alone)
