"""`werk debug`: the failing frame with what the run recorded, and nothing of the run, the journal or the project changes."""

from __future__ import annotations

import hashlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINES = """
from helper import share
from werk import pipeline, step


@step("count")
def count(number: int) -> int:
    return number * 7


@step("divide")
def divide(counted: int, by: int) -> float:
    total = counted + 1
    return share(total, by)


@pipeline
def dividing(number: int = 6, by: int = 0):
    divide(count(number), by)
"""
HELPER = "def share(total, by):\n    parts = [total, by]\n    return parts[0] / parts[1]\n"


def werk(project: Path, *words: str, given: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "werk", *words]
    return subprocess.run(
        command, cwd=project, env=environment(project), input=given, capture_output=True, text=True, timeout=120, check=False
    )


def environment(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("WERK_", "PYTHONBREAK"))}
    return {**kept, "WERK_HOME": str(project.parent / "home"), "COLUMNS": "132"}


@pytest.fixture(scope="module")
def failed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A project, its run that failed, and one that did not."""
    root = tmp_path_factory.mktemp("debugging") / "div"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "div"\nid = "prj_div"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "helper.py").write_text(HELPER)
    assert werk(root, "run", "dividing").returncode == 1
    assert werk(root, "run", "dividing", "-p", "by=2").returncode == 0
    runs = {row["status"]: row["run"] for row in json.loads(werk(root, "runs", "--json").stdout)}
    return root, runs["failed"], runs["finished"]


def everything(project: Path) -> str:
    """A digest of every file of the project and of what stands beside it, the database's shared memory aside."""
    seen = hashlib.sha256()
    for path in sorted(p for p in project.parent.rglob("*") if p.is_file() and not p.name.endswith(("-shm", "-wal"))):
        seen.update(f"{path}\0".encode() + path.read_bytes())
    return seen.hexdigest()


def test_the_debugger_stands_in_the_failing_frame_and_nothing_is_changed(failed: tuple[Path, str, str]) -> None:
    project, run, _ = failed
    before = everything(project)
    head = json.loads(werk(project, "status", "--json").stdout)
    said = werk(project, "debug", run, given="p parts\nu\np total, counted, by\nq\n")
    assert said.returncode == 0, said.stderr
    assert "dividing, step 'divide'" in said.stdout
    assert "failed: ZeroDivisionError: division by zero" in said.stdout
    assert "otherwise" not in said.stdout
    assert "[43, 0]" in said.stdout
    assert "(43, 42, 0)" in said.stdout
    assert "environment, since the run" not in said.stdout
    assert json.loads(werk(project, "status", "--json").stdout) == head
    assert everything(project) == before


def test_the_end_of_the_input_ends_it(failed: tuple[Path, str, str]) -> None:
    project, run, _ = failed
    assert werk(project, "debug", run).returncode == 0


def test_on_a_terminal_it_is_the_debugger_one_knows(failed: tuple[Path, str, str]) -> None:
    project, run, _ = failed
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "werk", "debug", run]
    with subprocess.Popen(command, cwd=project, env=environment(project), stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = _until(ours, b"(Pdb)")
        os.write(ours, b"p sum(parts)\n")
        said += _until(ours, b"(Pdb)")
        os.write(ours, b"q\n")
        assert process.wait(60) == 0
    os.close(ours)
    assert b"43\r\n" in said


def _until(terminal: int, words: bytes) -> bytes:
    said = b""
    while words not in said:
        said += os.read(terminal, 4096)
    return said


@pytest.fixture
def changed(failed: tuple[Path, str, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy whose code divides no more by nothing."""
    project, run, _ = failed
    for name in ("div", "home"):
        shutil.copytree(project.parent / name, tmp_path / name)
    (tmp_path / "div" / "helper.py").write_text(HELPER.replace("parts[1]", "(parts[1] or 1)"))
    return tmp_path / "div", run


def test_the_recorded_code_fails_and_the_present_one_does_not(changed: tuple[Path, str]) -> None:
    project, run = changed
    said = werk(project, "debug", run, given="q\n")
    assert said.returncode == 0
    assert "changed since: helper.py" in said.stdout
    assert "failed: ZeroDivisionError" in said.stdout
    mended = werk(project, "debug", run, "--present-code", given="q\n")
    assert mended.returncode == 1
    assert "debug-no-failure" in mended.stderr
    assert "does not fail this time" in mended.stderr


def test_an_input_that_is_gone_is_named(changed: tuple[Path, str]) -> None:
    project, run = changed
    shutil.rmtree(project / ".werk" / "objects")
    said = werk(project, "debug", run, given="q\n")
    assert said.returncode == 1
    assert "given as 'counted'" in said.stderr
    assert "debug-input-gone" in said.stderr


def test_a_step_that_did_not_fail_can_be_stopped_in(failed: tuple[Path, str, str]) -> None:
    project, _, finished = failed
    said = werk(project, "debug", finished, "divide", "--break", given="p counted, by\nn\np total\nq\n")
    assert said.returncode == 0, said.stderr
    assert "(42, 2)" in said.stdout
    assert "43" in said.stdout.rpartition("(42, 2)")[2]


@pytest.mark.parametrize(
    ("words", "code", "named"),
    [(("{finished}",), 2, "--break"), (("{failed}", "dvide"), 2, "divide"), (("run_00000000000000000000",), 2, "run-unknown")],
    ids=["nothing-failed", "step-unknown", "run-unknown"],
)
def test_what_cannot_be_debugged_is_said(failed: tuple[Path, str, str], words: tuple[str, ...], code: int, named: str) -> None:
    project, run, finished = failed
    said = werk(project, "debug", *(word.format(failed=run, finished=finished) for word in words))
    assert (said.returncode, named in said.stderr) == (code, True), said.stderr
