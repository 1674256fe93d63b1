"""A project is carried to a safe place while it works, and lives again from there; nothing damaged is taken for whole."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

SEED = int(os.environ.get("WERK_SEED", "0")) or random.SystemRandom().randrange(10**6)
KILLS = int(os.environ.get("WERK_KILLS", "6"))
PIPELINES = """
import polars as pl

from werk import Model, fit_lightgbm, pipeline, step, steps


@step("data-load")
def load(*, tables) -> pl.DataFrame:
    return tables.scan("raw.rows").collect()


@step("training")
def train(rows: pl.DataFrame) -> Model:
    return fit_lightgbm(rows, target="y", key=["id"], features=["x", "z"], rounds=5)


@pipeline
def training():
    rows = load()
    model = train(rows)
    report = steps.evaluate(model, rows)
    version = steps.register(model, report)
    steps.monitor(version, model, rows, rows)
    steps.store_metadata(version, report)


@pipeline
def batch_inference(window: str, model: str):
    rows = load()
    scored = steps.batch_inference(rows, model, window)
    steps.check(scored, rows, model, window)


@pipeline
def deployment(model: str):
    steps.deploy(model)


@step("first", cache=False)
def first() -> int:
    return 1


@step("second", cache=False)
def second(n: int) -> int:
    open("door").close()
    return n + 1


@pipeline
def half_way():
    second(first())
"""
TOML = """
[project]
name = "small"
id = "prj_small"

[[trigger]]
name = "deploy-approved"
on = "model.approved"
pipeline = "deployment"
params = {model = "$subject"}
"""
PLAN = "goal = 'g'\nowner = 'o'\nrisk_class = 'minimal'\nsuccess_metric = 'auc'\naffected_people = 'none'\n"


LOOP = """
import subprocess, sys
while True:
    subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
"""


class Place:
    """A folder with a project and the keys and heads of its machine."""

    def __init__(self, folder: Path, project: str = "small") -> None:
        self.folder = folder
        self.root = folder / project
        self.env = {**os.environ, "WERK_HOME": str(folder / "home")}

    def werk(self, *words: str, code: int = 0, cwd: Path | None = None, **env: str) -> str:
        done = subprocess.run(
            self.command(*words), cwd=cwd or self.root, env={**self.env, **env}, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout if code == 0 else done.stderr

    def json(self, *words: str) -> Any:
        return json.loads(self.werk(*words, "--json"))

    @staticmethod
    def command(*words: str) -> list[str]:
        return [sys.executable, "-m", "werk.app.cli", *words]


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two landings, a model approved and deployed, predictions, and a run that failed half-way."""
    place = Place(tmp_path_factory.mktemp("lived"))
    place.root.mkdir()
    for name, text in {"werk.toml": TOML, "plan.toml": PLAN, "pipelines.py": PIPELINES}.items():
        (place.root / name).write_text(text)
    (place.root / "gate.toml").write_text("[metrics.auc]\nmin = 0.5\n")
    chance = np.random.default_rng(7)
    x = chance.normal(size=400)
    rows = {"id": range(400), "x": x, "z": chance.normal(size=400), "y": (x + chance.normal(size=400) > 0).astype(int)}
    pl.DataFrame(rows).write_parquet(place.root / "rows.parquet")
    place.werk("ingest", "raw.rows", "rows.parquet")
    place.werk("run", "training")
    token = place.json("actor", "add", "second")["token"]
    place.werk("approve", "small:1", WERK_TOKEN=token)
    place.werk("run", "batch_inference", "-p", "window=w", "-p", "model=small:1")
    pl.DataFrame(rows).head(200).write_parquet(place.root / "rows.parquet")
    place.werk("ingest", "raw.rows", "rows.parquet")
    place.werk("run", "half_way", code=1)
    return place


@pytest.fixture
def place(lived: Place, tmp_path: Path) -> Place:
    shutil.copytree(lived.folder, tmp_path / "here")
    return Place(tmp_path / "here")


@pytest.fixture
def backup(place: Place, tmp_path: Path) -> Path:
    place.werk("backup", str(tmp_path / "safe"))
    return tmp_path / "safe"


def elsewhere(backup: Path, tmp_path: Path, name: str = "there") -> Place:
    """Restored on a machine that has never seen the project."""
    there = Place(tmp_path / name)
    there.folder.mkdir()
    there.werk("restore", str(backup), cwd=there.folder)
    return there


