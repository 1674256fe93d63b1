"""What a project leaves behind is read where there is no werk: rows, models, records and the chain."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk import Model, fit_lightgbm, fit_linear, fit_logistic, fit_per_key
from werk.app.wiring import open_session
from werk.models import load_package
from werk.models.fit import predict

# Nobody who reads an export has werk: an import of it ends the reader.
BLOCKED = "import sys; sys.modules['werk'] = None\n"
ROWS = 400


def reader(script: str, folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + script, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def werk(project: Path, *words: str, fails: int = 0, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    known = {**kept, "WERK_HOME": str(project.parent / "home"), **variables}
    command = [sys.executable, "-m", "werk", *words]
    done = subprocess.run(command, cwd=project, env=known, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stdout + (done.stderr if fails else "")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With an approved version, scores, and a file of secrets."""
    place = tmp_path_factory.mktemp("leaving")
    at = pl.int_range(ROWS)
    frame = pl.DataFrame({"id": range(ROWS)}).with_columns(
        heat=(at * 7 % 31).cast(pl.Float64), kind=pl.when(at % 3 == 0).then(pl.lit("ä b")).otherwise(pl.lit("c")), dry=at % 5 == 0
    )
    frame = frame.with_columns(fails=((pl.col("heat") > 15) ^ (at % 11 == 0)).cast(pl.Int64))
    frame.write_csv(place / "pumps.csv")
    werk(place, "init", "pumps", "--from", "pumps.csv", "--target", "fails", "--key", "id")
    root = place / "pumps"
    plan = root / "plan.toml"
    plan.write_text(plan.read_text(encoding="utf-8").replace("# check this", ""), encoding="utf-8")
    (root / ".env").write_text("PASSWORD=s3cret-of-the-pumps\n")
    werk(root, "ingest", "raw.pumps", "../pumps.csv")
    werk(root, "run", "training")
    token = re.findall(r"werk_[\w-]+", werk(root, "actor", "add", "second"))[0]
    werk(root, "approve", "pumps:1", WERK_TOKEN=token)
    werk(root, "run", "batch_inference", "-p", "table=raw.pumps", "-p", "window=first")
    (place / "token").write_text(token)
    return root


@pytest.fixture(scope="module")
def left(project: Path) -> Path:
    werk(project, "export", "../left")
    return project.parent / "left"


def test_the_rows_are_those_of_the_tables(project: Path, left: Path) -> None:
    script = "import polars as pl, sys; print(pl.read_delta(sys.argv[1]).sort('id').hash_rows(seed=1).sum())"
    for table in ("raw.pumps", "product.predictions"):
        theirs = reader(script, left, f"tables/{table}").strip()
        here = [
            path for path in (project / "lake").rglob("_delta_log") if path.parent.as_posix().endswith(table.replace(".", "/"))
        ]
        assert here, list((project / "lake").rglob("_delta_log"))
        assert theirs == str(pl.read_delta(str(here[0].parent)).sort("id").hash_rows(seed=1).sum())
    count = "import duckdb; print(duckdb.sql(\"select count(*) from 'tables/raw.pumps/*.parquet'\").fetchall()[0][0])"
    assert reader(count, left) == f"{ROWS}\n"


def test_the_model_answers_as_the_registered_one_does(project: Path, left: Path) -> None:
    frame = pl.read_csv(project.parent / "pumps.csv")
    script = (
        "import json, sys, polars as pl; sys.path.insert(0, 'models/pumps/1/code'); from predictor import Predictor; "
        "print(json.dumps(list(Predictor('models/pumps/1/model').predict(pl.read_csv(sys.argv[1])))))"
    )
    answers = json.loads(reader(script, left, str(project.parent / "pumps.csv")))
    stored = {
        row["id"]: row["score"] for row in json.loads(werk(project, "sql", "select id, score from product.predictions", "--json"))
    }
    assert answers == [stored[id] for id in frame["id"]]


