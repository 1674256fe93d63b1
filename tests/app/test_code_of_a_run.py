"""The commit a run names and the diff beside it, checked out elsewhere, give the very code that ran."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from werk.workflow.capture.code import CodeTree

PIPELINES = """
from delays.counting import count
from werk import pipeline, step


@step("first")
def first() -> int:
    return count()


@step("second")
def second(n: int) -> int:
    return n * 2


@pipeline
def counted():
    second(first())
"""


def git(folder: Path, *words: str, data: str = "") -> str:
    author = ["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    done = subprocess.run(["git", *author, *words], cwd=folder, check=True, capture_output=True, text=True, input=data)
    return done.stdout.strip()


def werk(folder: Path, home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "werk.app.cli", *words]
    environment = {**os.environ, "WERK_HOME": str(home)}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def ran(folder: Path, home: Path) -> dict[str, Any]:
    """What a run of the pipeline in this folder recorded."""
    run = werk(folder, home, "run", "counted")
    assert run.returncode == 0, run.stderr
    found: dict[str, Any] = json.loads(werk(folder, home, "show", run.stdout.strip(), "--json").stdout)
    return found


def hashes(run: dict[str, Any]) -> dict[str, str]:
    return {step["step"]: step["code_sha256"] for step in run["steps"]}


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A project with a commit, and on top of it a changed, a staged, a new, a deleted and a binary file."""
    root = tmp_path / "project"
    (root / "delays").mkdir(parents=True)
    (root / "werk.toml").write_text('[project]\nname = "counts"\nid = "prj_counts"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "delays" / "counting.py").write_text("def count():\n    return 1\n")
    (root / "delays" / "old.py").write_text("unused = True\n")
    (root / "picture.bin").write_bytes(bytes(range(256)))
    git(root, "init", "-q")
    git(root, "add", "-A")
    git(root, "commit", "-qm", "first")
    (root / "delays" / "counting.py").write_text("from delays.start import START\n\n\ndef count():\n    return START\n")
    (root / "delays" / "start.py").write_text("START = 3\n")
    (root / "delays" / "old.py").unlink()
    (root / "werk.toml").write_text('[project]\nname = "counts"\nid = "prj_counted"\n')
    git(root, "add", "werk.toml")
    (root / "picture.bin").write_bytes(bytes(range(255, -1, -1)))
    return root


def test_commit_and_diff_checked_out_elsewhere_give_the_code_that_ran(repository: Path, tmp_path: Path) -> None:
    run = ran(repository, tmp_path / "home")
    code = CodeTree(**{**run["code"], "left_out": tuple(run["code"]["left_out"])})
    assert (code.commit, code.dirty, code.left_out) == (git(repository, "rev-parse", "HEAD"), True, ())
    shown = werk(repository, tmp_path / "home", "show", run["run"], "--uncommitted")
    assert shown.returncode == 0, shown.stderr
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "clone", "-q", str(repository), str(elsewhere))
    git(elsewhere, "checkout", "-q", str(code.commit))
    before = ran(elsewhere, tmp_path / "other")
    git(elsewhere, "apply", "-", data=shown.stdout)
    again = ran(elsewhere, tmp_path / "other")
    assert hashes(before)["first"] != hashes(run)["first"]
    assert hashes(again) == hashes(run)
    assert again["code"]["tree"] == code.tree != before["code"]["tree"]


def test_a_run_without_changes_says_so(repository: Path, tmp_path: Path) -> None:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "second")
    run = ran(repository, tmp_path / "home")
    code, head = run["code"], git(repository, "rev-parse", "HEAD")
    assert (code["commit"], code["dirty"], code["diff_sha256"]) == (head, False, None)
    asked = ("show", run["run"], "--uncommitted")
    assert werk(repository, tmp_path / "home", *asked).stdout == f"nothing uncommitted: {head} holds the code of {run['run']}\n"
    assert json.loads(werk(repository, tmp_path / "home", *asked, "--json").stdout)["patch"] == ""


def test_the_patch_is_of_the_run_whatever_has_been_committed_since(repository: Path, tmp_path: Path) -> None:
    run = ran(repository, tmp_path / "home")
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "second")
    found = json.loads(werk(repository, tmp_path / "home", "show", run["run"], "--uncommitted", "--json").stdout)
    assert "+START = 3\n" in found["patch"]
    assert found["commit"] == git(repository, "rev-parse", "HEAD~1")


def test_without_a_repository_there_is_no_patch(repository: Path, tmp_path: Path) -> None:
    """Neither of a run that had none, nor of one whose repository is gone."""
    run = ran(repository, tmp_path / "home")
    shutil.rmtree(repository / ".git")
    gone = werk(repository, tmp_path / "home", "show", run["run"], "--uncommitted", "--json")
    assert (gone.returncode, gone.stdout, json.loads(gone.stderr)["code"]) == (2, "", "repository-missing")
    later = ran(repository, tmp_path / "home")
    none = werk(repository, tmp_path / "home", "show", later["run"], "--uncommitted", "--json")
    assert (none.returncode, none.stdout, json.loads(none.stderr)["code"]) == (2, "", "run-uncommitted")
    assert "not in a git repository" in json.loads(none.stderr)["error"]
    unknown = werk(repository, tmp_path / "home", "show", "run_0", "--uncommitted", "--json")
    assert (unknown.returncode, json.loads(unknown.stderr)["code"]) == (2, "run-unknown")