def test_a_restored_project_is_whole_and_goes_on(place: Place, backup: Path, tmp_path: Path) -> None:
    there = elsewhere(backup, tmp_path)
    shutil.rmtree(place.folder)
    assert there.json("audit", "verify")["ok"]
    assert there.json("audit", "verify")["heads"] > 0
    assert there.json("rebuild", "small:1")["outcome"] == "identical"
    assert [row["n"] for row in there.json("sql", "select count(*) as n from raw.rows")] == [200]
    assert there.json("predict", "small:1", "raw.rows@0", "--out", "old.csv")["rows"] == 400, "the version before it is there too"
    (one,) = there.json("sql", "select min(prediction_id) as id from product.predictions")
    assert there.json("explain", one["id"])["again"]
    assert list((there.root / ".werk/serving/endpoints").glob("*.json")), "what was deployed answers again"
    (run,) = [row for row in there.json("runs") if row["pipeline"] == "half_way"]
    (there.root / "door").touch()
    there.werk("resume", run["run"])
    steps = there.json("show", run["run"])["steps"]
    assert [(step["step"], step["attempt"]) for step in steps] == [("first", 1), ("second", 2)]
    there.werk("ingest", "raw.rows", "rows.parquet")
    there.werk("run", "batch_inference", "-p", "window=w2", "-p", "model=small:1")
    assert there.json("audit", "verify")["ok"]


def test_every_table_version_that_a_fact_names_opens_with_its_rows(backup: Path, tmp_path: Path) -> None:
    there = elsewhere(backup, tmp_path)
    named = there.json("sql", 'select "table", version, rows from journal.table_versions')
    assert len(named) >= 3
    for row in named:
        if row["table"] == "raw.rows":
            out = there.json("predict", "small:1", f"raw.rows@{row['version']}", "--out", "scored.csv")
            assert out["rows"] == row["rows"]


def test_a_backup_taken_while_others_write_is_of_one_fact(place: Place, tmp_path: Path) -> None:
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", LOOP, *place.command(*words)], cwd=place.root, env=place.env, start_new_session=True
        )
        for words in (("run", "training", "--fresh"), ("run", "half_way"))
    ]
    try:
        time.sleep(2)
        taken = [place.json("backup", str(tmp_path / "safe0"))]
        deadline = time.monotonic() + 60
        while place.json("status")["head"]["seq"] <= taken[0]["seq"]:
            assert time.monotonic() < deadline, "nobody writes"
        taken.append(place.json("backup", str(tmp_path / "safe1")))
    finally:
        for writer in writers:
            os.killpg(writer.pid, signal.SIGKILL)
            writer.wait()
    assert taken[0]["seq"] < taken[1]["seq"], "they were writing"
    for at, found in enumerate(taken):
        there = elsewhere(tmp_path / f"safe{at}", tmp_path, f"there{at}")
        audit = there.json("audit", "verify")
        assert audit["ok"], audit
        assert audit["facts"] == found["seq"] + 1, "the restore itself is a fact"
        assert there.json("rebuild", "small:1")["outcome"] == "identical"


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))


def test_one_flipped_byte_anywhere_is_named_before_anything_is_written(backup: Path, tmp_path: Path) -> None:
    files = sorted(path for path in backup.rglob("*") if path.is_file() and path.stat().st_size)
    chosen = random.Random(SEED).sample(files, 8)
    there = Place(tmp_path / "there")
    there.folder.mkdir()
    for path in chosen:
        whole = path.read_bytes()
        _flip(path)
        said = there.werk("restore", str(backup), code=1, cwd=there.folder)
        name = path.relative_to(backup).as_posix()
        assert name in said or name.startswith("manifest."), f"WERK_SEED={SEED} {name}: {said}"
        path.write_bytes(whole)
    assert list(there.folder.iterdir()) == []


