"""What every new use case gets for an editor and for CI can be read, is the same everywhere, and does what it says."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from werk.app import every_project, pinned
from werk.app.commands.projects import create, init

TEMPLATES = ["flights", "flights-pandas", "per-key", "series"]
PLACES = (".vscode/launch.json", ".github/workflows/werk.yml", ".gitlab-ci.yml")


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    frame = pl.DataFrame({"id": range(400), "hot": [at % 2 for at in range(400)], "size": [at % 7 + at % 2 for at in range(400)]})
    frame.write_csv("it's mine.csv")
    init("own", None, Path("it's mine.csv"), "hot", ["id"])
    return tmp_path / "own"


def commands(project: Path) -> list[str]:
    """What both files tell their machines to do, which is the same."""
    github: Any = yaml.safe_load((project / ".github/workflows/werk.yml").read_text(encoding="utf-8"))
    gitlab: Any = yaml.safe_load((project / ".gitlab-ci.yml").read_text(encoding="utf-8"))
    run = [step["run"] for step in github["jobs"]["check"]["steps"] if "run" in step]
    assert run == gitlab["check"]["script"]
    assert github["env"] == gitlab["check"]["variables"]
    return run


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_is_tested_and_trained_up_to_the_gate(template: str, tmp_path: Path) -> None:
    create(tmp_path / "mine", template)
    said = commands(tmp_path / "mine")
    assert said[:3] == ['pip install -q "$WERK" pytest', "python -m pytest -q tests", "werk doctor"]
    assert said[-1] == "werk run training"
    landed = [command.split()[-1] for command in said if command.startswith("werk ingest")]
    assert landed
    assert all((tmp_path / "mine" / name).is_file() for name in landed)


def test_rows_that_lie_elsewhere_are_not_asked_for(own: Path) -> None:
    assert commands(own)[1:] == ["python -m pytest -q tests", "werk doctor"]


def test_an_editor_starts_a_pipeline_and_the_tests(own: Path) -> None:
    told = json.loads((own / ".vscode/launch.json").read_text(encoding="utf-8"))
    assert [(one["module"], one["args"][0]) for one in told["configurations"]] == [("werk", "run"), ("pytest", "-q")]


def test_what_is_there_already_is_left(tmp_path: Path) -> None:
    create(tmp_path / "one", "series")
    for place in PLACES:
        assert "VERSION" not in (tmp_path / "one" / place).read_text(encoding="utf-8")
        (tmp_path / "one" / place).write_text("mine")
    every_project.add(tmp_path / "one")
    assert [(tmp_path / "one" / place).read_text() for place in PLACES] == ["mine"] * 3


def test_the_commands_do_what_they_say(tmp_path: Path) -> None:
    create(tmp_path / "mine", "series")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    variables |= {"WERK_HOME": str(tmp_path / "home"), "PATH": path}
    shell = shutil.which("sh")
    assert shell
    for command in commands(tmp_path / "mine")[1:]:  # what pip installs is what runs these tests
        done = subprocess.run(
            [shell, "-ec", command],
            cwd=tmp_path / "mine",
            env=variables,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"


def test_under_a_debugger_the_process_stays_and_says_that_its_hash_seed_is_not_pinned(tmp_path: Path) -> None:
    script = (
        "import os, sys; sys.settrace(lambda *given: None); print('begun', flush=True); from werk.app import pinned; "
        "pinned.begin_again(['run', 'training']); print(os.environ.get('PYTHONHASHSEED'), os.environ['OMP_NUM_THREADS'])"
    )
    variables = {name: value for name, value in os.environ.items() if name not in ("PYTHONHASHSEED", "OMP_NUM_THREADS")}
    said = subprocess.run([sys.executable, "-c", script], env=variables, capture_output=True, text=True, check=True).stdout
    assert said == "begun\nNone 1\n"


PIPELINES = """
from werk import pipeline, step


@step("count")
def count(number: int) -> int:
    doubled = number * 2
    return doubled


@pipeline
def counting(number: int = 21):
    count(number)
"""


class Editor:
    """What an editor says to debugpy and hears from it (Debug Adapter Protocol)."""

    def __init__(self, port: int) -> None:
        self._socket = self._connected(port)
        self._file = self._socket.makefile("rwb")
        self._said = 0

    @staticmethod
    def _connected(port: int) -> socket.socket:
        for _ in range(300):
            with suppress(ConnectionRefusedError):
                return socket.create_connection(("127.0.0.1", port), timeout=60)
            time.sleep(0.1)
        raise AssertionError("debugpy listens to nobody.")

    def say(self, command: str, **arguments: Any) -> None:
        self._said += 1
        body = json.dumps({"seq": self._said, "type": "request", "command": command, "arguments": arguments}).encode()
        self._file.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self._file.flush()

    def heard(self, what: str) -> dict[str, Any]:
        """The next answer or event of that name; others are passed over."""
        while True:
            header = self._file.readline()
            size = int(header.split(b":")[1])
            self._file.readline()
            message: dict[str, Any] = json.loads(self._file.read(size))
            if what in (message.get("event"), message.get("command")):
                return message

    def close(self) -> None:
        self._file.close()
        self._socket.close()


def test_a_breakpoint_stops_a_step_in_the_editor(tmp_path: Path) -> None:
    (tmp_path / "werk.toml").write_text('[project]\nname = "stop"\nid = "prj_stop"\n')
    (tmp_path / "pipelines.py").write_text(PIPELINES)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    variables = {name: value for name, value in os.environ.items() if name not in pinned.pins()}
    variables |= {"WERK_HOME": str(tmp_path.parent / "home")}
    debugger = [sys.executable, "-m", "debugpy", "--listen", f"127.0.0.1:{port}", "--wait-for-client"]
    command = [*debugger, "-m", "werk", "run", "counting", "--in-process"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        editor = Editor(port)
        try:
            editor.say("initialize", adapterID="debugpy", pathFormat="path")
            editor.heard("initialize")
            editor.say("attach", justMyCode=True)
            editor.heard("initialized")
            line = PIPELINES.splitlines().index("    return doubled") + 1
            editor.say("setBreakpoints", source={"path": str(tmp_path / "pipelines.py")}, breakpoints=[{"line": line}])
            editor.say("configurationDone")
            thread = editor.heard("stopped")["body"]["threadId"]
            editor.say("stackTrace", threadId=thread)
            frame = editor.heard("stackTrace")["body"]["stackFrames"][0]
            assert (Path(frame["source"]["path"]).name, frame["line"]) == ("pipelines.py", line)
            editor.say("evaluate", expression="number, doubled", frameId=frame["id"])
            assert editor.heard("evaluate")["body"]["result"] == "(21, 42)"
            editor.say("continue", threadId=thread)
            assert process.wait(60) == 0
        finally:
            editor.close()
            process.kill()