def test_the_chain_is_checked_by_what_lies_beside_it_and_a_change_is_found(left: Path, tmp_path: Path) -> None:
    said = reader(f"import runpy; runpy.run_path({str(left / 'journal' / 'check_chain.py')!r}, run_name='__main__')", left)
    assert re.match(r"\d+ facts hold, 0 of them erased", said)
    shutil.copytree(left / "journal", tmp_path / "journal")
    facts = tmp_path / "journal" / "facts.jsonl"
    lines = facts.read_text(encoding="utf-8").splitlines()
    changes: dict[str, Callable[[], list[str]]] = {
        "body": lambda: "\n".join(lines).replace("raw.pumps", "raw.bumps", 1).splitlines(),
        "left out": lambda: [*lines[:4], *lines[5:]],
        "other order": lambda: [lines[1], lines[0], *lines[2:]],
    }
    for name, change in changes.items():
        facts.write_text("\n".join(change()) + "\n", encoding="utf-8")
        done = subprocess.run(
            [sys.executable, tmp_path / "journal" / "check_chain.py"], capture_output=True, text=True, check=False
        )
        assert done.returncode == 1, name
        assert "AssertionError: " in done.stderr


def test_records_tell_of_gate_and_approval_and_the_signed_files_are_those_beside(left: Path) -> None:
    version = left / "models" / "pumps" / "1"
    record = json.loads((version / "record.json").read_text(encoding="utf-8"))
    assert (record["version"]["status"], record["aliases"], len(record["decisions"])) == ("approved", ["champion"], 1)
    assert record["evaluation"]["metrics"]["auc"]
    sums = json.loads((version / "signed" / "manifest.json").read_text())["files"]
    assert sums == {name: hashlib.sha256((version / "model" / name).read_bytes()).hexdigest() for name in sums}
    runs = [json.loads(line) for line in (left / "records" / "runs.jsonl").read_text(encoding="utf-8").splitlines()]
    assert {run["pipeline"] for run in runs} == {"training", "deployment", "batch_inference"}


def test_no_key_no_token_and_no_secret_is_in_it(project: Path, left: Path) -> None:
    secrets = ["s3cret-of-the-pumps", (project.parent / "token").read_text()]
    keys = [path.read_bytes() for path in (project.parent / "home").rglob("*.key")]
    assert keys
    for path in (path for path in left.rglob("*") if path.is_file()):
        data = path.read_bytes()
        assert not any(secret.encode() in data for secret in secrets), path
        assert not any(key in data for key in keys), path
    assert (left.stat().st_mode & 0o077) == 0


