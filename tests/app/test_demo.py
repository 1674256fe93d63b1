"""The demo as somebody meets it who has just installed werk: what is printed works when it is typed, and Ctrl-C ends it all."""

from __future__ import annotations

import json
import os
import pty
import re
import secrets
import select
import shlex
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from werk.app import cli
from werk.app.commands import history, projects, realtime
from werk.core.errors import InputError

DEMO = "import json, sys; from pathlib import Path; from werk.app.commands.demo import demo; "
DEMO += "demo(Path('flight-delay'), **json.loads(sys.argv[1]))"
# What a shell does with its first program: a session of its own, whose terminal sends SIGINT to the whole process group.
LEAD = "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
MONTHS = ["2013-09"]  # the one that retrains
DEADLINE_S = 240.0


def walk(**given: object) -> list[str]:
    return [sys.executable, "-c", DEMO, json.dumps({"months": MONTHS, **given})]


@dataclass(slots=True)
class Terminal:
    """A program at a terminal of its own; `said` is what it has printed so far."""

    process: subprocess.Popen[bytes]
    screen: int
    said: str = field(default="")

    def until(self, word: str) -> str:
        deadline = time.monotonic() + DEADLINE_S
        while word not in self.said:
            assert time.monotonic() < deadline, self.said[-2000:]
            assert self._read(), f"it ended before it said {word}: {self.said[-2000:]}"
        return self.said

    def ctrl_c(self) -> int:
        """Type it, and wait for the end."""
        os.write(self.screen, b"\x03")
        while self._read():
            pass
        return self.process.wait(30)

    def _read(self) -> bool:
        with suppress(OSError):  # the other side has closed
            asked = select.poll()  # not `select.select`: it takes no file whose number is above 1,023
            asked.register(self.screen, select.POLLIN)
            if asked.poll(60_000):
                part = os.read(self.screen, 65536)
                self.said += part.decode().replace("\r\n", "\n")
                return bool(part)
        return False


