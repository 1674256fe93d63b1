"""A step that ran out of memory says how much it held and might hold; of one that was killed, what can be known is said."""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import werk as werk_
from werk.app.step_memory import last_words, watcher
from werk.core.errors import Failed
from werk.workflow import StepContext
from werk.workflow.memory import Limit, Memory

PIPELINES = """
import os
import time
from pathlib import Path

from werk import pipeline, step


@step("fill")
def fill(count: int) -> int:
    return len(bytearray(count))


@step("wait")
def wait(there: str) -> int:
    kept = bytearray(60_000_000)
    if Path(there).exists():
        return 0
    Path(there).touch()
    while Path(there).exists():
        time.sleep(0.05)
    return len(kept)


@pipeline
def filling(count: int):
    fill(count)


@pipeline
def waiting(there: str):
    wait(there)
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "heavy"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "heavy"\nid = "prj_heavy"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    return root


def werk(project: Path, *words: str, limit: int | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "werk", *words]
    before = (lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit))) if limit else None
    return subprocess.run(
        command,
        cwd=project,
        env=environment(project),
        preexec_fn=before,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def environment(project: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    return {**kept, "WERK_HOME": str(project.parent / "home"), "COLUMNS": "200"}


def test_a_step_that_asks_for_more_than_it_may_have_says_both(project: Path) -> None:
    said = werk(project, "run", "filling", "-p", f"count={10**11}", limit=6 * 10**9)
    assert said.returncode == 1
    assert "MemoryError; it held " in said.stderr
    assert "and might hold 6.0 GB (its limit of address space, ulimit)" in said.stderr
    [run] = json.loads(werk(project, "runs", "--json").stdout)
    error = json.loads(werk(project, "show", run["run"], "--json").stdout)["error"]
    assert "and might hold 6.0 GB" in error["message"]


def test_of_a_killed_process_what_can_be_known_is_said_until_it_goes_on(project: Path) -> None:
    there = project.parent / "there"
    command = [sys.executable, "-m", "werk", "run", "waiting", "-p", f"there={there}"]
    with subprocess.Popen(command, cwd=project, env=environment(project), stderr=subprocess.DEVNULL) as process:
        until(there.exists)
        time.sleep(0.5)  # its memory is looked at a few times a second
        [run] = json.loads(werk(project, "runs", "--json").stdout)
        assert "was killed" not in werk(project, "logs", run["run"]).stdout
        process.kill()
    for command_ in ("logs", "show"):
        said = werk(project, command_, run["run"]).stdout
        assert "The process of 'wait' was killed: it held " in said
        assert "this machine" in said or "control group" in said or "ulimit" in said
    [sentence] = last_words(project, run["run"])
    assert int(sentence.split("it held ")[1].split(" MB at least")[0]) > 100
    resumed = until_resumed(project, run["run"])
    assert sentence in resumed.stderr
    assert last_words(project, run["run"]) == []
    assert list((project / ".werk" / "logs").rglob("*.memory")) == []


def until(holds: Callable[[], bool]) -> None:
    for _ in range(600):
        if holds():
            return
        time.sleep(0.1)
    raise AssertionError("It never came.")


def until_resumed(project: Path, run: str) -> subprocess.CompletedProcess[str]:
    """The lease of the killed process ends by itself."""
    for _ in range(60):
        done = werk(project, "resume", run)
        if done.returncode == 0:
            return done
        time.sleep(1)
    raise AssertionError(done.stderr)


def test_a_notebook_whose_run_was_killed_hears_why(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (project / "pipelines.py").write_text(
        PIPELINES.replace("    return len(bytearray(count))", "    time.sleep(0.5)\n    os.kill(os.getpid(), 9)")
    )
    monkeypatch.setenv("WERK_HOME", str(project.parent / "home"))
    with pytest.raises(Failed, match="The process of 'fill' was killed: it held ") as ended:
        werk_.open(project).start("filling", count=1)
    assert ended.value.code == "run-ended"


# --- a machine that is told of ---

STATUS = "Name:\tpython\nVmHWM:\t {} kB\n"
VERSION_2 = {"proc/self/cgroup": "0::/batch/job\n", "sys/fs/cgroup/batch/memory.max": "2000000000\n"}
VERSION_1 = {
    "proc/self/cgroup": "7:cpu,cpuacct:/job\n5:memory:/job\n",
    "sys/fs/cgroup/memory/job/memory.limit_in_bytes": "1500000000\n",
    "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
}


def machine(root: Path, **files: str) -> Memory:
    told = {
        "proc/self/status": STATUS.format(812_000),
        "proc/meminfo": "MemTotal:       16000000 kB\nMemFree: 1 kB\n",
        "proc/vmstat": "nr_free_pages 1\noom_kill 3\n",
        "proc/sys/kernel/random/boot_id": "one\n",
        "proc/self/stat": f"{os.getpid()} (a (b) c) S {' '.join(map(str, range(1, 40)))}\n",
        "proc/self/limits": "Limit  Soft Limit  Hard Limit  Units\nMax address space  unlimited  unlimited  bytes\n",
    }
    for name, text in {**told, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return Memory(root)


@pytest.mark.parametrize(
    ("files", "limit"),
    [
        ({}, Limit(16_384_000_000, "this machine's memory")),
        (VERSION_2, Limit(2_000_000_000, "its control group /batch")),
        (VERSION_1, Limit(1_500_000_000, "its control group /job")),
        (
            {"proc/self/limits": "Max data size   1000000   unlimited  bytes\n"},
            Limit(1_000_000, "its limit of data size, ulimit"),
        ),
        ({**VERSION_2, "sys/fs/cgroup/batch/memory.max": "max\n"}, Limit(16_384_000_000, "this machine's memory")),
    ],
    ids=["machine", "version 2", "version 1", "ulimit", "no limit"],
)
def test_the_smallest_limit_holds(tmp_path: Path, files: dict[str, str], limit: Limit) -> None:
    assert machine(tmp_path, **files).limit() == limit


def left(root: Path, memory: Memory) -> None:
    """What a process leaves that is killed in its step."""
    path = root / ".werk" / "logs" / "run_1" / "train.1.memory"
    context = StepContext(run="run_1", step="train", pins={}, root=root)
    with watcher(root, memory)(context):
        shutil.copy(path, path.with_suffix(".kept"))
    path.parent.mkdir(exist_ok=True)
    path.with_suffix(".kept").rename(path)


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({"proc/vmstat": "oom_kill 4\n"}, "the kernel has killed a process of this machine for want of memory since it began"),
        (
            {"sys/fs/cgroup/batch/job/memory.events": "oom 2\noom_kill 7\n"},
            "the kernel has killed 2 processes of its control group /batch/job for want of memory since it began",
        ),
        ({}, "the kernel has killed nothing for want of memory since it began, so something else ended it"),
        ({"proc/sys/kernel/random/boot_id": "two\n"}, "the machine has been started again since, or is another one"),
    ],
    ids=["machine", "control group", "something else", "started again"],
)
def test_only_what_was_seen_is_said(tmp_path: Path, files: dict[str, str], says: str) -> None:
    group = {**VERSION_2, "sys/fs/cgroup/batch/job/memory.events": "oom 0\noom_kill 5\n"}
    memory = machine(tmp_path / "machine", **group)
    project = tmp_path / "project"
    left(project, memory)
    machine(tmp_path / "machine", **{**group, **files})
    [sentence] = last_words(project, "run_1", memory)
    held = "it held 831 MB at least, and might hold 2.0 GB (its control group /batch)"
    assert sentence == f"The process of 'train' was killed: {held}; {says}."


def test_where_nothing_is_known_nothing_is_said(tmp_path: Path) -> None:
    memory = Memory(tmp_path / "empty")
    with watcher(tmp_path, memory)(StepContext(run="run_1", step="train", pins={}, root=tmp_path)):
        assert list(tmp_path.rglob("*.memory")) == []
    assert (memory.limit(), memory.peak_bytes(), memory.kills()) == (None, None, {})
    assert last_words(tmp_path, "run_1", memory) == []


@pytest.mark.parametrize(
    "text", ["", "12", "x\n{}\n", "00012\n{broken\n", "00012\n[]\n"], ids=["empty", "cut", "word", "json", "list"]
)
def test_a_file_that_was_cut_off_says_nothing(tmp_path: Path, text: str) -> None:
    path = tmp_path / ".werk" / "logs" / "run_1" / "train.1.memory"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    assert last_words(tmp_path, "run_1") == []


def test_a_folder_that_cannot_be_written_stops_no_step(tmp_path: Path) -> None:
    (tmp_path / ".werk").write_text("a file where the folder should be")
    with watcher(tmp_path)(StepContext(run="run_1", step="train", pins={}, root=tmp_path)):
        pass
