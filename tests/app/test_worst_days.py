"""The worst days: closed folders, a full disk, no git, odd names and values, a moved project. Nothing is lost."""

from __future__ import annotations

import io
import json
import os
import pty
import random
import re
import select
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.app import cli
from werk.core.errors import Transient
from werk.serving.prediction_log import PredictionLog, read_log

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"

[engine]
lease_s = 1
"""
PIPELINES = """
import time
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from werk import pipeline, step

HERE = Path(__file__).parent


@dataclass(frozen=True)
class Params:
    share: float = 0.5
    word: str = "plain"


@step("load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rides").collect()


@step("multiply", cache=False)
def multiply(rows: pl.DataFrame, factor: int, params: Params) -> pl.DataFrame:
    while (HERE / "wait").exists():
        (HERE / "waiting").touch()
        time.sleep(0.05)
    return rows.with_columns(pl.col("km") * factor * params.share)


@step("widen", cache=False)
def widen(rows: pl.DataFrame, megabytes: int) -> pl.DataFrame:
    import numpy
    return pl.DataFrame({"noise": numpy.random.default_rng(1).random(megabytes * 131_072)})


@step("total")
def total(rows: pl.DataFrame) -> float:
    return float(rows["km"].sum())


@pipeline
def rides(factor: int = 2, params: Params = Params()):
    total(multiply(load(), factor, params))


@pipeline
def wide(megabytes: int):
    widen(load(), megabytes)
"""
NOBODY = 65534
DEADLINE_S = 60.0
# Another user's rights, but the interpreter may lie in a folder closed to it: it may read everything and write nothing more.
AS_NOBODY = [
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups",
    "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Said:
    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Case:
    """A use case in its folder and the keys outside it; commands run as processes, perhaps as nobody."""

    root: Path
    home: Path
    environment: Mapping[str, str]
    prefix: Sequence[str] = ()

    def command(self, *words: object) -> list[str]:
        return [*self.prefix, sys.executable, "-m", "werk.app.cli", *map(str, words)]

    def werk(self, *words: object) -> Said:
        """Call the command line in this process, or as another user in one of its own."""
        return self.process(*words) if self.prefix else called(self, *words)

    def process(self, *words: object, **env: str) -> Said:
        done = subprocess.run(
            self.command(*words), cwd=self.root, env={**self.environment, **env}, capture_output=True, text=True, check=False
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.werk("runs", "--json").value
        return found

    def is_sound(self) -> bool:
        return bool(self.werk("audit", "verify", "--json").value["ok"])


def called(case: Case, *words: object) -> Said:
    """As the script does, with the project's code imported anew."""
    sys.modules.pop("pipelines", None)
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(case.root)
        patch.setattr(sys, "argv", ["werk", *map(str, words)])
        patch.setattr(sys, "path", list(sys.path))
        for name in ("WERK_TOKEN", "WERK_PROFILE"):
            patch.delenv(name, raising=False)
        patch.setenv("WERK_HOME", str(case.home))
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert isinstance(end.value.code, int | None)
    return Said(end.value.code or 0, out.getvalue(), err.getvalue())


def environment_of(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("WERK_TOKEN", "WERK_PROFILE")}
    return {**kept, "WERK_HOME": str(home), "HOME": str(home.parent), "PYTHONDONTWRITEBYTECODE": "1"}


