"""A project moves to another profile's stores: the same head, never two living journals, and a kill loses nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

PIPELINES = """
import time
from pathlib import Path

import polars as pl
from werk import pipeline, step


@step("load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("wait", cache=False)
def wait(there: str) -> int:
    Path(there).touch()
    while Path(there).exists():
        time.sleep(0.05)
    return 1


@pipeline
def loading():
    load()


@pipeline
def waiting(there: str):
    wait(there)
"""
SETTINGS = """
[project]
name = "small"
id = "prj_small"
{}"""
PROFILE = """
[profile.{0}.journal]
url = "sqlite:///{1}/{0}/deep/journal.db"
[profile.{0}.table_store]
use = "delta"
path = "{1}/{0}/lake"
[profile.{0}.object_store]
use = "file"
path = "{1}/{0}/objects"
"""


def variables(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    return {**kept, "WERK_HOME": str(project.parent / "home")}


def werk(project: Path, *words: str, fails: int = 0) -> str:
    command = [sys.executable, "-m", "werk", *words]
    done = subprocess.run(command, cwd=project, env=variables(project), capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


def asked(project: Path, *words: str) -> Any:
    command = [sys.executable, "-m", "werk", *words, "--json"]
    done = subprocess.run(command, cwd=project, env=variables(project), capture_output=True, text=True, timeout=120, check=True)
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("moving") / "small"
    root.mkdir()
    (root / "werk.toml").write_text(SETTINGS.format(""))
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "contracts").mkdir()
    pl.DataFrame({"id": range(50), "x": range(50)}).write_csv(root / "rows.csv")
    werk(root, "ingest", "raw.rows", "rows.csv")
    werk(root, "run", "loading")
    return root


@pytest.fixture
def project(whole: Path, tmp_path: Path) -> Path:
    shutil.copytree(whole.parent, tmp_path / "here")
    root = tmp_path / "here" / whole.name
    profiles = "".join(PROFILE.format(name, tmp_path) for name in ("disk", "other"))
    (root / "werk.toml").write_text(SETTINGS.format(profiles))
    return root


def head(project: Path, profile: str) -> tuple[int, str]:
    found = asked(project, "status", "--profile", profile)["head"]
    return found["seq"], found["hash"]


def test_the_same_head_the_same_rows_and_a_closed_door_behind(project: Path) -> None:
    before = head(project, "local")
    planned = asked(project, "move", "--to", "disk", "--dry-run")
    assert (planned["facts"], planned["hash"]) == before
    assert not (project.parents[1] / "disk").exists()
    said = werk(project, "move", "--to", "disk")
    assert f"{before[0]} facts, head {before[1]}" in said
    assert head(project, "disk") == before
    assert "holds: " in werk(project, "audit", "verify", "--profile", "disk")
    assert "note:" not in werk(project, "audit", "verify", "--profile", "disk")
    assert len(asked(project, "sql", "select * from raw.rows", "--profile", "disk")) == 50
    assert "cached" in werk(project, "run", "loading", "--profile", "disk")
    for words in (("run", "loading"), ("ingest", "raw.rows", "rows.csv"), ("actor", "add", "somebody")):
        assert "[project-moved]" in werk(project, *words, fails=3)
    assert len(asked(project, "runs")) == 1
    assert "holds: " in werk(project, "audit", "verify")
    assert list((project.parent / "home").glob("moving*")) == []


def test_twice_says_the_same_and_elsewhere_is_refused(project: Path) -> None:
    werk(project, "move", "--to", "disk")
    werk(project, "run", "loading", "--fresh", "--profile", "disk")
    then = head(project, "disk")
    werk(project, "move", "--to", "disk")
    assert head(project, "disk") == then
    assert "[move-begun]" in werk(project, "move", "--to", "other", fails=3)
    assert "[move-placed]" in werk(project, "move", "--to", "disk", "--cancel", fails=3)


def test_onwards_to_a_third_place_and_not_onto_a_journal(project: Path) -> None:
    werk(project, "move", "--to", "disk")
    werk(project, "run", "loading", "--fresh", "--profile", "disk")
    then = head(project, "disk")
    assert "[move-taken]" in werk(project, "move", "--to", "local", "--profile", "disk", fails=2)
    werk(project, "move", "--to", "other", "--profile", "disk")
    assert head(project, "other") == then
    assert "[project-moved]" in werk(project, "run", "loading", "--profile", "disk", fails=3)


@pytest.mark.parametrize(("profile", "code"), [("local", "move-nowhere"), ("nowhere", "profile-unknown"), ("disk", "move-taken")])
def test_where_it_cannot_go_nothing_is_closed(project: Path, profile: str, code: str) -> None:
    if profile == "disk":
        pl.DataFrame({"a": [1]}).write_delta(str(project.parents[1] / "disk" / "lake" / "prj_small" / "raw" / "rows"))
    assert f"[{code}]" in werk(project, "move", "--to", profile, fails=2)
    werk(project, "run", "loading", "--fresh")


def test_a_place_that_cannot_be_reached_leaves_all_as_it_was(project: Path) -> None:
    gone = PROFILE.format("gone", project.parents[1]).replace(
        f"sqlite:///{project.parents[1]}/gone/deep/journal.db", "postgresql://127.0.0.1:1/nobody"
    )
    (project / "werk.toml").write_text(SETTINGS.format(gone))
    command = [sys.executable, "-m", "werk", "move", "--to", "gone"]
    done = subprocess.run(command, cwd=project, env=variables(project), capture_output=True, text=True, check=False)
    assert done.returncode in (1, 2)
    assert "Traceback" not in done.stderr
    werk(project, "run", "loading", "--fresh")


def test_a_run_that_is_driven_is_not_left_without_its_journal(project: Path) -> None:
    there = project.parent / "there"
    command = [sys.executable, "-m", "werk", "run", "waiting", "-p", f"there={there}"]
    with subprocess.Popen(command, cwd=project, env=variables(project), stderr=subprocess.DEVNULL) as process:
        while not there.exists():
            assert process.poll() is None
        assert "[move-driven]" in werk(project, "move", "--to", "disk", fails=3)
        there.unlink()
        assert process.wait(60) == 0
    werk(project, "move", "--to", "disk")


def test_a_process_that_had_the_journal_open_before_writes_nothing_after(project: Path) -> None:
    script = (
        "import subprocess, sys; from pathlib import Path; from werk.app.wiring import open_session; "
        "from werk.core.journal import NewFact; session = open_session(Path.cwd(), None)\n"
        "subprocess.run([sys.executable, '-m', 'werk', 'move', '--to', 'disk'], check=True)\n"
        "try: session.journal.append([NewFact('test.said', 'x', {})])\n"
        "except Exception as no: print(type(no).__name__, no.code)\n"
        "finally: session.journal.close()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=project, env=variables(project), capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1] == "Refused project-moved"


KILLS = {
    "closed": "werk.app.commands.move._copied",
    "copied": "werk.pipelines.backup.place_stores",
    "tables placed": "werk.pipelines.backup.checked_journal",
    "before the journal": "werk.app.commands.move._make_room",
    "journal placed": "werk.app.commands.move._check_there",
    "checked": "werk.journal.moving.finish",
}


@pytest.mark.parametrize("point", list(KILLS))
def test_killed_at_any_point_the_same_command_goes_on(project: Path, point: str) -> None:
    before = head(project, "local")
    room, _, name = KILLS[point].rpartition(".")
    script = (
        f"import importlib, os, signal; room = importlib.import_module({room!r})\n"
        "def cut(*given, **named): os.kill(os.getpid(), signal.SIGKILL)\n"
        f"setattr(room, {name!r}, cut); from werk.app.cli import commands; commands()(['move', '--to', 'disk'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=project, env=variables(project), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert "[project-moving]" in werk(project, "run", "loading", fails=3)
    if point in ("closed", "copied", "tables placed"):
        assert "taken back" in werk(project, "move", "--to", "disk", "--cancel")
        assert head(project, "local") == before
        assert "[move-taken]" in werk(project, "move", "--to", "disk", fails=2) if point == "tables placed" else True
        return
    assert "[move-placed]" in werk(project, "move", "--to", "disk", "--cancel", fails=3)
    werk(project, "move", "--to", "disk")
    assert head(project, "disk") == before
    assert re.search(r"holds: \d+ facts", werk(project, "audit", "verify", "--profile", "disk"))
    assert not (project.parent / "home" / "moving").exists()


def test_a_cut_off_copy_is_made_again_from_the_beginning(project: Path) -> None:
    before = head(project, "local")
    script = (
        "import os, signal\n"
        "from werk.pipelines.backup import restore\nplaced = restore._place_object\n"
        "def cut(*given): placed(*given); os.kill(os.getpid(), signal.SIGKILL)\n"
        "restore._place_object = cut; from werk.app.cli import commands; commands()(['move', '--to', 'disk'])"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=project, env=variables(project), capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    werk(project, "move", "--to", "disk")
    assert head(project, "disk") == before
