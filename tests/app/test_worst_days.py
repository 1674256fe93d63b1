"""The worst days: closed folders, a full disk, no git, odd names and values, a moved project. One sentence, and nothing is lost."""

from __future__ import annotations

import json
import os
import pty
import re
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.core.errors import Transient
from werk.serving.prediction_log import PredictionLog, read_log

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[engine]
lease_s = 1
"""
PIPELINES = """
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from werk import pipeline, step

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Params:
    share: float = 0.5
    word: str = "plain"


@step("load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rides").collect()


@step("multiply", cache=False)
def multiply(rows: pl.DataFrame, factor: int, params: Params) -> pl.DataFrame:
    while (HERE / "wait").exists():
        (HERE / "waiting").touch()
        time.sleep(0.05)
    return rows.with_columns(pl.col("km") * factor * params.share)


@step("widen", cache=False)
def widen(rows: pl.DataFrame, megabytes: int) -> pl.DataFrame:
    import numpy
    return pl.DataFrame({"noise": numpy.random.default_rng(1).random(megabytes * 131_072)})


@step("total")
def total(rows: pl.DataFrame) -> float:
    return float(rows["km"].sum())


@pipeline
def rides(factor: int = 2, params: Params = Params()):
    total(multiply(load(), factor, params))


@pipeline
def wide(megabytes: int):
    widen(load(), megabytes)
"""
NOBODY = 65534
DEADLINE_S = 60.0
# Another user's rights, but the interpreter may lie in a folder closed to it: it may read everything and write nothing more.
AS_NOBODY = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Case:
    """A use case in its folder and the keys outside it; commands run as processes, perhaps as nobody."""

    root: Path
    home: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()

    def command(self, *words: object) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "werk.app.cli", *map(str, words)]

    def werk(self, *words: object, **env: str) -> Said:
        done = subprocess.run(
            self.command(*words), cwd=self.root, env={**self.environment, **env}, capture_output=True, text=True, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.werk("runs", "--json").value
        return found

    def is_sound(self) -> bool:
        return bool(self.werk("audit", "verify", "--json").value["ok"])


def environment_of(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("WERK_TOKEN", "WERK_PROFILE")}
    return {**kept, "WERK_HOME": str(home), "HOME": str(home.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def write_case(folder: Path) -> Case:
    root = folder / "rides"
    root.mkdir(parents=True)
    (root / "werk.toml").write_text(SETTINGS)
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "rides.csv").write_text("id,km\n" + "".join(f"{n},{n}.5\n" for n in range(50)))
    return Case(root, folder / "home", environment_of(folder / "home"))


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a use case whose table has landed: copied, not made, for each test."""
    case = write_case(tmp_path_factory.mktemp("first"))
    assert case.werk("ingest", "raw.rides", "rides.csv").code == 0
    return case.root.parent


def copied(first: Path, folder: Path) -> Case:
    shutil.copytree(first, folder, dirs_exist_ok=True)
    return Case(folder / "rides", folder / "home", environment_of(folder / "home"))


@pytest.fixture
def case(first: Path, tmp_path: Path) -> Case:
    return copied(first, tmp_path / "case")


def assert_said(said: Said, codes: Sequence[int], *words: str) -> None:
    """One sentence with a code and a next step, nothing on stdout, none of our frames."""
    assert said.code in codes, said.err
    assert said.out == ""
    assert re.search(r"\[[a-z-]+\]", said.err), said.err
    assert "\n  next: " in said.err, said.err
    assert "Traceback" not in said.err, said.err
    for word in words:
        assert word in said.err, said.err


# --- folders closed to whoever runs ---


@pytest.fixture
def nobodys(first: Path) -> Iterator[Case]:
    """A use case that belongs to an unprivileged user, who runs the commands; no folder above it is closed to them."""
    with tempfile.TemporaryDirectory(prefix="werk-nobody-") as place:
        folder = Path(place)
        made = copied(first, folder)
        if os.getuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            made = replace(made, prefix=AS_NOBODY)
        yield made


@contextmanager
def closed_to_writing(folder: Path) -> Iterator[None]:
    tree = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in tree.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in tree.items():
            path.chmod(mode)


def test_an_unprivileged_user_runs_what_is_theirs(nobodys: Case) -> None:
    assert nobodys.werk("ingest", "raw.more", "rides.csv").code == 0
    assert nobodys.werk("run", "rides", "--json").value["status"] == "finished"


@pytest.mark.parametrize(
    ("closed", "landing", "running", "listing"),
    [
        ("rides", "journal-unwritable", "journal-unwritable", "journal-unwritable"),
        ("rides/.werk", "journal-unwritable", "journal-unwritable", "journal-unwritable"),
        ("rides/lake", "store-unwritable", "", ""),  # a run that writes no table needs no right there
        ("home", "heads-unwritable", "heads-unwritable", "heads-unwritable"),
    ],
)
def test_a_closed_folder_is_named(nobodys: Case, closed: str, landing: str, running: str, listing: str) -> None:
    folder = nobodys.root.parent / closed
    with closed_to_writing(folder):
        for words, code in ((("ingest", "raw.more", "rides.csv"), landing), (("run", "rides"), running), (("runs",), listing)):
            said = nobodys.werk(*words)
            if code:
                assert_said(said, (1, 2), f"[{code}]", str(folder))
            else:
                assert said.code == 0, said.err
    assert nobodys.is_sound()
    assert nobodys.werk("ingest", "raw.more", "rides.csv").code == 0
    assert nobodys.werk("run", "rides").code == 0
