"""The commit a run names and the diff beside it, checked out elsewhere, give the very code that ran."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from werk.workflow.capture.code import CodeTree, uncommitted

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


def ran(folder: Path, home: Path) -> dict[str, Any]:
    """What a run of the pipeline in this folder recorded."""

    def werk(*words: str) -> str:
        command = [sys.executable, "-m", "werk.app.cli", *words]
        environment = {**os.environ, "WERK_HOME": str(home)}
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True).stdout

    found: dict[str, Any] = json.loads(werk("show", werk("run", "counted").strip(), "--json"))
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
    diff = uncommitted(repository, repository / ".werk" / "code.git", code)
    elsewhere = tmp_path / "elsewhere"
    git(tmp_path, "clone", "-q", str(repository), str(elsewhere))
    git(elsewhere, "checkout", "-q", str(code.commit))
    before = ran(elsewhere, tmp_path / "other")
    git(elsewhere, "apply", "-", data=diff)
    again = ran(elsewhere, tmp_path / "other")
    assert hashes(before)["first"] != hashes(run)["first"]
    assert hashes(again) == hashes(run)
    assert again["code"]["tree"] == code.tree != before["code"]["tree"]


def test_a_run_without_changes_says_so(repository: Path, tmp_path: Path) -> None:
    git(repository, "add", "-A")
    git(repository, "commit", "-qm", "second")
    code = ran(repository, tmp_path / "home")["code"]
    assert (code["commit"], code["dirty"], code["diff_sha256"]) == (git(repository, "rev-parse", "HEAD"), False, None)
