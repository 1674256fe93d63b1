"""The command line under bad input: one sentence, the next step, the right exit code, and nothing lost.

Most calls go through `werk.app.cli.main` in this process; whatever is killed, raced or imported runs as a process.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from werk.app import cli

SETTINGS = """
[project]
name = "rides"
id = "prj_rides"
"""

PIPELINES = '''
"""Three steps on fifty rows; files beside this one decide whether the second fails or waits."""

import time
from pathlib import Path

import polars as pl

from werk import pipeline, step

HERE = Path(__file__).parent


@step("load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rides").collect()


@step("multiply", cache=False)
def multiply(rows: pl.DataFrame, factor: int) -> pl.DataFrame:
    if (HERE / "broken").exists():
        raise ValueError((HERE / "broken").read_text())
    while (HERE / "wait").exists():
        (HERE / "waiting").touch()
        time.sleep(0.05)
    return rows.with_columns(pl.col("km") * factor)


@step("total")
def total(rows: pl.DataFrame) -> float:
    return float(rows["km"].sum())


@pipeline
def rides(factor: int = 2, source: str = "here"):
    total(multiply(load(), factor))
'''

CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: rides
version: 1.0.0
status: active
customProperties:
- property: zone
  value: raw
schema:
- name: rides
  properties:
  - name: id
    logicalType: integer
    primaryKey: true
  - name: {column}
    logicalType: {type}
"""

HEAVY = {"cryptography", "deltalake", "duckdb", "lightgbm", "numpy", "polars", "pyarrow", "pydantic", "sklearn", "sqlalchemy"}
SECRET = "tr0ub4dor-and-3-horses"
DEADLINE_S = 60.0


