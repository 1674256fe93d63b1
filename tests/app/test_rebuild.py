"""A registered model is trained again from what was recorded: the same bits, or the cause by name."""

import base64
import hashlib
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from werk.app.wiring import open_session
from werk.journal import erase_body

PIPELINES = """
import os
import random

import polars as pl

from werk import Model, fit_lightgbm, fit_logistic, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("training")
def train(rows: pl.DataFrame, *, p) -> Model:
    noise = NOISE
    rows = rows.with_columns(pl.col("x") + noise)
    return FIT


@pipeline
def training():
    rows = load()
    model = train(rows)
    report = steps.evaluate(model, rows)
    steps.register(model, report)
"""
GIVEN = 'rows, target="y", key=["id"], features=["x", "z"]'
BOOSTED = (
    f'fit_lightgbm({GIVEN}, rounds=5, seed=int(os.environ.get("CASE_SEED", 1)), threads=int(os.environ.get("CASE_THREADS", 1)))'
)
LINEAR = f"fit_logistic({GIVEN})"
SHAKEN = "pl.Series([random.gauss(0, {}) for _ in range(len(rows))])"
# Libraries choose their own files by the true architecture; only werk is told another one.
ELSEWHERE = """
import platform, sys
true = platform.machine
platform.machine = lambda: "riscv64" if sys._getframe(1).f_globals["__name__"].startswith("werk.") else true()
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"


class Case:
    """A small use case in a folder of its own, acted on through the command line in processes of its own.

    `site` is a folder of installed packages in front of the others; one toy library lies in it.
    """

    def __init__(self, folder: Path) -> None:
        self.root = folder / "small"
        self.site = folder / "site"
        self.environment = {**os.environ, "WERK_HOME": str(folder / "home"), "PYTHONPATH": str(self.site)}

    @classmethod
    def landed(cls, folder: Path) -> "Case":
        case = cls(folder)
        case.root.mkdir()
        case.install("1.0")
        case.write()
        assert case.werk("ingest", "raw.rows", "rows.parquet").returncode == 0
        return case

    def install(self, version: str) -> None:
        shutil.rmtree(self.site, ignore_errors=True)
        info = self.site / f"toy_lib-{version}.dist-info"
        info.mkdir(parents=True)
        (self.site / "toy.py").write_text("x = 1\n")
        digest = base64.urlsafe_b64encode(hashlib.sha256(b"x = 1\n").digest()).rstrip(b"=").decode()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: toy-lib\nVersion: {version}\n")
        (info / "RECORD").write_text(f"toy.py,sha256={digest},6\n")

    def write(self) -> None:
        (self.root / "werk.toml").write_text('[project]\nname = "small"\nid = "prj_small"\n')
        (self.root / "plan.toml").write_text(PLAN)
        (self.root / "gate.toml").write_text("[metrics.auc]\nmin = 0.1\n")
        self.program("0.0", BOOSTED)
        chance = np.random.default_rng(7)
        x = chance.normal(size=400)
        rows = {"id": range(400), "x": x, "z": chance.normal(size=400), "y": (x + chance.normal(size=400) > 0).astype(int)}
        pl.DataFrame(rows).write_parquet(self.root / "rows.parquet")

    def program(self, noise: str, fit: str) -> None:
        (self.root / "pipelines.py").write_text(PIPELINES.replace("NOISE", noise).replace("FIT", fit))

    def edit(self, old: str, new: str) -> None:
        file = self.root / "pipelines.py"
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))

    def werk(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "werk.app.cli", *words]
        return subprocess.run(command, cwd=self.root, env=self.environment, capture_output=True, text=True, check=False)

    def asked(self, *words: str) -> Any:
        done = self.werk(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def train(self) -> str:
        ran = self.werk("run", "training")
        assert ran.returncode == 0, ran.stderr
        return ran.stdout.strip()

    def rebuilt(self, *more: str) -> dict[str, Any]:
        done = self.werk("rebuild", "small:1", "--json", *more)
        assert done.returncode in (0, 1), done.stderr
        found: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if found["outcome"] == "identical" else 1)
        return found


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project whose table has landed; the tests copy it."""
    return Case.landed(tmp_path_factory.mktemp("landed")).root.parent


