"""What a step prints is kept per attempt, whoever prints it and however it ends, and no secret is in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from werk.app.step_output import HEAD, LOGS, TAIL, Log

SECRET = "hunter2-is-long-enough"
PIPELINES = """
import logging
import os
import subprocess
import sys
import time
from pathlib import Path

from werk import pipeline, step

HERE = Path(__file__).parent


@step("talk")
def talk(number: int) -> int:
    print("from python ü", number)
    logging.getLogger("mine").warning("from logging")
    subprocess.run(["sh", "-c", "echo from a child; echo and its errors >&2"], check=True)
    os.write(1, b"no text: \\xff\\n")
    print("password", os.environ["THE_PASSWORD"])
    return number


@step("silent")
def silent(number: int) -> int:
    return number


@step("fail")
def fail(number: int) -> int:
    print("before the end")
    raise ValueError("on purpose")


@step("again", retries=1)
def again(number: int) -> int:
    tries = len(list(HERE.glob("tried-*")))
    (HERE / f"tried-{tries}").touch()
    print("try", tries)
    if not tries:
        raise ValueError("not yet")
    return number


@step("wait")
def wait(number: int) -> int:
    for at in range(600):
        print("beat", at, flush=True)
        time.sleep(0.1)
    return number


@step("ask")
def ask(number: int) -> int:
    breakpoint()
    return number


@pipeline
def talking(number: int = 1):
    fail(again(silent(talk(number))))


@pipeline
def waiting(number: int = 1):
    wait(number)


@pipeline
def asking(number: int = 1):
    ask(number)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("printing") / "talk"
    root.mkdir()
    settings = '[project]\nname = "talk"\nid = "prj_talk"\n'
    (root / "werk.toml").write_text(settings)
    (root / ".env").write_text(f"THE_PASSWORD={SECRET}\n")
    (root / "pipelines.py").write_text(PIPELINES)
    return root


def started(project: Path, *words: str, **more: object) -> subprocess.Popen[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    environment |= {"WERK_HOME": str(project.parent / "home"), "THE_PASSWORD": SECRET}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.PIPE}
    command = [sys.executable, "-m", "werk", *words]
    return subprocess.Popen(command, cwd=project, env=environment, text=True, errors="replace", **pipes, **more)  # type: ignore[call-overload,no-any-return]


def werk(project: Path, *words: str, given: str = "") -> tuple[str, str, int]:
    with started(project, *words) as process:
        out, err = process.communicate(given, timeout=120)
    return out, err, process.returncode


@pytest.fixture(scope="module")
def talked(project: Path) -> tuple[str, str, str]:
    """The run that failed, and what was shown meanwhile."""
    out, err, code = werk(project, "run", "talking")
    assert code == 1, out + err
    (run,) = [row["run"] for row in json.loads(werk(project, "runs", "--json")[0]) if row["pipeline"] == "talking"]
    return run, out, err


def test_what_a_step_prints_reaches_the_terminal_and_the_log(project: Path, talked: tuple[str, str, str]) -> None:
    run, out, err = talked
    for said in ("from python ü 1", "from a child", "no text: \ufffd", "try 0", "try 1", "before the end"):
        assert said in out
    assert "and its errors" in err
    told, _, code = werk(project, "logs", run)
    assert code == 0
    for said in (
        "from python ü 1",
        "from logging",
        "from a child",
        "and its errors",
        "no text: \ufffd",
        "ValueError: on purpose",
    ):
        assert said in told
    assert told.index("--- talk") < told.index("--- again") < told.index("--- fail")
    assert "--- silent" not in told
    assert "password " in told
    assert SECRET not in told
    assert not [path for path in (project / LOGS).rglob("*.log") if SECRET in path.read_text(errors="replace")]


def test_each_attempt_has_its_own(project: Path, talked: tuple[str, str, str]) -> None:
    run = talked[0]
    assert werk(project, "logs", run, "again")[0] == "try 1\n"
    assert werk(project, "logs", run, "again", "--attempt", "1")[0] == "try 0\n"
    _, err, code = werk(project, "logs", run, "again", "--attempt", "7")
    assert (code, "attempt-unknown" in err) == (2, True)
    _, err, code = werk(project, "logs", run, "agian")
    assert (code, "again" in err) == (2, True)
    record = json.loads(werk(project, "logs", run, "--json")[0])
    assert record["output"]["again"] == {"1": "try 0\n", "2": "try 1\n"}


def test_followed_it_is_shown_while_it_comes_and_kept_when_the_run_is_killed(project: Path) -> None:
    with started(project, "run", "waiting", start_new_session=True) as running:
        log = _first(project / LOGS, "wait.1.log")
        with started(project, "logs", log.parent.name, "--follow") as following:
            assert following.stdout is not None
            seen = [following.stdout.readline() for _ in range(3)]
            assert [line.split()[0] for line in seen] == ["beat"] * 3
            following.send_signal(signal.SIGINT)
            following.communicate(timeout=60)
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate(timeout=60)
    assert "beat 2\n" in werk(project, "logs", log.parent.name, "wait")[0]


def _first(folder: Path, name: str) -> Path:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := list(folder.glob(f"*/{name}")):
            return found[0]
        time.sleep(0.05)
    raise AssertionError(f"no {name}")


def test_a_debugger_has_the_terminal(project: Path) -> None:
    out, err, code = werk(project, "run", "asking", "--in-process", given="p 'the number is', number\nc\n")
    assert code == 0, err
    assert "('the number is', 1)" in out
    assert not list((project / LOGS).glob("*/ask.*"))


@pytest.fixture
def kept(tmp_path: Path) -> tuple[Log, Path]:
    log = Log(tmp_path / "step.1.log", lambda text: text.replace(SECRET, "***"))
    return log, tmp_path / "step.1.log"


@pytest.mark.parametrize("cut", range(1, len(SECRET), 5))
def test_a_secret_that_comes_in_two_parts_is_covered(kept: tuple[Log, Path], cut: int) -> None:
    log, path = kept
    keep = log.part()
    for data in ("x" * 10_000, f"key {SECRET[:cut]}", f"{SECRET[cut:]} ü"):
        keep(data.encode()[:-1])
        keep(data.encode()[-1:])
    log.close()
    text = path.read_text()
    assert text.endswith("key *** ü")
    assert SECRET[:cut] not in text.replace("***", "")[10_000:] or len(SECRET[:cut]) < 4


def test_of_very_much_the_beginning_and_the_end_are_kept(kept: tuple[Log, Path]) -> None:
    log, path = kept
    keep = log.part()
    keep(b"first\n")
    for _ in range(40):
        keep(b"y" * 1_000_003)  # no line ends here
    keep(b"\nlast\n")
    log.close()
    data = path.read_bytes()
    assert HEAD + TAIL <= len(data) < HEAD + 3 * TAIL
    assert (data[:6], data[-6:]) == (b"first\n", b"\nlast\n")
    left = int(data.split(b"\n... ")[1].split(b" bytes left out")[0].replace(b",", b""))
    marker = len(f"\n... {left:,} bytes left out ...\n")
    assert len(data) - marker + left == 6 + 40 * 1_000_003 + 6


def test_who_prints_nothing_leaves_no_file(kept: tuple[Log, Path]) -> None:
    log, path = kept
    log.part()(b"")
    log.close()
    assert not path.exists()
