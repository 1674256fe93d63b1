"""Whoever lists waits for no library that listing has no use for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    *("polars", "numpy", "pyarrow", "duckdb", "deltalake", "lightgbm", "sklearn", "scipy", "pandas"),
    *("uvicorn", "fastapi", "matplotlib"),
)
LISTED = """
import io, json, sys
from contextlib import redirect_stdout
from werk.app.cli import commands
found = {}
for words in json.loads(sys.argv[1]):
    with redirect_stdout(io.StringIO()) as said:
        commands()(words, standalone_mode=False)
    found[" ".join(words)] = [said.getvalue()[:2000], [name for name in json.loads(sys.argv[2]) if name in sys.modules]]
print(json.dumps(found))
"""
PIPELINES = """
from werk import pipeline, step

@step("count")
def count() -> int:
    return 3

@pipeline
def counting():
    count()
"""


def ran(root: Path, *command: str) -> str:
    env = {**os.environ, "WERK_HOME": str(root.parent / "home")}
    done = subprocess.run([sys.executable, *command], cwd=root, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("listed") / "case"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "case"\nid = "prj_case"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "rows.csv").write_text("id,km\n1,2\n2,3\n")
    ran(root, "-m", "werk", "ingest", "raw.rows", "rows.csv")
    ran(root, "-m", "werk", "run", "counting")
    ran(root, "-m", "werk", "actor", "add", "second")
    return root


def test_a_listing_loads_no_library_that_it_has_no_use_for(root: Path) -> None:
    listings = [
        *(["runs"], ["tables"], ["models"], ["deployments"], ["monitor"], ["status"], ["actor", "list"], ["pipelines"]),
        *(["logs", "RUN"], ["help", "four-eyes"]),
    ]
    [run] = json.loads(ran(root, "-m", "werk", "runs", "--json"))
    asked = [[run["run"] if word == "RUN" else word for word in words] for words in listings]
    found = json.loads(ran(root, "-c", LISTED, json.dumps(asked), json.dumps(HEAVY)))
    assert {words: heavy for words, (_, heavy) in found.items() if heavy} == {}
    assert "counting" in found["runs"][0]
    assert "raw.rows" in found["tables"][0]
    assert "second" in found["actor list"][0]


def test_the_script_loads_nothing_of_the_command_line_before_it_begins_again() -> None:
    late = ("typer", "werk.app.cli", "importlib.metadata")
    told = f"import sys, werk.__main__; print([name for name in {late} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout.strip() == "[]"
