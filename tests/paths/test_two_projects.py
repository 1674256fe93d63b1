"""Two projects of one name on one PostgreSQL, one bucket and one root of tables: neither can tell that the other is there."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app.answers import Answer
from werk.app.commands import actors, models, projects, proof, runs, tables
from werk.app.wiring import PROJECTIONS
from werk.core.errors import InputError
from werk.journal import open_journal
from werk.journal.erasure import erase_body

NAME = "flights"
PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.flights").collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    return fit_lightgbm(rows, target="late", key=["id"], features=["hour", "wind"], rounds=5)


@pipeline
def training():
    rows = load()
    model = train(rows)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)


@pipeline
def scoring(model: str):
    rows = load()
    scored = steps.batch_inference(rows, model, "2013-01")
    steps.check(scored, rows, model, "2013-01")


@pipeline
def deployment(model: str):
    steps.deploy(model)
"""


@dataclass(frozen=True, slots=True)
class One:
    """One of the two: its folder, its own keys, and the flights only it has."""

    root: Path
    environment: dict[str, str]
    flights: pl.DataFrame

    @property
    def id(self) -> str:
        return re.findall(r'(?m)^id = "(.*)"', (self.root / "werk.toml").read_text())[0]

    def werk(self, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "werk.app.cli", *words]
        environment = {**os.environ, **self.environment, **more}
        return subprocess.run(command, cwd=self.root, env=environment, capture_output=True, text=True, check=False, timeout=120)

    def does(self, *words: str, **more: str) -> Any:
        """A command in a process of its own: it loads the project's code."""
        done = self.werk(*words, "--json", **more)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def asks(self, command: Callable[..., Answer], *given: object, profile: str = "team") -> Any:
        """A command that loads no project code, called right here."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.environment.items():
                patch.setenv(name, value)
            found = command(*given, self.root, profile)
        return found.rows if found.rows is not None else found.record

    def lands(self, table: str, profile: str = "team") -> Any:
        return self.asks(tables.ingest, f"raw.{table}", self.root / "flights.parquet", profile=profile)

    def sql(self, query: str) -> Any:
        return self.asks(tables.sql, query)

    def versions(self, profile: str = "team") -> Any:
        return self.asks(models.models, None, profile=profile)


Twins = tuple[One, One]


def made(place: Path, team: Any, seed: int) -> One:
    root = place / NAME
    place.mkdir()
    projects.create(root, "flights")
    shutil.rmtree(root / "contracts")
    for name in ("golden.toml", "behaviour.toml"):
        (root / name).unlink()
    (root / "pipelines.py").write_text(PIPELINES)
    settings = root / "werk.toml"  # its retraining gives a parameter that these two have not
    settings.write_text(re.sub(r'\[\[trigger\]\]\nname = "retrain-on-drift"\n(?:.+\n)+', "", settings.read_text()))
    (root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
    chance = np.random.default_rng(seed)
    hour, wind = chance.integers(0, 24, 600), chance.normal(size=600)
    late = (wind * (1 if seed else -1) + chance.normal(size=600) > 0).astype(int)
    flights = pl.DataFrame({"id": range(600), "hour": hour, "wind": wind, "late": late})
    flights.write_parquet(root / "flights.parquet")
    environment = {**team.environment, "WERK_HOME": str(place / "home"), "WERK_PROFILE": "team"}
    return One(root, environment, flights)


def lived(one: One, extra: str) -> None:
    """Land, train, approve by somebody else, deploy, score."""
    one.lands("flights")
    one.lands(extra)
    one.does("run", "training")
    token = one.asks(actors.add, "reviewer")["token"]
    one.does("approve", f"{NAME}:1", WERK_TOKEN=token)
    (one.root.parent / "token").write_text(token)
    one.does("run", "scoring", "-p", f"model={NAME}:1")


@pytest.fixture(scope="module")
def twins(team: Any, tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """The second one lands first and trains last, with the other's whole life in between."""
    place = tmp_path_factory.mktemp("twins")
    first, second = made(place / "a", team, 0), made(place / "b", team, 1)
    second.lands("flights")
    lived(first, "only_a")
    lived(second, "only_b")
    return first, second


