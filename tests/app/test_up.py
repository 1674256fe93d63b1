"""`werk up` keeps a project going whatever is killed, leaves nothing behind, and carries the whole journey."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[engine]
use = "journal"
lease_s = 2

[[trigger]]
name = "after-landing"
on = "table.written"
where = {table = "raw.more"}
pipeline = "rides"
"""
PIPELINES = """
import time
from pathlib import Path

import polars as pl

from werk import pipeline, step

HERE = Path(__file__).parent


@step("load")
def load(*, tables) -> int:
    return tables.scan("raw.rides").collect().height


@step("dwell", cache=False)
def dwell(rows: int, *, context) -> int:
    with (HERE / ".werk" / "executed").open("a") as file:
        file.write(context.run + "\\n")
    while (HERE / "wait").exists():
        time.sleep(0.05)
    return rows


@pipeline
def rides():
    dwell(load())
"""
DEADLINE_S = 90.0


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    root = tmp_path / "rides"
    root.mkdir()
    (root / "werk.toml").write_text(SETTINGS)
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "rides.csv").write_text("id,km\n1,2.5\n")
    done(root, "ingest", "raw.rides", "rides.csv")
    return root


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "werk.app.cli", *words]


def done(root: Path, *words: str, code: int = 0, **env: str) -> str:
    """What a command prints that must end with this code."""
    ended = subprocess.run(command(*words), cwd=root, env={**os.environ, **env}, capture_output=True, text=True, check=False)
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout


