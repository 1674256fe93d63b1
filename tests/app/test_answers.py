"""With --json stdout is the answer and nothing else, whoever prints meanwhile; in real processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PIPELINES = """
import ctypes
import logging
import os
import subprocess
import sys
import threading

from werk import pipeline, step

print("while it is imported")
EARLY = sys.stdout


def told_elsewhere():
    print("in a thread", flush=True)


@step("loud", cache=False)
def loud(fail: bool) -> int:
    logging.basicConfig(stream=sys.stdout, level="INFO")
    logging.info("by logging")
    print("by print")
    print("by an earlier stream", file=EARLY)
    print("by the first stream", file=sys.__stdout__)
    os.write(1, b"by number\\n")
    ctypes.CDLL(None).puts(b"by C")
    subprocess.run([sys.executable, "-c", "print('in a process')"], check=True)
    thread = threading.Thread(target=told_elsewhere)
    thread.start()
    thread.join()
    if fail:
        raise ValueError("no")
    return 1


@pipeline
def noise(fail: bool = False):
    loud(fail)
"""
SAID = [
    "while it is imported", "by logging", "by print", "by an earlier stream", "by the first stream", "by number", "by C",
    "in a process", "in a thread",
]  # fmt: skip


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "noise"
    folder.mkdir()
    (folder / "werk.toml").write_text('[project]\nname = "noise"\nid = "prj_noise"\n')
    (folder / "pipelines.py").write_text(PIPELINES)
    return folder


def werk(root: Path, words: str, *, after: str = "") -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "WERK_HOME": str(root.parent / "home")}
    command = ["sh", "-c", f'"$0" -m werk.app.cli {words} {after}', sys.executable]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120, check=False)


def test_only_the_answer_is_on_stdout_and_the_rest_on_stderr(root: Path) -> None:
    done = werk(root, "run noise --json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["status"] == "finished"
    assert [said for said in SAID if said not in done.stderr] == []
    again = werk(root, f"show {json.loads(done.stdout)['run']} --json")
    assert json.loads(again.stdout)["status"] == "finished"


def test_of_a_failure_nothing_is_on_stdout_and_its_error_ends_stderr(root: Path) -> None:
    done = werk(root, "run noise -p fail=true --json")
    assert (done.returncode, done.stdout) == (1, "")
    assert [said for said in SAID if said not in done.stderr] == []
    assert json.loads(done.stderr.splitlines()[-1])["code"] == "step-failed"


def test_without_json_what_a_step_prints_stays_on_stdout(root: Path) -> None:
    done = werk(root, "run noise")
    assert done.returncode == 0, done.stderr
    assert [said for said in SAID if said not in done.stdout] == []


@pytest.mark.parametrize(("closed", "told"), [(">&-", ""), ("2>&-", "[]"), (">&- 2>&-", "")])
def test_a_closed_stream_takes_nothing_of_the_answer(root: Path, closed: str, told: str) -> None:
    """Its number is given to the next file that is opened, so it is no place to write to."""
    done = werk(root, "runs --json", after=closed)
    assert (done.returncode, done.stdout.strip()) == (0, told)
    assert werk(root, "audit verify").returncode == 0
