"""`werk show RUN --diff OTHER`: what changed from a good run to a bad one, and the step at which they part."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINES = """
import polars as pl
from helper import share
from werk import pipeline, step


@step("load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.sizes").collect()


@step("count")
def count(rows: pl.DataFrame, more: int) -> int:
    return int(rows["size"].sum()) + more


@step("divide")
def divide(counted: int, by: int) -> float:
    return share(counted, by)


@pipeline
def dividing(more: int = 0, by: int = 2):
    divide(count(load(), more), by)


@step("say")
def say() -> int:
    return 1


@pipeline
def other():
    say()
"""
HELPER = "def share(total, by):\n    return total / by\n"
CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: sizes
name: sizes
version: 1.0.0
status: active
schema:
  - name: sizes
    properties:
      - {name: size, logicalType: integer, physicalType: bigint}
"""


def werk(project: Path, *words: str, fails: int = 0, **variables: str) -> str:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    known = {**kept, "WERK_HOME": str(project.parent / "home"), "COLUMNS": "132", **variables}
    command = [sys.executable, "-m", "werk", *words]
    done = subprocess.run(command, cwd=project, env=known, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stdout + (done.stderr if fails else "")


def newest(project: Path) -> str:
    return str(json.loads(werk(project, "runs", "--limit", "1", "--json"))[0]["run"])


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("differing") / "div"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "div"\nid = "prj_div"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "helper.py").write_text(HELPER)
    (root / "contracts").mkdir()
    (root / "contracts" / "raw.sizes.odcs.yaml").write_text(CONTRACT)
    (root / "sizes.csv").write_text("size\n1\n2\n3\n")
    werk(root, "ingest", "raw.sizes", "sizes.csv")
    return root


@pytest.fixture(scope="module")
def good(project: Path) -> str:
    werk(project, "run", "dividing")
    return newest(project)


def differing(project: Path, run: str, other: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(werk(project, "show", run, "--diff", other, "--json"))
    return found


def test_two_runs_of_the_same_say_that_nothing_changed(project: Path, good: str) -> None:
    werk(project, "run", "dividing", "--fresh")
    said = werk(project, "show", newest(project), "--diff", good)
    assert "every step gave the same" in said
    assert [said.count(f"{part:<12} the same") for part in ("code", "params", "data", "environment", "metrics")] == [1] * 5


def test_a_parameter_that_broke_it_is_named_with_the_step(project: Path, good: str) -> None:
    werk(project, "run", "dividing", "-p", "by=0", fails=1)
    bad = newest(project)
    found = differing(project, bad, good)
    assert found["params"] == {"by": [2, 0]}
    assert found["parts"] == {"step": "divide", "status": ["finished", "failed"], "why": ["by"]}
    assert "division by zero" in found["to"]["error"]  # type: ignore[index]
    said = werk(project, "show", bad, "--diff", good)
    assert f"{bad}: {found['to']['error']}" in said  # type: ignore[index]
    assert "the same until 'divide' (finished -> failed); not the same of it: by" in said


def test_changed_code_is_shown_as_a_patch_whether_committed_or_not(project: Path, good: str) -> None:
    (project / "helper.py").write_text(HELPER.replace("total / by", "total / (by + 1)"))
    try:
        werk(project, "run", "dividing")
    finally:
        (project / "helper.py").write_text(HELPER)
    run = newest(project)
    found = differing(project, run, good)
    assert found["code"]["files"] == ["helper.py"]  # type: ignore[index]
    assert "+    return total / (by + 1)" in found["code"]["patch"]  # type: ignore[index]
    assert found["parts"]["why"] == ["its code"]  # type: ignore[index]
    said = werk(project, "show", run, "--diff", good)
    assert "code         helper.py: below" in said
    assert "-    return total / by" in said


def test_other_data_is_named_with_its_versions_and_rows(project: Path, good: str, tmp_path: Path) -> None:
    shutil.copytree(project.parent, tmp_path / "copy")
    project = tmp_path / "copy" / project.name
    (project / "more.csv").write_text("size\n4\n5\n")
    werk(project, "ingest", "raw.sizes", "more.csv")
    werk(project, "run", "dividing")
    found = differing(project, newest(project), good)
    (table,) = found["data"]  # type: ignore[misc]
    assert (table["table"], table["versions"], table["rows"], table["columns"]) == ("raw.sizes", [0, 1], [3, 2], {})
    assert found["parts"] == {"step": "load", "status": ["finished", "finished"], "why": ["raw.sizes"]}


def test_another_environment_is_named_variable_by_variable(project: Path, good: str) -> None:
    werk(project, "run", "dividing", OMP_NUM_THREADS="3")
    environment = differing(project, newest(project), good)["environment"]
    assert "variable OMP_NUM_THREADS: '1' -> '3'" in environment  # type: ignore[operator]


def test_runs_that_cannot_be_compared_are_refused(project: Path, good: str) -> None:
    werk(project, "run", "other")
    assert "Runs of two pipelines cannot be compared" in werk(project, "show", newest(project), "--diff", good, fails=2)
    assert "run_nothing" in werk(project, "show", good, "--diff", "run_nothing", fails=2)


def test_code_kept_on_another_machine_is_said_to_be_so(project: Path, good: str) -> None:
    (project / "helper.py").write_text(HELPER + "# later\n")
    try:
        werk(project, "run", "dividing")
    finally:
        (project / "helper.py").write_text(HELPER)
    run = newest(project)
    store = project / ".werk" / "code.git"
    store.rename(project / "away.git")
    try:
        found = differing(project, run, good)
    finally:
        (project / "away.git").rename(store)
    assert found["code"]["patch"] is None  # type: ignore[index]
    assert found["code"]["why"]  # type: ignore[index]