def test_the_readmes_own_lines_run(left: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (left / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len(blocks) == 2
    for block in blocks:
        assert reader(block, left)


@pytest.mark.parametrize(
    ("target", "code"), [("inside", "export-inside"), ("../full", "export-exists"), ("../file", "export-exists")]
)
def test_where_it_may_not_go_nothing_is_written(project: Path, target: str, code: str) -> None:
    (project.parent / "full").mkdir(exist_ok=True)
    (project.parent / "full" / "mine").touch()
    (project.parent / "file").touch()
    before = sorted(project.parent.glob("*"))
    assert f"[{code}]" in werk(project, "export", target, fails=2)
    assert sorted(project.parent.glob("*")) == before
    assert not (project / "inside").exists()


def test_a_killed_one_leaves_nothing_that_looks_finished_and_the_next_takes_its_remains_away(
    project: Path, tmp_path: Path
) -> None:
    script = (
        "import os, signal, sys; from werk.pipelines.export import take\n"
        "whole = take._records\n"
        "def cut(*given): whole(*given); os.kill(os.getpid(), signal.SIGKILL)\n"
        "take._records = cut; from werk.app.cli import commands; commands()(['export', sys.argv[1]])"
    )
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    known = {**kept, "WERK_HOME": str(project.parent / "home")}
    done = subprocess.run([sys.executable, "-c", script, str(tmp_path / "cut")], cwd=project, env=known, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "cut").exists()
    assert any(tmp_path.iterdir())
    assert "removed what a killed one had left" in werk(project, "export", str(tmp_path / "cut"))
    assert [path.name for path in tmp_path.iterdir()] == ["cut"]


def test_a_changed_package_is_not_passed_on(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "pumps"
    [model] = (copy / ".werk" / "objects" / "models" / "pumps").rglob("model.bin")
    model.chmod(0o644)
    model.write_bytes(model.read_bytes().replace(b"leaf", b"laef", 1))
    assert "[package-tampered]" in werk(copy, "export", str(tmp_path / "out"), fails=1)
    assert not (tmp_path / "out").exists()


def test_a_vanished_package_is_named_and_the_rest_is_there(project: Path, tmp_path: Path) -> None:
    shutil.copytree(project.parent, tmp_path / "copy")
    copy = tmp_path / "copy" / "pumps"
    shutil.rmtree(next((copy / ".werk" / "objects" / "models" / "pumps").rglob("model.bin")).parent)
    assert "not whole in the store any more: pumps:1" in werk(copy, "export", str(tmp_path / "out"))
    assert (tmp_path / "out" / "tables" / "raw.pumps").is_dir()
    assert not (tmp_path / "out" / "models").exists()


# --- every kind of model ---

AT = np.arange(300)
FRAME = pl.DataFrame(
    {
        "id": AT,
        "a": np.sin(AT),
        "b": (AT * 7 % 13).astype(float),
        "kind": [("x", "ü", "10")[at % 3] for at in AT],
        "wet": AT % 2 == 0,
        "yes": (np.sin(AT) > 0.1).astype(int),
        "much": np.sin(AT) * 3 + AT % 13,
        "which": [("l", "m", "h")[int(at % 13 > 4) + int(at % 13 > 8)] for at in AT],
    }
)
GAPS = FRAME.with_columns(a=pl.when(pl.col("id") % 7 == 0).then(None).otherwise("a"), kind=pl.lit("new"))
MODELS: dict[str, Callable[[], Model]] = {
    "lightgbm": lambda: fit_lightgbm(
        FRAME, target="yes", key=["id"], features=["a", "b", "kind", "wet"], categories=["kind", "wet"]
    ),
    "lightgbm of classes": lambda: fit_lightgbm(FRAME, target="which", key=["id"], features=["a", "b"], task="multiclass"),
    "logistic": lambda: fit_logistic(FRAME, target="yes", key=["id"], features=["a", "b"]),
    "logistic of classes": lambda: fit_logistic(FRAME, target="which", key=["id"], features=["a", "b"], task="multiclass"),
    "linear": lambda: fit_linear(FRAME, target="much", key=["id"], features=["a", "b"]),
    "per key": lambda: fit_per_key(FRAME, target="much", key=["id"], per="kind", features=["a", "b"]),
}


@pytest.mark.parametrize("kind", list(MODELS))
def test_every_kind_of_model_answers_bit_for_bit(
    kind: str, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from werk.models import package
    from werk.pipelines.export.model import mlflow_files

    monkeypatch.setenv("WERK_HOME", str(project.parent / "home"))
    session = open_session(project, None)
    try:
        made = package(session.p, MODELS[kind](), name="any", facts={})
        names = ("model.bin", "model.json", "manifest.json", "manifest.sig", "manifest.pub")
        stored = session.p.object_store.get([f"{made.key}/{name}" for name in names])
        files = {at.rpartition("/")[2]: data for at, data in stored.items()}
        for name, data in mlflow_files("any", files, run="r", python="3.11", distributions={}, at="2026"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(data)
        model = load_package(session.p, made.key)
        frames = [FRAME, GAPS] if "lightgbm" in kind or kind == "per key" else [FRAME]
        wanted: list[Any] = [predict(session.p, model, frame).tolist() for frame in frames]
    finally:
        session.journal.close()
    script = (
        "import json, sys, polars as pl; sys.path.insert(0, 'code'); from predictor import _load_pyfunc; "
        "told = _load_pyfunc('model'); "
        "print(json.dumps([told.predict(pl.read_parquet(path)).tolist() for path in sys.argv[1:]]))"
    )
    for at, frame in enumerate(frames):
        frame.write_parquet(tmp_path / f"{at}.parquet")
    assert json.loads(reader(script, tmp_path, *(f"{at}.parquet" for at in range(len(frames))))) == wanted