@contextmanager
def terminal(command: Sequence[str], place: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    ours, theirs = pty.openpty()
    leader = [sys.executable, "-c", LEAD, *command]
    process = subprocess.Popen(leader, cwd=place, env=environment, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Marked, so that whatever is left running can be found."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    return {**kept, "WERK_HOME": str(tmp_path / "home"), "WERK_MARK": secrets.token_hex(8), "COLUMNS": "200"}


def left_running(environment: dict[str, str]) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if environment["WERK_MARK"].encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
    return found


def typed(log: str) -> list[list[str]]:
    """The words of every werk command that a log shows."""
    lines = [line.strip() for line in log.splitlines() if line.strip().startswith("$ werk ")]
    return [shlex.split(line, comments=True)[2:] for line in lines]


def versions(root: Path, environment: dict[str, str]) -> Any:
    command = [sys.executable, "-m", "werk.app.cli", "models", "--json"]
    return json.loads(subprocess.run(command, cwd=root, env=environment, capture_output=True, check=True).stdout)


def test_the_demo_from_a_newcomers_seat(tmp_path: Path, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """First without a terminal, then at one; in one test, because the first run is the dear part."""
    first = subprocess.run(walk(), cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=DEADLINE_S)
    assert first.returncode == 0, first.stderr
    assert left_running(environment) == []
    assert first.stdout.count("equal bit for bit") == 2
    numbers = re.search(r"== Done: (\d+) s, peak memory (\d\.\d) GB", first.stdout)
    assert numbers
    assert 0.2 < float(numbers[2]) <= 2.0
    assert "Human acts: 2 approval(s) this time." in first.stdout
    commands_are_real(first.stdout, monkeypatch)
    history_begins(first.stdout, tmp_path / "flight-delay")
    hints_work(first.stdout, tmp_path / "flight-delay", environment)
    before = versions(tmp_path / "flight-delay", environment)
    head = committed(tmp_path / "flight-delay", "rev-parse", "HEAD")
    at_a_terminal(tmp_path, environment)
    assert committed(tmp_path / "flight-delay", "rev-parse", "HEAD") == head
    assert versions(tmp_path / "flight-delay", environment) == before


def committed(root: Path, *words: str) -> str:
    return subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=True).stdout.strip()


def history_begins(log: str, root: Path) -> None:
    """The lineage leads to a commit that holds all of the code, and nothing that is not code."""
    head = committed(root, "rev-parse", "HEAD")
    assert re.search(rf"^code       tree [0-9a-f]{{12}}, commit {head}$", log, re.MULTILINE)
    assert "with uncommitted changes" not in log
    held = committed(root, "ls-files").splitlines()
    assert {"pipelines.py", "werk.toml", "gate.toml", ".gitignore"} <= set(held)
    assert not [name for name in held if name.startswith((".werk", "lake", ".env", "story"))]
    assert committed(root, "status", "--porcelain") == ""
    assert next(line for line in log.splitlines() if line.startswith("$ git ")) == "$ git init -q"


@pytest.mark.parametrize("place", ["in a repository", "without git", "in none"])
def test_a_history_begins_only_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str) -> None:
    """In somebody's repository nothing is committed, and no identity and no hook of theirs is needed or asked."""
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    (tmp_path / "case").mkdir()
    (tmp_path / "case" / ".env").write_text("OTHER_API_KEY=horse-battery-7\n")
    (tmp_path / "case" / ".gitignore").write_text(projects.IGNORED)
    if place == "in a repository":
        committed(tmp_path, "init", "-q")
    if place == "without git":
        monkeypatch.setenv("PATH", "")
    history.begin(tmp_path / "case")
    monkeypatch.undo()
    assert (tmp_path / "case" / ".git").exists() == (place == "in none")
    if place == "in none":
        assert committed(tmp_path / "case", "ls-tree", "--name-only", "HEAD") == ".gitignore"
        assert committed(tmp_path / "case", "log", "--format=%an %ae") == "werk demo demo@werk.invalid"


def commands_are_real(log: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is parsed by the command line itself, up to the call of its work."""
    called: list[str] = []
    with monkeypatch.context() as patch:
        patch.setattr(cli, "_do", lambda command, as_json, **given: called.append(command))
        for words in typed(log):
            assert not cli.app(words, standalone_mode=False), words
    assert len(called) == len(typed(log)) > 20
    assert {"projects.init", "runs.run", "models.approve", "serve.serve", "rebuild.rebuild", "demo.demo"} <= set(called)


def hints_work(log: str, root: Path, environment: dict[str, str]) -> None:
    """The closing words, typed as they stand."""
    hints = [line.strip() for line in log.splitlines() if line.startswith("  $ werk ")]
    assert 3 <= len(hints) <= 5
    path = {**environment, "PATH": f"{Path(sys.executable).parent}:{environment['PATH']}"}
    for hint in hints:
        if " run " not in hint and " demo " not in hint:  # they work for long, and are run elsewhere
            done = subprocess.run(["sh", "-c", hint.removeprefix("$ ")], cwd=root, env=path, capture_output=True, text=True)
            assert done.returncode == 0, (hint, done.stderr)
            assert done.stdout.strip()


def at_a_terminal(place: Path, environment: dict[str, str]) -> None:
    """The second time no token was shown, the wanted port is taken, and still everything that is printed can be pasted."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with terminal(walk(port=port), place, environment) as screen:
            log = screen.until("ready at ")
            assert f"port {port} is in use: taking " in log
            assert "Human acts: 0 approval(s) this time." in log
            pasted(log, place, environment)
            assert screen.ctrl_c() == 0
    assert "Traceback" not in screen.said
    assert left_running(environment) == []


def pasted(log: str, place: Path, environment: dict[str, str]) -> None:
    scored = re.search(r"product\.predictions +(0\.\d+) ", log)
    assert scored
    for start in ("curl ", "python3 "):
        (line,) = [line for line in log.splitlines() if line.startswith(start)]
        done = subprocess.run(["sh", "-c", line], cwd="/", env={"PATH": environment["PATH"]}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        answer = said["predictions"][0] if "predictions" in said else said["outputs"][0]["data"][0]
        assert repr(answer) == scored[1]
    assert "https://" in log
    (header,) = (place / "home").glob("callers/*.header")
    assert stat.S_IMODE(header.stat().st_mode) == 0o600
    assert header.read_text().strip().rpartition(" ")[2] not in log


def test_ctrl_c_in_the_middle_ends_the_whole_demo(tmp_path: Path, environment: dict[str, str]) -> None:
    command = [sys.executable, "-m", "werk.app.cli", "demo", "flight-delay"]
    with terminal(command, tmp_path, environment) as screen:
        screen.until("feature-engineering")
        assert screen.ctrl_c() == 130
    assert "stopped; nothing is lost" in screen.said
    assert "Traceback" not in screen.said
    assert "A good one" not in screen.said
    assert left_running(environment) == []


def test_a_port_that_is_free_is_taken_as_it_is() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
        assert realtime.free_port(port) != port
    assert realtime.free_port(port) == port
    assert realtime.free_port(0) > 1023


def test_an_unknown_profile_is_named_before_anything_is_landed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match="profile"):
        cli.app(["demo", "flight-delay", "--profile", "taem"], standalone_mode=False)
    assert not (tmp_path / "flight-delay" / "lake").exists()
    assert "WERK_PROFILE" not in os.environ