@dataclass(frozen=True, slots=True)
class Said:
    """What a command left behind: its exit code and both streams."""

    code: int
    out: str
    err: str

    @property
    def value(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> dict[str, str]:
        """The error of a --json call: the last line of stderr, below the signs of life."""
        found: dict[str, str] = json.loads(self.err.splitlines()[-1])
        return found


Werk = Callable[..., Said]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
    for name in ("WERK_TOKEN", "WERK_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path / "home"


def write_project(root: Path) -> None:
    root.mkdir()
    (root / "werk.toml").write_text(SETTINGS)
    (root / "pipelines.py").write_text(PIPELINES)
    (root / "contracts").mkdir()
    (root / "rides.csv").write_text("id,km\n" + "".join(f"{n},{n}.5\n" for n in range(50)))


@pytest.fixture
def project(tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A use case of three small steps on a CSV of fifty rows."""
    root = tmp_path / "rides"
    write_project(root)
    monkeypatch.chdir(root)
    before = list(sys.path)
    yield root
    sys.path[:] = before
    sys.modules.pop("pipelines", None)


@pytest.fixture
def werk(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Werk:
    """Call the command line as its script does, with the project's code imported anew, as a process would."""

    def call(*words: object) -> Said:
        sys.modules.pop("pipelines", None)
        monkeypatch.setattr(sys, "argv", ["werk", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            cli.main()
        out, err = capsys.readouterr()
        assert isinstance(end.value.code, int | None)
        return Said(end.value.code or 0, out, err)

    return call


@pytest.fixture(scope="session")
def first_landing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a use case whose table has landed, and the keys that signed it: copied, not made, for each test."""
    folder = tmp_path_factory.mktemp("landed")
    write_project(folder / "rides")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WERK_HOME", str(folder / "home"))
        patch.delenv("WERK_TOKEN", raising=False)
        words = ["werk", "ingest", "raw.rides", str(folder / "rides" / "rides.csv"), "--project", str(folder / "rides")]
        patch.setattr(sys, "argv", words)
        with pytest.raises(SystemExit) as end:
            cli.main()
    assert not end.value.code
    return folder


@pytest.fixture
def landed(project: Path, home: Path, first_landing: Path) -> Path:
    shutil.copytree(first_landing / "rides", project, dirs_exist_ok=True)
    shutil.copytree(first_landing / "home", home)
    return project


def process(root: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "werk.app.cli", *words]
    return subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.05)


def assert_input(said: Said, code: str, *words: str) -> None:
    """Exit 2, nothing on stdout, one sentence that holds the words, a next step, no traceback."""
    assert (said.code, said.out) == (2, "")
    assert f"[{code}]" in said.err
    assert "\n  next: " in said.err
    assert "Traceback" not in said.err
    for word in words:
        assert word in said.err


# --- names nobody knows ---


def test_outside_a_project(tmp_path: Path, home: Path, werk: Werk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert_input(werk("runs"), "project-missing", "werk.toml", "werk init")


def test_project_names_a_folder_that_is_not_there(tmp_path: Path, home: Path, werk: Werk) -> None:
    assert_input(werk("runs", "--project", tmp_path / "nowhere"), "project-missing")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[project\n", "settings-malformed"),
        ("project = 3\n", "settings-malformed"),
        ('[project]\nname = "rides"\n', "setting-missing"),
        (SETTINGS + "[jurnal]\n", "setting-unknown"),
        (SETTINGS + '[table_store]\nuse = "detla"\n', ""),
        (SETTINGS + '[table_store]\npath = "lake"\n', ""),
        (SETTINGS + '[table_store]\nuse = "delta"\npaht = "lake"\n', ""),
        (SETTINGS + '[journal]\nurl = {env = "NOT_SET_ANYWHERE"}\n', "secret-missing"),
        (SETTINGS + '[journal]\nurl = "sqlight:///x"\n', ""),
        ("trigger = 3\n" + SETTINGS, "settings-malformed"),
        (SETTINGS + '[[trigger]]\nnam = "x"\n', ""),
    ],
)
def test_settings_that_cannot_be_used(project: Path, werk: Werk, text: str, code: str) -> None:
    (project / "werk.toml").write_text(text)
    assert_input(werk("runs"), code) if code else assert_input_of_any_code(werk("run", "rides"))


def assert_input_of_any_code(said: Said) -> None:
    assert (said.code, said.out) == (2, "")
    assert "\n  next: " in said.err
    assert "Traceback" not in said.err


def test_an_unknown_profile(project: Path, werk: Werk) -> None:
    assert_input(werk("runs", "--profile", "loca"), "profile-unknown", "Did you mean 'local'?")


def test_an_unknown_pipeline(landed: Path, werk: Werk) -> None:
    assert_input(werk("run", "ridse"), "pipeline-unknown", "Did you mean 'rides'?")


def test_an_unknown_parameter(landed: Path, werk: Werk) -> None:
    assert_input(werk("run", "rides", "-p", "facktor=3"), "param-unknown", "Did you mean 'factor'?")


def test_a_parameter_of_another_type_or_shape(landed: Path, werk: Werk) -> None:
    assert_input(werk("run", "rides", "-p", "factor=many"), "param-unreadable", "factor")
    assert_input(werk("run", "rides", "-p", "factor"), "param-malformed", "key=value")


@pytest.mark.parametrize("second", ["factor=3", "factor=2"])
def test_a_parameter_given_twice(landed: Path, werk: Werk, second: str) -> None:
    assert_input(werk("run", "rides", "-p", "factor=2", "-p", second), "param-repeated", "'factor'")


def test_an_unknown_table(landed: Path, werk: Werk) -> None:
    code = (landed / "pipelines.py").read_text().replace("raw.rides", "raw.ridse")
    (landed / "pipelines.py").write_text(code)
    said = werk("run", "rides")
    assert said.code == 2
    assert "Did you mean 'raw.rides'?" in said.err
    assert_input(werk("sql", "select * from raw.ridse"), "table-unknown", "Did you mean 'raw.rides'?")


@pytest.mark.parametrize("words", [("show", "run_1"), ("resume", "run_1"), ("lineage", "pred_1"), ("show", "raw.rides@9")])
def test_an_unknown_id(landed: Path, werk: Werk, words: tuple[str, ...]) -> None:
    assert_input_of_any_code(werk(*words))


@pytest.mark.parametrize(
    "words", [("show", "nonsense"), ("show", "a@b@c"), ("show", ""), ("approve", "rides"), ("alias", "x:1", "")]
)
def test_an_id_that_is_none(landed: Path, werk: Werk, words: tuple[str, ...]) -> None:
    assert_input_of_any_code(werk(*words))


@pytest.mark.parametrize(
    "words", [("approve", "rides:1"), ("reject", "rides:1"), ("alias", "rides:1", "champion"), ("rebuild", "rides:1")]
)
def test_an_unknown_model_version(landed: Path, werk: Werk, words: tuple[str, ...]) -> None:
    assert_input_of_any_code(werk(*words))


@pytest.mark.parametrize(
    ("when", "code"), [("yesterday", "time-malformed"), ("2026-03-03T12:00:00", "time-naive"), ("", "time-malformed")]
)
def test_a_time_that_is_none(landed: Path, werk: Werk, when: str, code: str) -> None:
    assert_input(werk("models", "--as-of", when), code, "zone")


@pytest.mark.parametrize(
    "words", [("frobnicate",), ("runs", "--limt", "3"), ("runs", "--limit", "0"), ("ingest",), ("actor", "ad")]
)
def test_an_unknown_command_or_option(project: Path, werk: Werk, words: tuple[str, ...]) -> None:
    said = werk(*words)
    assert (said.code, said.out) == (2, "")
    assert "Traceback" not in said.err
    as_json = werk(*words, "--json")
    assert as_json.code == 2
    assert as_json.error["code"] == "usage"


def test_nobody_approves_under_another_name(landed: Path, werk: Werk, monkeypatch: pytest.MonkeyPatch) -> None:
    for option in ("--as", "--actor", "--user", "--by"):
        assert werk("approve", "rides:1", option, "eve").code == 2
    before = [actor["id"] for actor in werk("actor", "list", "--json").value]
    for name in ("USER", "LOGNAME", "USERNAME", "SUDO_USER"):
        monkeypatch.setenv(name, "eve")
    after = werk("actor", "list", "--json").value
    assert [actor["id"] for actor in after] == before
    assert "eve" not in json.dumps(after)


@pytest.mark.parametrize("token", ["x", "a" * 43, ""])
def test_a_token_nobody_issued(landed: Path, werk: Werk, monkeypatch: pytest.MonkeyPatch, token: str) -> None:
    before = werk("actor", "list", "--json").value
    monkeypatch.setenv("WERK_TOKEN", token)
    said = werk("actor", "list", "--json")
    if token:
        assert (said.code, said.out) == (3, "")
    else:  # an empty variable is an unset one
        assert said.value == before


# --- tables ---


def test_files_that_cannot_be_landed(project: Path, werk: Werk) -> None:
    import polars as pl

    whole = project / "whole.parquet"
    pl.read_csv(project / "rides.csv").write_parquet(whole)
    (project / "half.parquet").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (project / "void.csv").write_text("")
    (project / "ragged.csv").write_text("id,km\n1,2,3,4\n")
    (project / "rides.doc").write_text("id")
    for name in ("half.parquet", "void.csv", "ragged.csv", "rides.doc", "absent.csv", "contracts"):
        said = werk("ingest", "raw.rides", name)
        assert_input_of_any_code(said)
        assert name in said.err
    assert werk("tables", "--json").value == []


def test_sources_that_are_no_files_are_not_waited_for(project: Path, werk: Werk) -> None:
    os.mkfifo(project / "pipe.csv")
    (project / "folder.csv").mkdir()
    (project / "device.csv").symlink_to("/dev/zero")
    (project / "self.csv").symlink_to("self.csv")
    for name, kind in {
        "pipe.csv": "a pipe",
        "folder.csv": "a folder",
        "device.csv": "a device",
        "self.csv": "symbolic links",
    }.items():
        said = werk("ingest", "raw.rides", name)
        assert_input(said, "source-unreadable", name, kind)


def test_sources_without_a_column(project: Path, werk: Werk) -> None:
    import polars as pl

    pl.DataFrame().write_parquet(project / "void.parquet")
    (project / "void.jsonl").write_text("{}\n")
    (project / "void.csv").write_text("\n\n")
    for name in ("void.parquet", "void.jsonl", "void.csv"):
        assert_input_of_any_code(werk("ingest", "raw.rides", name))
    assert werk("tables", "--json").value == []


@pytest.mark.parametrize("harm", ["grown", "replaced"])
def test_a_source_that_changes_while_it_is_read_is_not_landed(
    project: Path, werk: Werk, harm: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The read itself is the real one; right after it another writer comes."""
    read = Path.read_bytes

    def and_then(path: Path) -> bytes:
        data = read(path)
        if harm == "grown" and path.name == "rides.csv":
            path.write_bytes(data + b"50,50.5\n")
        elif path.name == "rides.csv":
            (project / "next").write_bytes(data)
            (project / "next").replace(path)
        return data

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", and_then)
        assert_input(werk("ingest", "raw.rides", "rides.csv"), "source-changing", "changed while it was read")
    assert werk("tables", "--json").value == []
    assert werk("ingest", "raw.rides", "rides.csv").code == 0


@pytest.mark.parametrize(
    "words",
    [
        ("ingest", "raw.rides", "rides.csv", "--project", "loop"), ("init", "loop"), ("backup", "loop"), ("restore", "loop"),
        ("ingest", "raw.rides", "loop"), ("predict", "m:1", "loop"),
    ],
)  # fmt: skip
def test_a_link_that_goes_in_circles_is_a_sentence(project: Path, werk: Werk, words: tuple[str, ...]) -> None:
    (project / "loop").symlink_to("loop")
    said = werk(*words)
    assert said.code in (1, 2), said.err
    assert said.out == ""
    assert "Traceback" not in said.err
    assert "\n  next: " in said.err


def test_a_contract_that_is_a_broken_link_is_not_taken_for_none(project: Path, werk: Werk) -> None:
    (project / "contracts" / "raw.rides.yaml").symlink_to("gone.yaml")
    assert_input(werk("ingest", "raw.rides", "rides.csv"), "contract-missing", "raw.rides.yaml")


@pytest.mark.parametrize(
    ("use", "says"),
    [
        ("os:system", "it is no class"),
        ("pathlib:Path", "it has no method"),
        (":x", "cannot be found"),
        (".os:system", "cannot be found"),
        ("os:", "cannot be found"),
        ("os:nothing", "cannot be found"),
        ("no_such_module:X", "needs 'no_such_module'"),
    ],
)
def test_an_adapter_that_is_none(project: Path, werk: Werk, use: str, says: str) -> None:
    (project / "werk.toml").write_text(SETTINGS + f'[table_store]\nuse = "{use}"\n')
    said = werk("ingest", "raw.rides", "rides.csv")
    assert_input_of_any_code(said)
    assert says in said.err


def test_a_landing_that_nothing_was_checked_of_says_so(project: Path, werk: Werk) -> None:
    for _ in ("landed", "unchanged"):
        said = werk("ingest", "raw.rides", "rides.csv")
        assert said.code == 0
        assert "no contract: nothing was checked\n  next: " in said.out
        assert "contracts/raw.rides.yaml" in said.out
    assert werk("ingest", "raw.rides", "rides.csv", "--json").value["contract_sha256"] is None
    (project / "contracts" / "raw.rides.yaml").write_text(CONTRACT.format(column="km", type="number"))
    assert "no contract" not in werk("ingest", "raw.rides", "rides.csv").out
    assert werk("ingest", "raw.rides", "rides.csv", "--json").value["contract_sha256"]


def test_a_contract_names_an_absent_column(landed: Path, werk: Werk) -> None:
    (landed / "contracts" / "raw.rides.yaml").write_text(CONTRACT.format(column="kmm", type="number"))
    assert_input(werk("ingest", "raw.rides", "rides.csv"), "column-missing", "'kmm'", "Did you mean 'km'?")
    assert werk("tables", "--json").value[0]["version"] == 0


def test_a_changed_type(landed: Path, werk: Werk) -> None:
    (landed / "contracts" / "raw.rides.yaml").write_text(CONTRACT.format(column="km", type="number"))
    assert werk("ingest", "raw.rides", "rides.csv").code == 0
    (landed / "worded.csv").write_text("id,km\n1,far\n")
    said = werk("ingest", "raw.rides", "worded.csv")
    assert_input_of_any_code(said)
    assert "'km'" in said.err


def test_a_contract_that_is_none(landed: Path, werk: Werk) -> None:
    for text in ("][", "", "kind: Shopping list\n", "a: 1\n---\nb: 2\n"):
        (landed / "contracts" / "raw.rides.yaml").write_text(text)
        assert_input_of_any_code(werk("ingest", "raw.rides", "rides.csv"))


def test_an_empty_table(project: Path, werk: Werk) -> None:
    (project / "pipelines.py").write_text(PIPELINES.replace("* factor", ".cast(pl.Float64) * factor"))
    (project / "none.csv").write_text("id,km\n")
    said = werk("ingest", "raw.rides", "none.csv", "--json")
    assert said.code == 0, said.err
    assert (said.value["rows_in"], said.value["rows_landed"]) == (0, 0)
    run = werk("run", "rides", "--json")
    assert (run.code, run.value["status"]) == (0, "finished")


def test_an_empty_delivery_empties_the_table_and_says_so(landed: Path, werk: Werk) -> None:
    """Nothing of it breaks a rule; what was there stays in the version before."""
    (landed / "none.csv").write_text("id,km\n")
    said = werk("ingest", "raw.rides", "none.csv")
    assert said.code == 0, said.err
    assert "0 rows in, 0 landed" in said.out
    assert "raw.rides is empty now; raw.rides@0 holds what was there" in said.out
    (now,) = werk("tables", "--json").value
    assert (now["version"], now["rows"]) == (1, 0)
    assert werk("show", "raw.rides@0", "--json").value["rows"] == 50
    (landed / "no_bytes.csv").write_text("")
    assert_input_of_any_code(werk("ingest", "raw.rides", "no_bytes.csv"))
    assert werk("tables", "--json").value == [now]


@pytest.mark.parametrize(
    "table", ["rides", "raw/../rides", "RAW.rides", "", "raw.rides.more", "raw.rides;drop", "raw." + "r" * 260, "raw.r\u0301ides"]
)
def test_a_table_name_that_is_none(project: Path, werk: Werk, table: str) -> None:
    assert_input_of_any_code(werk("ingest", table, "rides.csv"))


@pytest.mark.parametrize(
    "query", ["", "selekt 1", "drop table raw.rides", "select nope from raw.rides", "select * from read_csv('/etc/passwd')"]
)
def test_sql_that_cannot_be_answered(landed: Path, werk: Werk, query: str) -> None:
    said = werk("sql", query, "--json")
    assert (said.code, said.out) == (2, "")
    assert said.error["code"]


# --- the user's own code ---


def test_a_step_that_raises_and_goes_on_from_there(landed: Path, werk: Werk) -> None:
    (landed / "broken").write_text("the meter ran backwards")
    said = werk("run", "rides")
    assert (said.code, said.out) == (1, "")
    assert "ValueError: the meter ran backwards" in said.err
    assert f'File "{landed / "pipelines.py"}"' in said.err
    assert "/werk/" not in said.err
    run = werk("runs", "--json").value[0]
    assert run["status"] == "failed"
    (landed / "broken").unlink()
    record = werk("resume", run["run"], "--json").value
    assert record["status"] == "finished"
    resumed = werk("show", run["run"], "--json").value
    assert [step["step"] for step in resumed["steps"]] == ["load", "multiply", "total"]
    assert werk("resume", run["run"], "--json").value["status"] == "finished"


def test_resume_does_not_run_finished_steps_again(landed: Path, werk: Werk) -> None:
    (landed / "broken").write_text("no")
    werk("run", "rides")
    (landed / "broken").unlink()
    run = werk("runs", "--json").value[0]["run"]
    said = werk("resume", run)
    assert said.code == 0
    lines = [line for line in said.err.splitlines() if "finished" in line]
    assert [line.split()[1] for line in lines] == ["multiply", "total"]


def test_a_failed_step_as_json_tells_the_traceback(landed: Path, werk: Werk) -> None:
    (landed / "broken").write_text("no")
    said = werk("run", "rides", "--json")
    assert (said.code, said.out, said.error["code"]) == (1, "", "step-failed")
    assert "ValueError: no" in said.error["traceback"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("def f(:\n", "SyntaxError"),
        ("import no_such_module_anywhere\n", "ModuleNotFoundError"),
        ("1 / 0\n", "ZeroDivisionError"),
        ("{}['x']\n", "KeyError"),
        ("open('nowhere.txt')\n", "FileNotFoundError"),
        ("raise SystemExit(0)\n", "SystemExit"),
        ("\tx = 1\n  y = 2\n", "IndentationError"),
    ],
)
def test_code_that_cannot_be_imported(landed: Path, werk: Werk, text: str, told: str) -> None:
    (landed / "pipelines.py").write_text(text)
    said = werk("run", "rides")
    assert (said.code, said.out) == (1, "")
    assert "[project-code-broken]" in said.err
    assert told in said.err
    assert "pipelines.py" in said.err
    assert "/src/werk/" not in said.err
    assert werk("runs", "--json").value == []


def test_no_code_at_all(landed: Path, werk: Werk) -> None:
    (landed / "pipelines.py").rename(landed / "pipeline.py")
    assert_input(werk("run", "rides"), "project-code-missing", "Did you mean 'pipeline.py'?")


# --- secrets ---


def test_a_secret_in_a_parameter_is_refused(landed: Path, werk: Werk) -> None:
    said = werk("run", "rides", "-p", f"source=postgresql://werk:{SECRET}@db/rides", "--json")
    assert (said.code, said.out) == (2, "")
    assert SECRET not in said.err
    assert holders(landed) == []


def test_secrets_in_environment_traceback_and_env_file_are_kept_nowhere(
    landed: Path, werk: Werk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RIDES_PASSWORD", SECRET)
    (landed / ".env").write_text(f"RIDES_PASSWORD={SECRET}\n")
    (landed / "broken").write_text(f"cannot reach postgresql://werk:{SECRET}@db/rides, nor {SECRET}")
    said = werk("run", "rides")
    assert said.code == 1
    assert SECRET not in said.err
    assert "***" in said.err
    (landed / "broken").unlink()
    assert werk("run", "rides").code == 0
    assert holders(landed) == [".env"]


def test_a_secret_that_only_the_env_file_holds_is_kept_nowhere_else(landed: Path, werk: Werk) -> None:
    """Nothing of it is exported: a library reads it, a step prints it, an exception repeats it, somebody types it."""
    (landed / ".env").write_text(f"DEBUG=true\nPORT=8080\nOTHER_API_KEY={SECRET}\n")
    code = (landed / "pipelines.py").read_text()
    (landed / "pipelines.py").write_text(
        code.replace("    return float(rows", "    print((HERE / '.env').read_text())\n    return float(rows")
    )
    (landed / "broken").write_text(f"true on 8080: {SECRET} is not known")
    failed = werk("run", "rides")
    assert (failed.code, SECRET in failed.err) == (1, False)
    assert "true on 8080: *** is not known" in failed.err
    run = werk("runs", "--json").value[0]["run"]
    told = [werk("logs", run), werk("show", run, "--json"), werk("runs", "--json"), werk("story")]
    (landed / "broken").unlink()
    given = werk("run", "rides", "-p", f"source=x{SECRET}x", "--json")
    assert given.error["code"] == "param-secret"
    assert werk("run", "rides", "-p", "source=8080").code == 0
    (landed / "pipelines.py").write_text("raise ValueError((__import__('pathlib').Path(__file__).parent / '.env').read_text())\n")
    broken = werk("run", "rides")
    assert broken.code == 1
    assert not any(SECRET in said.out + said.err for said in (*told, given, broken))
    assert holders(landed) == [".env"]


def test_an_error_of_werk_itself_repeats_no_secret(landed: Path, werk: Werk) -> None:
    """A step asks for a table by a value of `.env`: that there is none is told with the name covered."""
    (landed / ".env").write_text(f"OTHER_API_KEY={SECRET}\n")
    asking = "tables.scan('raw.' + (HERE / '.env').read_text().strip().partition('=')[2])"
    (landed / "pipelines.py").write_text(PIPELINES.replace('tables.scan("raw.rides")', asking))
    said = werk("run", "rides", "--json")
    assert (said.code, said.error["code"]) == (2, "table-unknown")
    assert "***" in said.error["error"]
    assert SECRET not in said.out + said.err
    assert holders(landed) == [".env"]


def holders(root: Path) -> list[str]:
    """Files that hold the secret, the captured trees' objects unpacked."""
    found = [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and SECRET.encode() in path.read_bytes()]
    git = ["git", "--git-dir", str(root / ".werk" / "code.git")]
    if (root / ".werk" / "code.git").exists():
        listed = subprocess.run([*git, "cat-file", "--batch-all-objects", "--batch"], capture_output=True, check=True).stdout
        assert b"multiply" in listed  # the captured code is there, so its silence about the secret says something
        found += ["code.git"] if SECRET.encode() in listed else []
    return found


# --- folders and ports ---


def test_a_folder_that_cannot_be_written(project: Path, werk: Werk) -> None:
    """A file where the folder should be, because root may write to folders closed to others."""
    (project / ".werk").write_text("in the way")
    assert_input(werk("runs"), "project-unwritable")


@pytest.mark.parametrize("name", ["home", "lake", "contracts"])
def test_another_folder_that_is_a_file(project: Path, home: Path, werk: Werk, name: str) -> None:
    target = home if name == "home" else project / name
    if target.is_dir():
        target.rmdir()
    target.write_text("in the way")
    said = werk("ingest", "raw.rides", "rides.csv")
    if name == "contracts":
        assert said.code == 0  # no contract lies there
    else:
        assert said.code in (1, 2)
        assert "Traceback" not in said.err
        assert "\n  next: " in said.err


def test_init_where_it_cannot(tmp_path: Path, home: Path, project: Path, werk: Werk) -> None:
    (project / "taken").write_text("a file")
    for name in ("contracts/..", "taken", "taken/below", "Upper Case", "", "../rides"):
        assert_input_of_any_code(werk("init", name))
    assert_input(werk("init", "fresh", "--template", "flihgts"), "template-unknown", "Did you mean 'flights'?")
    assert not (project / "fresh").exists()


def test_a_port_in_use(project: Path, werk: Werk) -> None:
    (project / ".werk" / "serving").mkdir(parents=True)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert_input(werk("serve", "--port", port), "port-in-use", str(port))
    assert_input_of_any_code(werk("serve", "--port", "99999999"))


def test_serve_before_anything_is_deployed(project: Path, werk: Werk) -> None:
    assert_input(werk("serve"), "deployment-missing")


# --- every answer as JSON ---


@pytest.mark.parametrize(
    "words",
    [
        ("tables",), ("runs",), ("models",), ("doctor",), ("sql", "select count(*) as n, sum(km) as km from raw.rides"),
        ("show", "raw.rides@0"), ("actor", "list"), ("actor", "add", "bob"), ("audit", "verify"), ("run", "rides"),
        ("backup", "../copy"), ("ingest", "raw.rides", "rides.csv"),
    ],
)  # fmt: skip
def test_answers_parse(landed: Path, werk: Werk, words: tuple[str, ...]) -> None:
    said = werk(*words, "--json")
    assert said.code == 0, said.err
    assert isinstance(said.value, list | dict)


@pytest.mark.parametrize("words", [("runs", "--project", "/nowhere"), ("run", "ridse"), ("approve", "x"), ("show", "run_1")])
def test_errors_parse(landed: Path, werk: Werk, words: tuple[str, ...]) -> None:
    said = werk(*words, "--json")
    assert (said.code, said.out) == (2, "")
    assert set(said.error) >= {"error", "code", "hint"}


# --- processes ---


def test_help_loads_nothing_heavy() -> None:
    script = "; ".join(
        [
            "import atexit, sys",
            "sys.argv = ['werk', '--help']",
            f"atexit.register(lambda: print(sorted({HEAVY!r} & set(sys.modules))))",
            "from werk.app.cli import main",
            "main()",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Usage" in done.stdout


def test_what_a_step_forks_ends_by_sigterm_as_ever() -> None:
    """A pool of processes ends its workers with it: an exception in them would be told as a failure, or be swallowed."""
    script = "; ".join(
        [
            "import os, signal, sys, time",
            "sys.argv = ['werk', '--help']",
            "from werk.app import cli",
            "cli._end_as_by_ctrl_c()",
            "pid = os.fork()",
            "pid or time.sleep(60)",
            "time.sleep(0.2)",
            "os.kill(pid, signal.SIGTERM)",
            "print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))",
        ]
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == (f"{-signal.SIGTERM}\n", "")


def test_four_runs_at_once_all_finish(landed: Path, werk: Werk) -> None:
    started = [process(landed, "run", "rides", "-p", f"factor={n}") for n in range(4)]
    for each in started:
        _, err = each.communicate(timeout=DEADLINE_S)
        assert each.returncode == 0, err
        assert "locked" not in err
    assert [run["status"] for run in werk("runs", "--json").value] == ["finished"] * 4
    assert werk("audit", "verify", "--json").value["ok"]


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_run_goes_on(landed: Path, werk: Werk, blow: signal.Signals) -> None:
    (landed / "wait").touch()
    running = process(landed, "run", "rides")
    until((landed / "waiting").exists)
    running.send_signal(blow)
    _, err = running.communicate(timeout=DEADLINE_S)
    assert running.returncode == (-signal.SIGKILL if blow == signal.SIGKILL else 130)
    assert "Traceback" not in err
    (landed / "wait").unlink()
    run = werk("runs", "--json").value[0]["run"]
    if blow == signal.SIGKILL:  # a dead worker's hold ends by itself after half a minute; here at once
        assert werk("resume", run, "--json").error["code"] == "run-held"
        with closing(sqlite3.connect(landed / ".werk" / "journal.db")) as database, database:
            database.execute("UPDATE leases SET until = 0")
    else:
        assert "werk runs" in err
    said = werk("resume", run, "--json")
    assert said.code == 0, said.err
    assert said.value["status"] == "finished"
    assert [step["status"] for step in said.value["steps"]] == ["finished"] * 3
    assert werk("audit", "verify", "--json").value["ok"]


def test_a_quarantine_is_listed_with_its_rows_and_the_rule_they_break_most(landed: Path, werk: Werk) -> None:
    (landed / "contracts" / "raw.rides.yaml").write_text(CONTRACT.format(column="km", type="number"))
    (landed / "twins.csv").write_text("id,km\n1,0.5\n2,0.5\n2,0.7\n")
    assert werk("ingest", "raw.rides", "twins.csv").code == 0
    own, held = werk("tables", "--json").value
    assert (own["table"], own["kind"], own["rows"], own["quarantined"]) == ("raw.rides", "table", 1, 2)
    assert (held["table"], held["kind"], held["rows"], held["broken_most"]) == (
        "raw.rides_quarantine",
        "quarantine",
        2,
        "unique(id)",
    )
    assert held["quarantine_of"] == "raw.rides@1"
    said = werk("tables").out
    assert "raw.rides_quarantine" in said
    assert "unique(id)" in said