@pytest.fixture(scope="module")
def once(landed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained project that the tests copy: training it costs more than they do."""
    case = copied(landed, tmp_path_factory.mktemp("trained") / "copy")
    case.train()
    return case.root.parent


def copied(original: Path, folder: Path) -> Case:
    shutil.copytree(original, folder)
    return Case(folder)


@pytest.fixture
def case(once: Path, tmp_path: Path) -> Case:
    return copied(once, tmp_path / "copy")


@pytest.fixture
def make(landed: Path, tmp_path: Path) -> Callable[..., Case]:
    """A project whose training is made noisy or fitted otherwise, not yet trained unless asked for."""

    def made(noise: str = "0.0", fit: str = BOOSTED, *, train: bool = True) -> Case:
        case = copied(landed, tmp_path / "copy")
        case.program(noise, fit)
        if train:
            case.train()
        return case

    return made


# --- identical ---


def test_it_is_identical_though_code_store_tables_and_shell_have_moved_on(case: Case) -> None:
    """Nothing but what was recorded counts, and the stored model is out of reach: another one lies in its place."""
    rows = pl.read_parquet(case.root / "rows.parquet")
    rows.with_columns(pl.col("x") * 2).write_parquet(case.root / "rows.parquet")
    assert case.werk("ingest", "raw.rows", "rows.parquet").returncode == 0
    case.edit("noise = 0.0", "noise = 1.0")
    case.train()
    first, second = sorted((case.root / ".werk" / "objects" / "models").rglob("model.bin"))
    contents = first.read_bytes(), second.read_bytes()
    assert contents[0] != contents[1]
    for file, content in ((first, contents[1]), (second, contents[0])):
        file.write_bytes(content)
    (case.root / "pipelines.py").write_text("raise RuntimeError('the working copy is not what was recorded')\n")
    shutil.rmtree(case.root / ".werk" / "objects" / "payloads")
    case.environment |= {"OMP_NUM_THREADS": "3", "OPENBLAS_CORETYPE": "Sandybridge", "PYTHONHASHSEED": "7", "POLARS_VERBOSE": "0"}
    found = case.rebuilt()
    assert (found["outcome"], found["causes"]) == ("identical", [])
    assert found["recorded"] == found["rebuilt"]


def test_a_stored_model_that_is_gone_is_not_missed(case: Case) -> None:
    shutil.rmtree(case.root / ".werk" / "objects")
    assert case.rebuilt()["outcome"] == "identical"


def test_a_step_that_looks_for_stored_models_finds_none(make: Callable[..., Case]) -> None:
    """The first training found none, a second one in the project finds the first; a rebuild of the first finds none again."""
    case = make(noise='float(len(list(p.object_store.list("models"))))')
    hashes = {row["canonical_hash"] for row in case.asked("models")}
    assert case.werk("run", "training", "--fresh").returncode == 0
    assert len({row["canonical_hash"] for row in case.asked("models")} - hashes) == 1
    assert case.rebuilt()["outcome"] == "identical"


def test_whoever_asks_lends_no_token_to_the_training(case: Case) -> None:
    case.environment["WERK_TOKEN"] = case.asked("actor", "add", "auditor")["token"]
    assert case.rebuilt()["outcome"] == "identical"


def test_the_order_of_a_set_is_the_same_in_every_process(make: Callable[..., Case]) -> None:
    """The hash seed is pinned: without it the first of a set of texts is another one each time."""
    assert make(noise='float(sorted("abcdefgh").index(next(iter(set("abcdefgh")))))').rebuilt()["causes"] == []


def test_a_run_mended_and_resumed_is_rebuilt_from_the_mended_code(make: Callable[..., Case]) -> None:
    case = make(noise="undefined", train=False)
    assert case.werk("run", "training").returncode == 1
    case.edit("noise = undefined", "noise = 0.0")
    assert case.werk("resume", case.asked("runs")[0]["run"]).returncode == 0
    assert case.rebuilt()["causes"] == []


# --- one thing changed: never identical, and named ---


def test_a_value_changed_in_a_data_file_is_named(case: Case) -> None:
    """The log is changed with it, as whoever wants to go unnoticed would."""
    [file] = (case.root / "lake" / "raw" / "rows").glob("*.parquet")
    size, rows = file.stat().st_size, pl.read_parquet(file)
    rows.with_columns(pl.when(pl.col("id") == 17).then(5.0).otherwise(pl.col("x")).alias("x")).write_parquet(file)
    log = case.root / "lake" / "raw" / "rows" / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace(f'"size":{size}', f'"size":{file.stat().st_size}'))
    found = case.rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"][0] == "data: raw.rows@0 no longer holds what step 'data-load' read"
    assert [cause for cause in found["causes"] if f"{file.name} has " in cause]


def test_rows_written_anew_with_the_same_values_are_not_what_was_recorded(case: Case) -> None:
    """The model comes out the same, and still the file is another one than the journal vouches for."""
    [file] = (case.root / "lake" / "raw" / "rows").glob("*.parquet")
    size = file.stat().st_size
    pl.read_parquet(file).write_parquet(file, compression="uncompressed")
    log = case.root / "lake" / "raw" / "rows" / "_delta_log" / f"{0:020}.json"
    log.write_text(log.read_text().replace(f'"size":{size}', f'"size":{file.stat().st_size}'))
    found = case.rebuilt()
    assert (found["outcome"], found["hashes_equal"]) == ("equivalent", True)
    assert any(f"raw.rows@0 is not what was written: {file.name} has " in cause for cause in found["causes"])


def test_a_flipped_byte_in_a_data_file_is_never_identical(case: Case) -> None:
    [file] = (case.root / "lake" / "raw" / "rows").glob("*.parquet")
    data = bytearray(file.read_bytes())
    data[len(data) // 3] ^= 0xFF
    file.write_bytes(data)
    found = case.rebuilt()
    assert found["outcome"] in ("different", "not rebuildable")
    assert "raw.rows" in found["causes"][0]


def test_another_version_of_a_package_is_named_and_equivalent_at_best(case: Case) -> None:
    case.install("1.1")
    found = case.rebuilt()
    assert (found["outcome"], found["hashes_equal"]) == ("equivalent", True)
    assert found["causes"] == ["environment: distribution toy-lib: 1.0 -> 1.1"]


def test_a_changed_file_of_a_package_is_named_on_demand(case: Case) -> None:
    (case.site / "toy.py").write_text("x = 2\n")
    assert case.rebuilt()["outcome"] == "identical"
    found = case.rebuilt("--verify")
    assert found["outcome"] == "equivalent"
    assert "installed file: toy-lib 1.0: toy.py is not what its RECORD says" in found["causes"]


def test_another_seed_is_named(make: Callable[..., Case]) -> None:
    case = make(fit=BOOSTED.replace("rounds=5", 'rounds=5, params={"feature_fraction": 0.5}'))
    case.environment["CASE_SEED"] = "2"
    found = case.rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"][0] == "seed: 1 -> 2"


def test_another_thread_count_of_the_trainer_is_named(case: Case) -> None:
    case.environment["CASE_THREADS"] = "2"
    found = case.rebuilt()
    assert (found["outcome"], found["hashes_equal"]) == ("equivalent", True)
    assert found["causes"][0] == "parameter num_threads: 1 -> 2"


def test_a_variable_that_gets_past_the_recorded_ones_is_named_with_what_it_does(case: Case) -> None:
    (case.site / "sitecustomize.py").write_text('import os\nos.environ["OMP_NUM_THREADS"] = "2"\n')
    found = case.rebuilt()
    assert (found["outcome"], found["hashes_equal"]) == ("equivalent", True)
    assert "environment: variable OMP_NUM_THREADS: '1' -> '2'" in found["causes"]
    assert "environment: thread openmp: 1 -> 2" in found["causes"]


def test_a_line_of_code_that_was_another_one_when_its_step_ran_is_named(make: Callable[..., Case]) -> None:
    """Changed between the failure and the resume: the finished step's result is of the old line."""
    case = make(noise="undefined", train=False)
    assert case.werk("run", "training").returncode == 1
    case.edit("noise = undefined", "noise = 0.0")
    case.edit('tables.scan("raw.rows").collect()', 'tables.scan("raw.rows").filter(pl.col("id") < 300).collect()')
    assert case.werk("resume", case.asked("runs")[0]["run"]).returncode == 0
    found = case.rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"][0] == "code: that of step 'data-load' is not what ran"


def test_a_line_changed_in_the_kept_code_is_found(case: Case) -> None:
    store = case.root / ".werk" / "code.git" / "objects"
    text = (case.root / "pipelines.py").read_bytes()
    framed = b"blob %d\0%b" % (len(text), text)
    name = hashlib.sha1(framed).hexdigest()
    blob = store / name[:2] / name[2:]
    assert zlib.decompress(blob.read_bytes()) == framed
    blob.write_bytes(zlib.compress(framed.replace(b"noise = 0.0", b"noise = 0.5")))
    found = case.rebuilt()
    assert found["outcome"] == "not rebuildable"
    assert found["causes"] == [f"code: The kept file {name} is damaged."]


def test_a_trainer_that_does_not_repeat_itself_is_different(make: Callable[..., Case]) -> None:
    found = make(SHAKEN.format("1")).rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"] == ["the training does not repeat itself: step 'training' gives another result each time"]
    assert found["probe"]["rows"] == 256
    assert found["probe"]["largest"] > found["probe"]["tolerance"]


def test_a_dependency_nobody_recorded_is_told_from_a_training_that_does_not_repeat_itself(make: Callable[..., Case]) -> None:
    case = make(noise='pl.col("z") * float(os.environ.get("CASE_WEIGHT", 0))')
    case.environment["CASE_WEIGHT"] = "3"
    found = case.rebuilt()
    assert found["outcome"] == "different"
    assert found["causes"] == [
        "step 'training' depends on something that is not recorded: it repeats itself here, with another result"
    ]


# --- equivalent, not comparable, not rebuildable ---


def test_predictions_within_the_tolerance_are_equivalent(make: Callable[..., Case]) -> None:
    found = make(SHAKEN.format("1e-10"), LINEAR).rebuilt()
    assert (found["outcome"], found["hashes_equal"]) == ("equivalent", False)
    assert 0 < found["probe"]["largest"] <= found["probe"]["tolerance"] == 1e-6


def test_predictions_without_the_stored_probe_are_not_called_equivalent(make: Callable[..., Case]) -> None:
    case = make(SHAKEN.format("1e-10"), LINEAR)
    shutil.rmtree(case.root / ".werk" / "objects" / "probes")
    found = case.rebuilt()
    assert (found["outcome"], found["probe"]) == ("different", None)


def test_another_architecture_is_not_comparable(make: Callable[..., Case]) -> None:
    case = make(train=False)
    elsewhere = case.site / "sitecustomize.py"
    elsewhere.write_text(ELSEWHERE)
    case.train()
    elsewhere.unlink()
    found = case.rebuilt()
    assert (found["outcome"], found["rebuilt"]) == ("not comparable", "")
    assert re.fullmatch(r"machine architecture: 'riscv64' -> '\w+'", found["causes"][0])


def test_tables_that_are_gone_are_named(case: Case) -> None:
    shutil.rmtree(case.root / "lake")
    found = case.rebuilt()
    assert (found["outcome"], found["causes"]) == ("not rebuildable", ["raw.rows@0 is gone"])


def test_a_table_that_was_vacuumed_is_named(case: Case) -> None:
    [file] = (case.root / "lake" / "raw" / "rows").glob("*.parquet")
    file.unlink()
    found = case.rebuilt()
    assert found["outcome"] == "not rebuildable"
    assert "'raw.rows' cannot be read" in found["causes"][0]


def test_a_library_that_is_gone_is_named(make: Callable[..., Case]) -> None:
    case = make(train=False)
    case.edit("import random", "import random, toy")
    case.train()
    shutil.rmtree(case.site)
    found = case.rebuilt()
    assert found["outcome"] == "not rebuildable"
    assert "No module named 'toy'" in found["causes"][-1]


def test_code_that_was_left_out_for_a_secret_is_said_at_the_run_and_named_at_the_rebuild(make: Callable[..., Case]) -> None:
    """Where it was found, not what: the secret itself is nowhere."""
    case = make(train=False)
    word = "tr0ub4dor"
    case.edit("import random", f"import random\n\nURL = f'postgresql://werk:{word}@{{os.name}}/flights'")
    ran = case.werk("run", "training")
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr.count("warning: ") == 1
    assert "warning: pipelines.py (password in a URL, line 5) is not kept with the run's code" in ran.stderr
    left_out = case.asked("show", ran.stdout.strip())["code"]["left_out"]
    assert left_out == ["pipelines.py (password in a URL, line 5)"]
    found = case.rebuilt()
    assert found["outcome"] == "not rebuildable"
    assert found["causes"][0] == "code: pipelines.py (password in a URL, line 5) was left out when the run was recorded"
    for told in (ran.stderr, json.dumps(found), (case.root / ".werk" / "journal.db").read_bytes().decode(errors="replace")):
        assert word not in told


def test_code_from_outside_is_said_at_the_run_runs_again_when_it_changed_and_rebuilds_to_no_identical(
    make: Callable[..., Case],
) -> None:
    case = make(train=False)
    (case.site / "loose.py").write_text("def noise():\n    return 0.0\n")  # on the import path and in no RECORD
    case.edit("import random", "import random\n\nimport loose")
    case.edit("0.0", "loose.noise()")
    ran = case.werk("run", "training")
    assert ran.returncode == 0, ran.stderr
    assert "warning: loose.py lies outside the project" in ran.stderr
    digest = hashlib.sha256((case.site / "loose.py").read_bytes()).hexdigest()
    assert case.asked("show", ran.stdout.strip())["code"]["elsewhere"] == {"loose.py": digest}
    found = case.rebuilt()
    assert found["outcome"] == "equivalent"
    assert any(cause.startswith("code: loose.py lay outside the project") for cause in found["causes"])
    (case.site / "loose.py").write_text("def noise():\n    return 0.5\n")
    case.train()
    assert len({version["canonical_hash"] for version in case.asked("models")}) == 2, "nothing of it came from the cache"


def test_an_erased_training_is_not_a_failure(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WERK_HOME", case.environment["WERK_HOME"])
    session = open_session(case.root)
    [started] = session.journal.facts(kinds=("run.started",))
    erase_body(session.journal, started.seq, "a person's right")
    session.journal.close()
    found = case.rebuilt()
    assert (found["outcome"], found["causes"]) == ("not rebuildable", ["what it was trained from is erased"])


# --- what a run records, without a line of the user's ---


def test_a_run_tells_its_seed_threads_libraries_and_hardware(case: Case) -> None:
    made = case.asked("show", case.asked("runs")[0]["run"])["made_with"]
    assert made["seeds"] == {"training": 1}
    assert made["params"]["training"]["num_threads"] == 1
    assert (made["threads"]["openblas"], made["threads"]["openmp"]) == (1, 1)
    assert made["variables"]["PYTHONHASHSEED"] == "0"
    assert {"lightgbm", "numpy", "toy-lib"} <= set(made["distributions"])
    assert made["hardware"]["cpus"] == os.cpu_count()
    assert {"libc", "libm"} <= set(made["libraries"])


def test_lineage_tells_the_commit_and_whether_something_was_uncommitted(case: Case) -> None:
    (case.root / ".gitignore").write_text("lake/\n")
    for words in (
        ("init", "-q"),
        ("add", "-A"),
        ("-c", "user.name=A", "-c", "user.email=a@example.org", "commit", "-qm", "first"),
    ):
        subprocess.run(["git", *words], cwd=case.root, check=True)
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=case.root, check=True, capture_output=True, text=True).stdout.strip()
    case.edit("noise = 0.0", "noise = 0.5")
    case.train()
    told = case.werk("lineage", "small:2").stdout
    (command,) = re.findall(rf"commit {head} with uncommitted changes: werk (show run_\w+ --uncommitted)\n", told)
    assert "+++ b/pipelines.py" in case.werk(*command.split()).stdout
    assert ", not in a git repository\n" in case.werk("lineage", "small:1").stdout
    assert "not in a git repository" in case.werk("show", "small:1").stdout


def test_what_somebody_has_set_himself_is_kept_and_recorded(case: Case) -> None:
    case.environment["OPENBLAS_NUM_THREADS"] = "2"
    made = case.asked("show", case.train())["made_with"]
    assert (made["threads"]["openblas"], made["threads"]["openmp"]) == (2, 1)


def test_a_second_run_is_all_cache_hits_from_another_shell_and_none_with_another_library(case: Case) -> None:
    def trained() -> dict[str, str]:
        return {step["step"]: step["status"] for step in case.asked("show", case.train())["steps"]}

    case.environment |= {"EDITOR": "vi", "POLARS_FMT_MAX_ROWS": "5", "OMP_DISPLAY_ENV": "FALSE", "COLUMNS": "40"}
    again = trained()
    assert (again["data-load"], again["training"], again["model-evaluation"]) == ("cached", "cached", "cached")
    case.install("1.1")
    assert trained()["training"] == "finished"
    case.environment["OMP_NUM_THREADS"] = "2"
    assert trained()["training"] == "finished"
    assert trained()["training"] == "cached"


def test_every_version_has_its_probe_and_the_tolerance_that_was_set(case: Case) -> None:
    with closing(sqlite3.connect(case.root / ".werk" / "journal.db")) as database:
        bodies = [json.loads(row[0]) for row in database.execute("SELECT body FROM facts WHERE kind = 'model.probed'")]
    assert [(body["rows"], body["tolerance"], body["step"]) for body in bodies] == [(256, 1e-6, "training")]