@contextmanager
def served(one: One) -> Iterator[str]:
    command = [sys.executable, "-m", "werk.app.cli", "serve", "--port", "0"]
    environment = {**os.environ, **one.environment}
    with subprocess.Popen(command, cwd=one.root, env=environment, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield server.stdout.readline().removeprefix("ready at ").strip()
        finally:
            server.terminate()


def answers(one: One) -> list[float]:
    rows = one.flights.sort("id").select("hour", "wind").to_dicts()
    token = (one.root.parent / "token").read_text()
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    with served(one) as url:
        request = urllib.request.Request(f"{url}/invocations", json.dumps({"dataframe_records": rows}).encode(), headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return list(json.load(answer)["predictions"])


def scores(one: One) -> list[float]:
    found = one.sql("select score from product.predictions order by id")
    return [row["score"] for row in found]


def neither_sees_the_tables_runs_and_models_of_the_other(twins: Twins) -> None:
    for one, own, others in ((twins[0], "only_a", "only_b"), (twins[1], "only_b", "only_a")):
        assert {row["table"] for row in one.asks(tables.tables, None)} == {"raw.flights", f"raw.{own}", "product.predictions"}
        assert [(row["model"], row["version"]) for row in one.versions()] == [(NAME, 1)]
        assert sorted(row["pipeline"] for row in one.asks(runs.runs, 20, None)) == ["deployment", "scoring", "training"]
        with pytest.raises(InputError) as absent:
            one.sql(f"select * from raw.{others}")
        assert absent.value.code == "table-unknown"


def each_reads_trains_on_and_scores_its_own_flights(twins: Twins) -> None:
    for one in twins:
        assert one.sql("select wind from raw.flights order by id") == one.flights.select("wind").to_dicts()
        one.lands("flights", "local")
        one.does("run", "training", "--profile", "local")
        assert one.versions()[0]["canonical_hash"] == one.versions("local")[0]["canonical_hash"]
        assert len(scores(one)) == 600
    assert len({one.versions()[0]["canonical_hash"] for one in twins}) == 2


def each_serves_its_own_model(twins: Twins) -> None:
    given = [answers(one) for one in twins]
    assert given == [scores(one) for one in twins]
    assert given[0] != given[1]


def everything_in_the_shared_stores_lies_below_one_id(twins: Twins, team: Any) -> None:
    owners = {key: [one.id for one in twins if one.id in key.split("/")] for key in team.stored()}
    assert owners
    assert {key: found for key, found in owners.items() if len(found) != 1} == {}


def a_deleted_project_leaves_the_other_whole(twins: Twins, team: Any) -> None:
    gone, stays = twins
    before = scores(stays)
    id = gone.id
    shutil.rmtree(gone.root)
    for key in team.stored():
        if id in key.split("/"):
            team.s3.delete_object(Bucket=team.bucket, Key=key)
    with open_journal(team.journal_url, project=id, actor="act_owner", projections=PROJECTIONS) as journal:
        for fact in list(journal.facts()):
            erase_body(journal, fact.seq, "the project was deleted")
    assert stays.asks(proof.verify)["ok"]
    assert stays.does("rebuild", f"{NAME}:1")["outcome"] == "identical"
    assert scores(stays) == before == answers(stays)
    assert stays.lands("flights")["unchanged"]


def test_two_projects_of_one_name_share_stores_and_no_state(twins: Twins, team: Any) -> None:
    """One after the other, because the last thing is that one of them is deleted."""
    neither_sees_the_tables_runs_and_models_of_the_other(twins)
    each_reads_trains_on_and_scores_its_own_flights(twins)
    each_serves_its_own_model(twins)
    everything_in_the_shared_stores_lies_below_one_id(twins, team)
    a_deleted_project_leaves_the_other_whole(twins, team)
