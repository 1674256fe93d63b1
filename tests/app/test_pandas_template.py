"""The flights template in pandas registers the very model of the one in polars."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from werk.app.code import load_pipelines
from werk.app.commands.projects import create
from werk.core.errors import StepFailed

JUNE = ("-p", "start=2013-06", "-p", "through=2013-06", "-p", "holdout_days=10", "-p", "params.rounds=60")


@pytest.fixture
def werk(tmp_path: Path) -> Callable[..., str]:
    def run(*words: str) -> str:
        command = [str(Path(sys.executable).with_name("werk")), *words, "--project", str(tmp_path / "polars")]
        environment = {**os.environ, "WERK_HOME": str(tmp_path / "home")}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run


def test_the_model_made_in_pandas_is_that_made_in_polars(tmp_path: Path, werk: Callable[..., str]) -> None:
    project = tmp_path / "polars"
    create(project, "flights")
    for table in ("airlines", "airports", "planes", "weather", "flights"):
        werk("ingest", f"raw.{table}", str(project / "data" / f"{table}.parquet"))
    werk("run", "training", *JUNE)
    create(tmp_path / "pandas", "flights-pandas")
    for file in ("pipelines.py", "flights/features.py", "flights/known.py"):
        shutil.copy(tmp_path / "pandas" / file, project / file)
    code = (project / "pipelines.py").read_text().replace('"pandas@champion"', '"polars@champion"')
    (project / "pipelines.py").write_text(code)
    assert "import polars" not in code
    werk("run", "training", *JUNE)
    versions = json.loads(werk("sql", "select version, canonical_hash from journal.versions", "--json"))
    rows = versions["rows"] if isinstance(versions, dict) else versions
    assert len(rows) == 2
    assert len({row["canonical_hash"] for row in rows}) == 1


def test_a_project_in_pandas_without_pandas_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    create(tmp_path / "mine", "flights-pandas")
    for module in ("pipelines", "flights", "flights.features"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr(sys, "path", [str(tmp_path / "mine"), *sys.path])
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(StepFailed, match="pandas") as told:
        load_pipelines(tmp_path / "mine")
    assert "werk[pandas]" in told.value.hint