HARMS: dict[str, tuple[Callable[[Path], object], int, str]] = {
    "a missing file": (lambda b: next((b / "tables").rglob("*.parquet")).unlink(), 1, "lacks the file tables/"),
    "one file more": (lambda b: (b / "objects/extra").write_text("x"), 1, "objects/extra that it does not name"),
    "a link": (lambda b: (b / "objects/link").symlink_to("/etc/passwd"), 1, "holds a link"),
    "no manifest": (lambda b: (b / "manifest.json").unlink(), 2, "no complete backup"),
    "a cut file": (lambda b: (b / "journal/facts.jsonl").write_text(""), 1, "journal/facts.jsonl that is not what was written"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_damaged_backup_is_refused_in_a_sentence(backup: Path, tmp_path: Path, harm: str) -> None:
    do, code, sentence = HARMS[harm]
    do(backup)
    there = Place(tmp_path / "there")
    there.folder.mkdir()
    said = there.werk("restore", str(backup), code=code, cwd=there.folder)
    assert sentence in said
    assert said.count("\n") == 2, "a sentence and a next step"
    assert not any(there.folder.iterdir())


def test_a_name_that_leads_out_is_refused_though_it_is_signed(backup: Path, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    key = Ed25519PrivateKey.generate()
    manifest = json.loads((backup / "manifest.json").read_text())
    manifest["files"]["../../outside"] = manifest["files"]["project/werk.toml"]
    text = json.dumps(manifest, sort_keys=True).encode()
    (backup / "manifest.json").write_bytes(text)
    (backup / "manifest.sig").write_bytes(key.sign(text))
    (backup / "manifest.pub").write_bytes(key.public_key().public_bytes_raw())
    there = Place(tmp_path / "there")
    there.folder.mkdir()
    assert "leads out of it" in there.werk("restore", str(backup), code=1, cwd=there.folder)
    assert not any(there.folder.iterdir())


def test_a_restore_beside_the_original_is_refused_and_replacing_it_is_a_fact(place: Place, backup: Path) -> None:
    said = place.werk("restore", str(backup), "again", code=3, cwd=place.folder)
    assert "its original may still be in use" in said
    assert not (place.folder / "again").exists()
    place.werk("ingest", "raw.more", "rows.parquet")
    shutil.rmtree(place.root)
    found = json.loads(place.werk("restore", str(backup), "again", "--replace", "--json", cwd=place.folder))
    assert "set-aside" in found["set_aside"]
    again = Place(place.folder, "again")
    assert again.json("audit", "verify")["ok"]
    (fact,) = again.json("sql", "select body from journal.facts where kind = 'project.restored'")
    assert json.loads(fact["body"])["set_aside"]


def test_without_the_key_it_lives_only_where_the_key_is(place: Place, tmp_path: Path) -> None:
    place.werk("backup", str(tmp_path / "bare"), "--no-keys")
    assert not (tmp_path / "bare/keys").exists()
    there = Place(tmp_path / "there")
    there.folder.mkdir()
    assert "holds no key" in there.werk("restore", str(tmp_path / "bare"), code=3, cwd=there.folder)
    shutil.copytree(place.folder / "home/keys", there.folder / "home/keys", dirs_exist_ok=True)
    for old in (there.folder / "home/keys").iterdir():
        shutil.copy2(place.folder / "home/keys" / old.name, old)
    there.werk("restore", str(tmp_path / "bare"), cwd=there.folder)
    assert there.json("audit", "verify")["ok"]


@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_a_killed_one_is_never_taken_for_whole(place: Place, backup: Path, tmp_path: Path, verb: str) -> None:
    chance = random.Random(SEED)
    there = Place(tmp_path / "there")
    there.folder.mkdir()
    command, cwd, at = {
        "backup": (place.command("backup", str(tmp_path / "target")), place.root, place),
        "restore": (place.command("restore", str(backup), str(tmp_path / "target")), there.folder, there),
    }[verb]
    whole = 0
    for _ in range(KILLS):
        process = subprocess.Popen(command, cwd=cwd, env=at.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(chance.uniform(0.2, 2.0))
        process.kill()
        process.wait()
        if (tmp_path / "target").exists():
            whole += 1
            _whole(verb, tmp_path, f"back{whole}")
            shutil.rmtree(tmp_path / "target")
        shutil.rmtree(there.folder / "home", ignore_errors=True)
    print(f"WERK_SEED={SEED} WERK_KILLS={KILLS}: {whole} came to their end")


def _whole(verb: str, tmp_path: Path, name: str) -> None:
    if verb == "backup":
        elsewhere(tmp_path / "target", tmp_path, name)
    else:
        assert (tmp_path / "target/werk.toml").is_file()
        assert (tmp_path / "target/.werk/journal.db").is_file()


def test_a_full_disk_leaves_nothing_that_looks_like_a_backup(place: Place, tmp_path: Path) -> None:
    small = tmp_path / "small-disk"
    small.mkdir()
    if (
        os.name != "posix"
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", small], capture_output=True).returncode
    ):
        pytest.skip("no disk can be made small here")
    try:
        said = place.werk("backup", str(small / "safe"), code=2)
        assert "No space left on device" in said
        assert list(small.iterdir()) == []
    finally:
        subprocess.run(["umount", small], check=True)


def test_it_does_not_go_into_the_project_or_over_another(place: Place, backup: Path) -> None:
    assert "lies inside the project" in place.werk("backup", "inside", code=2)
    assert "not empty" in place.werk("backup", str(backup), code=2)
    assert "not empty" in place.werk("restore", str(backup), str(place.root), code=2)