def write_case(folder: Path) -> Case:
    root = folder / "rides"
    root.mkdir(parents=True)
    (root / "werk.toml").write_text(SETTINGS)
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "rides.csv").write_text("id,km\n" + "".join(f"{n},{n}.5\n" for n in range(50)))
    return Case(root, folder / "home", environment_of(folder / "home"))


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a use case whose table has landed: copied, not made, for each test."""
    case = write_case(tmp_path_factory.mktemp("first"))
    assert case.werk("ingest", "raw.rides", "rides.csv").code == 0
    return case.root.parent


def copied(first: Path, folder: Path) -> Case:
    shutil.copytree(first, folder, dirs_exist_ok=True)
    return Case(folder / "rides", folder / "home", environment_of(folder / "home"))


@pytest.fixture
def case(first: Path, tmp_path: Path) -> Case:
    return copied(first, tmp_path / "case")


def assert_said(said: Said, codes: Sequence[int], *words: str) -> None:
    """One sentence with a code and a next step, nothing on stdout, none of our frames."""
    assert said.code in codes, said.err
    assert said.out == ""
    assert re.search(r"\[[a-z-]+\]", said.err), said.err
    assert "\n  next: " in said.err, said.err
    assert "Traceback" not in said.err, said.err
    for word in words:
        assert word in said.err, said.err


# --- folders closed to whoever runs ---


@pytest.fixture
def nobodys(first: Path) -> Iterator[Case]:
    """A use case that belongs to an unprivileged user, who runs the commands; no folder above it is closed to them."""
    with tempfile.TemporaryDirectory(prefix="werk-nobody-") as place:
        folder = Path(place)
        made = copied(first, folder)
        if os.getuid() == 0:
            for path in (folder, *folder.rglob("*")):
                os.chown(path, NOBODY, NOBODY)
            made = replace(made, prefix=AS_NOBODY)
        yield made


@contextmanager
def closed_to_writing(folder: Path) -> Iterator[None]:
    tree = {path: path.stat().st_mode for path in (folder, *folder.rglob("*"))}
    for path, mode in tree.items():
        path.chmod(mode & ~0o222)
    try:
        yield
    finally:
        for path, mode in tree.items():
            path.chmod(mode)


def test_an_unprivileged_user_runs_what_is_theirs(nobodys: Case) -> None:
    assert nobodys.werk("ingest", "raw.more", "rides.csv").code == 0
    assert nobodys.werk("run", "rides", "--json").value["status"] == "finished"


@pytest.mark.parametrize(
    ("closed", "landing", "running", "listing"),
    [
        ("rides", "journal-unwritable", "journal-unwritable", ""),
        ("rides/.werk", "journal-unwritable", "journal-unwritable", ""),
        ("rides/lake", "store-unwritable", "", ""),  # a run that writes no table needs no right there
        ("home", "heads-unwritable", "heads-unwritable", ""),
    ],
)
def test_a_closed_folder_is_named(nobodys: Case, closed: str, landing: str, running: str, listing: str) -> None:
    folder = nobodys.root.parent / closed
    with closed_to_writing(folder):
        for words, code in ((("ingest", "raw.more", "rides.csv"), landing), (("run", "rides"), running), (("runs",), listing)):
            said = nobodys.werk(*words)
            if code:
                assert_said(said, (1, 2), f"[{code}]", str(folder))
            else:
                assert said.code == 0, said.err
    assert nobodys.is_sound()
    assert nobodys.werk("ingest", "raw.more", "rides.csv").code == 0
    assert nobodys.werk("run", "rides").code == 0


# --- a full disk ---


@dataclass(frozen=True, slots=True)
class SmallDisk:
    """A use case on a file system of a few megabytes; the keys and heads are elsewhere."""

    case: Case
    mount: Path

    def fill(self, leave_kb: int) -> None:
        left = shutil.disk_usage(self.mount).free - leave_kb * 1024
        (self.mount / "ballast").write_bytes(b"x" * left)

    def make_room(self) -> None:
        (self.mount / "ballast").unlink()


@pytest.fixture
def small_disk(first: Path, tmp_path: Path) -> Iterator[SmallDisk]:
    if os.getuid() != 0:
        pytest.skip("a file system of its own needs root")
    mount = tmp_path / "disk"
    mount.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(mount)], check=True)
    try:
        shutil.copytree(first / "rides", mount / "rides")
        shutil.copytree(first / "home", tmp_path / "home")
        yield SmallDisk(Case(mount / "rides", tmp_path / "home", environment_of(tmp_path / "home")), mount)
    finally:
        subprocess.run(["umount", str(mount)], check=True)


@pytest.mark.parametrize(
    ("leave_kb", "words", "status"),
    [
        (0, ("run", "rides", "--fresh"), ""),  # not even the journal's shared file can grow
        (200, ("run", "rides", "--fresh"), "running"),  # the journal itself, in the middle of a run
        (3_000, ("run", "wide", "-p", "megabytes=8"), "failed"),  # a step's result
        (500, ("ingest", "raw.big", "big.parquet"), ""),
    ],
)
def test_a_full_disk_is_said_and_after_making_room_all_goes_on(
    small_disk: SmallDisk, leave_kb: int, words: tuple[str, ...], status: str
) -> None:
    case = small_disk.case
    pl.DataFrame({"id": range(200_000), "km": [n * 1.37 for n in range(200_000)]}).write_parquet(case.root / "big.parquet")
    assert case.werk("run", "rides").code == 0
    small_disk.fill(leave_kb)
    assert_said(case.werk(*words), (1,), "No space left" if status == "failed" else "[disk-full]")
    small_disk.make_room()
    assert [row["table"] for row in case.werk("tables", "--json").value] == ["raw.rides"]
    newest, *before = case.runs()
    assert [newest["status"], *(run["status"] for run in before)] == ([status] if status else []) + ["finished"]
    assert case.werk(*(["resume", newest["run"]] if status else words)).code == 0
    assert all(run["status"] == "finished" for run in case.runs())
    assert case.is_sound()


def test_a_full_disk_under_a_landing_leaves_the_version_before(small_disk: SmallDisk) -> None:
    case, rng = small_disk.case, random.Random(1)  # rows that do not compress
    pl.DataFrame({"id": range(100_000), "km": [rng.random() for _ in range(100_000)]}).write_parquet(case.root / "big.parquet")
    for leave_kb in (60, 600):
        small_disk.fill(leave_kb)
        assert_said(case.werk("ingest", "raw.rides", "big.parquet"), (1,), "[disk-full]")
        small_disk.make_room()
        [row] = case.werk("tables", "--json").value
        assert (row["version"], row["rows"], case.is_sound()) == (0, 50, True)
        assert len(list((case.root / "lake").rglob("*.parquet"))) == 1
    assert case.werk("ingest", "raw.rides", "big.parquet").code == 0
    assert case.werk("sql", "select count(*) as n from raw.rides", "--json").value == [{"n": 100_000}]
    assert case.is_sound()


@pytest.mark.parametrize("leave_kb", [0, 400])
def test_a_full_disk_under_init_leaves_nothing(small_disk: SmallDisk, leave_kb: int) -> None:
    case = small_disk.case
    (case.root / "empty").mkdir()
    small_disk.fill(leave_kb)
    for name in ("fresh", "empty"):
        assert_said(case.werk("init", name), (1,), "[disk-full]", name)
    small_disk.make_room()
    assert sorted(path.name for path in case.root.glob("*") if path.is_dir()) == [".werk", "empty", "lake"]
    assert list((case.root / "empty").iterdir()) == []
    assert case.werk("init", "empty").code == 0
    assert (case.root / "empty" / "werk.toml").is_file()


def test_a_full_disk_under_the_prediction_log(small_disk: SmallDisk) -> None:
    """What is not logged is not acknowledged; what was acknowledged is read back, and a torn line is not."""
    folder = small_disk.mount / "predictions"
    log = PredictionLog(folder)
    line = json.dumps({"id": 1, "pad": "x" * 3000}).encode() + b"\n"
    log.append(line)
    small_disk.fill(10)
    acknowledged = 1
    with pytest.raises(Transient, match="cannot be written") as refused:
        for _ in range(20):
            log.append(line)
            acknowledged += 1
    assert refused.value.code == "log-unavailable"
    small_disk.make_room()
    log.append(line)
    log.close()
    assert len(list(read_log(folder))) == acknowledged + 1


# --- what the machine lacks ---


def test_without_git_only_what_needs_it_is_refused(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", str(case.root))
        assert_said(case.werk("run", "rides"), (2,), "[git-missing]", "apt install git")
        assert case.werk("ingest", "raw.more", "rides.csv").code == 0
        assert case.runs() == []
    assert case.werk("run", "rides").code == 0


# --- odd values and names ---


@pytest.mark.parametrize("share", ["nan", "inf", "-inf"])
def test_a_parameter_that_is_not_finite_is_refused_by_name(case: Case, share: str) -> None:
    said = case.werk("run", "rides", "-p", f"params.share={share}")
    assert (said.code, "'params.share' must be finite" in said.err) == (2, True)
    assert case.is_sound()


def test_columns_that_are_no_numbers_come_back_as_valid_json(case: Case) -> None:
    odd = pl.DataFrame(
        {"id": [1, 2, 3, 4], "km": [float("nan"), float("inf"), float("-inf"), None], "größe 米 %": ["ä", "", None, "\0"]}
    )
    odd.write_parquet(case.root / "Fahrten von Müller 米.parquet")
    assert case.werk("ingest", "raw.rides", "Fahrten von Müller 米.parquet").code == 0
    assert case.werk("run", "rides", "--json").value["status"] == "finished"
    told = case.werk("sql", "select * from raw.rides order by id", "--json")
    rows = json.loads(told.out, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))
    assert [row["km"] for row in rows] == ["NaN", "Infinity", "-Infinity", None]
    assert [row["größe 米 %"] for row in rows] == ["ä", "", None, "\0"]
    assert case.is_sound()


def test_huge_and_undecodable_parameters(case: Case) -> None:
    long = case.werk("run", "rides", "-p", "factor=" + "9" * 5000)
    assert_said(long, (2,), "[param-unreadable]", "5000 characters")
    assert len(long.err) < 400
    assert_said(case.werk("run", "rides", "-p", "params.word=" + os.fsdecode(b"\xff\xfe")), (2,), "[param-unreadable]")
    assert case.runs() == []
    big = "w" * 2_000_000
    record = case.werk("run", "rides", "-p", f"params.word={big}", "--json").value
    assert record["params"]["params"]["fields"]["word"] == big
    assert case.werk("run", "rides", "-p", "params.word=größe 米 \U0001f600", "--json").value["status"] == "finished"


def test_a_folder_with_blanks_and_another_alphabet(first: Path, tmp_path: Path) -> None:
    case = copied(first, tmp_path / "Mein Ordner 米, 100 % (neu) & {alt}")
    assert case.werk("run", "rides", "--json").value["status"] == "finished"
    assert case.werk("ingest", "raw.more", "rides.csv").code == 0
    assert case.werk("sql", "select count(*) as n from raw.more", "--json").value == [{"n": 50}]
    assert case.is_sound()


@pytest.mark.parametrize(("name", "misread"), [("rate%20of", "%20"), ("use case #1", "#"), ("what?", "?"), ("[old]", "[")])
def test_a_folder_whose_name_delta_would_misread_is_refused(first: Path, tmp_path: Path, name: str, misread: str) -> None:
    case = copied(first, tmp_path / name)
    assert_said(case.werk("ingest", "raw.more", "rides.csv"), (2,), "[store-path]", f"'{misread}'")
    (case.root / "werk.toml").write_text(SETTINGS + f'[table_store]\npath = "{tmp_path}/lake"\n')
    assert case.werk("ingest", "raw.more", "rides.csv").code == 0


def test_file_names_that_are_no_text_and_links_that_go_in_circles(case: Case) -> None:
    undecodable = os.fsdecode(b"f\xe4hrten.csv")
    shutil.copy(case.root / "rides.csv", case.root / undecodable)
    (case.root / "up").symlink_to(case.root)
    (case.root / "self").symlink_to("self")
    (case.root / "there").symlink_to("back")
    (case.root / "back").symlink_to("there")
    os.mkfifo(case.root / "pipe")
    assert case.werk("run", "rides", "--json").value["status"] == "finished"
    assert case.werk("ingest", "raw.more", undecodable).code == 0
    assert case.werk("show", "raw.more@0", "--json").value["source"]["name"] == "f\\xe4hrten.csv"
    assert_said(case.werk("ingest", "raw.loop", "self"), (2,), "[source-unreadable]")
    assert case.is_sound()


# --- other places, other versions ---


def test_a_project_moved_while_a_run_was_dead_goes_on_elsewhere(case: Case) -> None:
    (case.root / "wait").touch()
    running = subprocess.Popen(case.command("run", "rides"), cwd=case.root, env=dict(case.environment), stderr=subprocess.DEVNULL)
    until((case.root / "waiting").exists)
    running.kill()
    running.wait()
    elsewhere = case.root.parent / "moved here" / "rides"
    elsewhere.parent.mkdir()
    case.root.rename(elsewhere)
    moved = replace(case, root=elsewhere)
    (elsewhere / "wait").unlink()
    time.sleep(1.1)  # the dead worker's lease
    said = moved.werk("resume", moved.runs()[0]["run"], "--json")
    assert said.value["status"] == "finished"
    assert "load" not in said.err  # it had finished there
    assert moved.is_sound()
    assert not case.root.exists()


@pytest.mark.parametrize(
    ("number", "code", "exit_code"), [("99", "journal-newer", 2), ("0", "journal-older", 2), ("?", "journal-damaged", 1)]
)
def test_a_journal_of_another_werk(case: Case, number: str, code: str, exit_code: int) -> None:
    with closing(sqlite3.connect(case.root / ".werk" / "journal.db")) as database, database:
        database.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (number,))
    for words in (("runs",), ("run", "rides"), ("ingest", "raw.rides", "rides.csv"), ("audit", "verify"), ("up",)):
        assert_said(case.werk(*words), (exit_code,), f"[{code}]")
    if number != "0":
        assert_said(case.werk("upgrade"), (exit_code,), f"[{code}]")


def test_an_engine_that_is_none(case: Case) -> None:
    for setting, word in (
        ('use = "jurnal"', "'journal'"),
        ("lease_s = 0", "30"),
        ('lease_s = "long"', "30"),
        ("leese_s = 1", "'lease_s'"),
    ):
        (case.root / "werk.toml").write_text(SETTINGS.replace("lease_s = 1", setting))
        assert_said(case.werk("run", "rides"), (2,), word)


# --- Ctrl-C, as a terminal sends it ---


def test_ctrl_c_in_a_terminal(case: Case) -> None:
    (case.root / "wait").touch()
    pid, terminal = pty.fork()
    if not pid:
        os.chdir(case.root)
        os.execve(sys.executable, case.command("run", "rides"), dict(case.environment))
    until((case.root / "waiting").exists)
    os.write(terminal, b"\x03")
    told = spoken(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130
    assert "nothing is lost" in told
    assert "Traceback" not in told
    (case.root / "wait").unlink()
    [run] = case.runs()
    assert run["status"] == "running"
    assert case.werk("resume", run["run"], "--json").value["status"] == "finished"  # at once: the run was let go


def spoken(terminal: int) -> str:
    """All that is written to the terminal until its last process has ended."""
    parts = []
    while select.select([terminal], [], [], DEADLINE_S)[0]:
        try:
            part = os.read(terminal, 4096)
        except OSError:  # Linux says so when the other side has closed
            break
        if not part:
            break
        parts.append(part)
    os.close(terminal)
    return b"".join(parts).decode()


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)


# --- secrets ---

SECRET = "tr0ub4dor-and-3-horses"


def test_planted_secrets_are_nowhere(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the environment, in a step's traceback and output, in an untracked file; looked for wherever werk writes."""
    monkeypatch.setenv("RIDES_PASSWORD", SECRET)
    (case.root / ".env").write_text(f"RIDES_PASSWORD={SECRET}\n")
    failing = '    raise ValueError("no postgresql://werk:{}@db/rides".format(__import__("os").environ["RIDES_PASSWORD"]))\n'
    code = (case.root / "pipelines.py").read_text()
    (case.root / "pipelines.py").write_text(code.replace("    return float(rows", failing + "    return float(rows"))
    refused = case.werk("run", "rides", "-p", f"params.word=postgresql://werk:{SECRET}@db/rides", "--json")
    failed = case.werk("run", "rides")
    assert (refused.code, failed.code) == (2, 1)
    (case.root / "pipelines.py").write_text(code)
    assert case.werk("run", "rides").code == 0
    told = [refused, failed, case.werk("runs", "--json"), case.werk("show", case.runs()[1]["run"], "--json"), case.werk("story")]
    assert (case.root / "story.html").stat().st_size > 1000
    assert "***" in failed.err
    assert not any(SECRET in said.out + said.err for said in told)
    assert holders(case.root.parent) == ["rides/.env"]


def holders(folder: Path) -> list[str]:
    """Files that hold the secret; the captured trees are unpacked."""
    for objects in folder.rglob("code.git"):
        listed = subprocess.run(
            ["git", "--git-dir", str(objects), "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True
        ).stdout
        assert b"multiply" in listed
        assert SECRET.encode() not in listed
    return [str(p.relative_to(folder)) for p in sorted(folder.rglob("*")) if p.is_file() and SECRET.encode() in p.read_bytes()]