def until(holds: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + DEADLINE_S
    while not (found := holds()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.05)
    return found


class Up:
    """A running `werk up` and what it has said."""

    def __init__(self, root: Path) -> None:
        self.said: list[str] = []
        self.process = subprocess.Popen(
            command("up", "--port", "0"), cwd=root, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.said.append(line.rstrip())

    def hears(self, pattern: str, after: int = 0) -> re.Match[str]:
        """The first line from the given one on that the pattern is found in."""
        found: re.Match[str] = until(
            lambda: next(filter(None, (re.search(pattern, line) for line in self.said[after:])), None),
            f"{pattern!r} in {self.said}",
        )
        return found

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(DEADLINE_S)
        self._reader.join(DEADLINE_S)
        return code


@contextmanager
def up_in(root: Path) -> Iterator[Up]:
    up = Up(root)
    try:
        yield up
    finally:
        if up.process.poll() is None:
            up.stop()


def answers(url: str, path: str = "/healthz") -> bool:
    with contextlib.suppress(OSError, urllib.error.URLError), urllib.request.urlopen(url + path, timeout=5) as answer:
        return bool(answer.status == 200)
    return False


def alive(pid: int) -> bool:
    """A zombie that nobody has asked for yet is dead."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def runs(root: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(done(root, "runs", "--json"))
    return found


def executed(root: Path) -> list[str]:
    file = root / ".werk" / "executed"
    return file.read_text().split() if file.exists() else []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_stops_cleanly_and_its_server_with_it(project: Path, number: signal.Signals) -> None:
    with up_in(project) as up:
        server = int(up.hears(r"server: process (\d+)")[1])
        url = up.hears(r"ready at (\S+)")[1]
        assert answers(url)
        assert up.stop(number) == 0
        assert not alive(server)
        assert not answers(url)
        assert up.said[-1] == "up: stopped"
        assert not any("Traceback" in line for line in up.said)


def test_a_killed_server_comes_back_at_the_same_address(project: Path) -> None:
    with up_in(project) as up:
        server, url = int(up.hears(r"server: process (\d+)")[1]), up.hears(r"ready at (\S+)")[1]
        for _ in range(2):
            before = len(up.said)
            os.kill(server, signal.SIGKILL)
            up.hears("ended with -9", before)
            server = int(up.hears(r"server: process (\d+)", before)[1])
            assert up.hears(r"ready at (\S+)", before)[1] == url
            assert answers(url)
        assert not answers(url, "/ping")  # nothing is deployed, and it says so


def test_killed_itself_it_leaves_nothing_behind_and_can_be_started_again(project: Path) -> None:
    with up_in(project) as up:
        server = int(up.hears(r"server: process (\d+)")[1])
        up.hears("ready at")
        assert up.stop(signal.SIGKILL) == -signal.SIGKILL
        until(lambda: not alive(server), "the server to end with its parent")
    with up_in(project) as again:
        again.hears("ready at")


def test_a_second_one_says_so(project: Path) -> None:
    with up_in(project) as up:
        up.hears("ready at")
        ended = subprocess.run(command("up"), cwd=project, capture_output=True, text=True, check=False)
        assert ended.returncode == 2
        assert "[up-running]" in ended.stderr
        assert "\n  next: " in ended.stderr
        assert up.process.poll() is None


def test_a_port_in_use_ends_it_with_the_servers_words(project: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        ended = subprocess.run(command("up", "--port", port), cwd=project, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "[port-in-use]" in ended.stderr
    assert "[server-unstartable]" in ended.stderr


def test_a_killed_workers_run_is_gone_on_with_and_so_is_that_workers(project: Path) -> None:
    (project / "wait").touch()
    with up_in(project) as up:
        worker = subprocess.Popen(command("run", "rides"), cwd=project, stderr=subprocess.DEVNULL)
        until(lambda: len(executed(project)) == 1, "the first worker")
        worker.kill()
        worker.wait()
        second = int(up.hears(r"worker is gone; process (\d+)")[1])
        until(lambda: len(executed(project)) == 2, "the second worker")
        before = len(up.said)
        os.kill(second, signal.SIGKILL)
        up.hears("its worker ended with -9", before)
        up.hears(r"worker is gone; process (\d+)", before)
        until(lambda: len(executed(project)) == 3, "the third worker")
        (project / "wait").unlink()
        up.hears(r"run_\w+: finished")
    assert [run["status"] for run in runs(project)] == ["finished"]
    assert json.loads(done(project, "audit", "verify", "--json"))["ok"]


def test_stopped_in_a_step_it_leaves_the_run_to_the_next_one(project: Path) -> None:
    (project / "wait").touch()
    worker = subprocess.Popen(command("run", "rides"), cwd=project, stderr=subprocess.DEVNULL)
    until(lambda: len(executed(project)) == 1, "the worker")
    worker.kill()
    worker.wait()
    with up_in(project) as up:
        second = int(up.hears(r"worker is gone; process (\d+)")[1])
        until(lambda: len(executed(project)) == 2, "the second worker")
        assert up.stop() == 0
        assert not alive(second)
    (project / "wait").unlink()
    with up_in(project) as up:
        up.hears(r"run_\w+: finished")
    assert len(executed(project)) == 3


def test_a_run_stopped_by_hand_stays_stopped(project: Path) -> None:
    (project / "wait").touch()
    worker = subprocess.Popen(command("run", "rides"), cwd=project, stderr=subprocess.DEVNULL)
    until(lambda: len(executed(project)) == 1, "the worker")
    worker.send_signal(signal.SIGINT)
    assert worker.wait(DEADLINE_S) == 130
    with up_in(project) as up:
        up.hears("ready at")
        time.sleep(3)
        assert not any("worker is gone" in line for line in up.said)
    assert len(executed(project)) == 1


def test_a_trigger_whose_command_died_is_started(project: Path) -> None:
    """The fact is there and nobody has come to what it asks for: as after a kill between the two."""
    settings = (project / "werk.toml").read_text()
    (project / "werk.toml").write_text(settings.split("[[trigger]]")[0])
    done(project, "ingest", "raw.more", "rides.csv")
    (project / "werk.toml").write_text(settings)
    with up_in(project):
        until(lambda: [run["status"] for run in runs(project)] == ["finished"], "the triggered run")
    assert len(executed(project)) == 1


def test_the_journey(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """B05: init, up, ingest, training, approval, batch inference; predictions in a table, and the server answers."""
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("WERK_TOKEN", raising=False)
    done(tmp_path, "init", "delay")
    root = tmp_path / "delay"
    with up_in(root) as up:
        url = up.hears(r"ready at (\S+)")[1]
        for table in ("airlines", "airports", "planes", "weather", "flights"):
            done(root, "ingest", f"raw.{table}", f"data/{table}.parquet")
        done(root, "run", "training", "-p", "start=2013-04", "-p", "params.rounds=60")
        token = json.loads(done(root, "actor", "add", "bob", "--json"))["token"]
        done(root, "approve", "delay:1", WERK_TOKEN=token)
        done(root, "run", "batch_inference", "-p", "window=2013-07")
        [scored] = json.loads(done(root, "sql", "select count(*) as n from product.predictions", "--json"))
        assert scored["n"] > 20_000
        until(lambda: answers(url, "/ping"), "the deployed model")
        assert up.stop() == 0
