"""A project is carried to a safe place while it works, and lives again from there; nothing damaged is taken for whole."""

import base64
import hashlib
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
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

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
    place = Place(tmp_path_factory.mktemp("lived") / "here")
    place.root.mkdir(parents=True)
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


@pytest.fixture(scope="module")
def safe(lived: Place) -> Path:
    lived.werk("backup", str(lived.folder.parent / "safe"))
    return lived.folder.parent / "safe"


@pytest.fixture
def backup(safe: Path, tmp_path: Path) -> Path:
    shutil.copytree(safe, tmp_path / "safe")
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


# --- forged ones ---


def _own_key(backup: Path) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes((backup / "keys/werk.key").read_bytes()[:32])


def signed_again(backup: Path, key: Ed25519PrivateKey, **changed: object) -> str:
    """Whoever can write the folder names the files that lie there now, and signs that; returns the fingerprint of the key."""
    manifest = {**json.loads((backup / "manifest.json").read_text()), **changed}
    names = [path.relative_to(backup).as_posix() for path in backup.rglob("*") if path.is_file()]
    kept = [name for name in names if not name.startswith("manifest.")]
    manifest["files"] = {name: hashlib.sha256((backup / name).read_bytes()).hexdigest() for name in kept}
    text, public = json.dumps(manifest, sort_keys=True).encode(), key.public_key().public_bytes_raw()
    (backup / "manifest.json").write_bytes(text)
    (backup / "manifest.sig").write_bytes(key.sign(text))
    (backup / "manifest.pub").write_bytes(public)
    return hashlib.sha256(public).hexdigest()


def a_stranger(tmp_path: Path, name: str = "there") -> Place:
    there = Place(tmp_path / name)
    there.folder.mkdir()
    return there


def refused(there: Place, backup: Path, code: int, *words: str) -> str:
    """In a sentence and a next step, with nothing written: neither a folder nor a key."""
    before = sorted(there.folder.rglob("*"))
    said = there.werk("restore", str(backup), "new", *words, code=code, cwd=there.folder)
    assert sorted(there.folder.rglob("*")) == before
    assert said.count("\n") == 2, said
    return said


def rekeyed(backup: Path, key: Ed25519PrivateKey) -> None:
    (backup / "keys/werk.key").write_bytes(key.private_bytes_raw() + bytes(32))


def head_signed_by(key: Ed25519PrivateKey, line: str) -> str:
    head = json.loads(line)
    head.pop("sig")
    text = json.dumps(head, sort_keys=True, separators=(",", ":")).encode()
    return json.dumps({**head, "sig": base64.b64encode(key.sign(text)).decode()}, sort_keys=True, separators=(",", ":"))


def test_one_that_another_key_has_signed_again_is_refused(place: Place, backup: Path, tmp_path: Path) -> None:
    stranger, key = a_stranger(tmp_path), Ed25519PrivateKey.generate()
    with (backup / "project/pipelines.py").open("a") as file:
        file.write("\nprint('mine now')\n")
    fingerprint = signed_again(backup, key)
    shutil.rmtree(place.root)
    assert f"{fingerprint}, which is not the one of this machine" in refused(place, backup, 3, "--replace")
    assert "another one has signed it" in refused(stranger, backup, 1)
    rekeyed(backup, key)
    signed_again(backup, key)
    assert "signed with another key" in refused(stranger, backup, 1), "the heads of its journal know the key"
    shutil.rmtree(backup / "keys")
    signed_again(backup, key)
    assert "holds no key" in refused(stranger, backup, 3)
    shutil.rmtree(place.folder / "home/keys")
    assert "has not signed this machine's heads" in refused(place, backup, 3, "--replace"), "though the key is lost here"


def test_what_an_unknown_key_has_signed_throughout_says_whose_it_is(backup: Path, tmp_path: Path) -> None:
    """Nobody can tell such a one from an honest backup but by the fingerprint."""
    real, key = hashlib.sha256((backup / "manifest.pub").read_bytes()).hexdigest(), Ed25519PrivateKey.generate()
    (heads,) = (backup / "journal/heads").iterdir()
    heads.write_text("".join(head_signed_by(key, line) + "\n" for line in heads.read_text().splitlines()))
    rekeyed(backup, key)
    forged = signed_again(backup, key)
    there = a_stranger(tmp_path)
    assert f"{forged}, which is not the one you asked for" in refused(there, backup, 3, "--key", real)
    said = there.werk("restore", str(backup), cwd=there.folder)
    assert f"signed by the key {forged}, which this machine did not know" in said


def test_a_backup_tells_its_fingerprint_and_a_restore_can_ask_for_it(place: Place, tmp_path: Path) -> None:
    told = place.json("backup", str(tmp_path / "safe"))["key"]
    there = a_stranger(tmp_path)
    found = json.loads(there.werk("restore", str(tmp_path / "safe"), "--key", told, "--json", cwd=there.folder))
    assert (found["key"], found["key_known"]) == (told, False)
    shutil.rmtree(there.root)
    again = there.werk("restore", str(tmp_path / "safe"), "--replace", cwd=there.folder)
    assert "did not know" not in again, "by now it does"


def changed_fact(backup: Path) -> None:
    facts = backup / "journal/facts.jsonl"
    text = facts.read_text()
    assert "data-load" in text
    facts.write_text(text.replace("data-load", "data-lead", 1))


BROKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a changed fact": (changed_fact, "not the one that was hashed"),
    "no journal": (lambda b: (b / "journal/journal.json").unlink(), "cannot be read"),
    "lines of something else": (lambda b: (b / "journal/facts.jsonl").write_text("[1]\n"), "cannot be read"),
    "a cut tail": (
        lambda b: (b / "journal/facts.jsonl").write_text(
            "\n".join((b / "journal/facts.jsonl").read_text().split("\n")[:-3]) + "\n"
        ),
        "do not end where it says",
    ),
}


@pytest.mark.parametrize("harm", BROKEN)
def test_a_journal_that_the_audit_would_call_damaged_is_not_put_in_place(backup: Path, tmp_path: Path, harm: str) -> None:
    do, sentence = BROKEN[harm]
    do(backup)
    signed_again(backup, _own_key(backup))
    assert sentence in refused(a_stranger(tmp_path), backup, 1)


NAMES: dict[str, tuple[str, str]] = {
    "of the project": ("name", "../../escaped"),
    "of the project, absolute": ("name", "/tmp/escaped"),
    "of its id": ("project", "../escaped"),
    "of the journal": ("journal", "../../escaped"),
}


@pytest.mark.parametrize("which", NAMES)
def test_no_name_in_the_manifest_leads_out(backup: Path, tmp_path: Path, which: str) -> None:
    field, value = NAMES[which]
    signed_again(backup, _own_key(backup), **{field: value})
    assert "can be called" in refused(a_stranger(tmp_path), backup, 1)
    assert not list(tmp_path.rglob("*escaped*"))


def test_another_journal_than_the_manifest_names_is_refused(backup: Path, tmp_path: Path) -> None:
    about = json.loads((backup / "journal/journal.json").read_text())
    (backup / "journal/journal.json").write_text(json.dumps({**about, "journal": "../../escaped"}))
    signed_again(backup, _own_key(backup))
    assert "the manifest names" in refused(a_stranger(tmp_path), backup, 1)


@pytest.mark.parametrize("name", ["project/.werk/journal.db", "project/.git/hooks/post-checkout", "keys/other.key", "else/x"])
def test_a_file_that_no_backup_holds_is_refused(backup: Path, tmp_path: Path, name: str) -> None:
    (backup / name).parent.mkdir(parents=True, exist_ok=True)
    (backup / name).write_text("x")
    signed_again(backup, _own_key(backup))
    assert "which no `werk backup` writes" in refused(a_stranger(tmp_path), backup, 1)


SETTINGS = {
    "tables": ('[table_store]\nuse = "delta"\npath = "{out}"', "its tables in"),
    "tables by an address": ('[table_store]\nuse = "delta"\npath = "file://{out}"', "its tables in"),
    "objects": ('[object_store]\nuse = "file"\npath = "../../escaped"', "its objects in"),
    "the key": ('[key_store]\nuse = "file"\npath = "{out}"', "its keys in"),
    "the journal": ('[journal]\nurl = "sqlite:///{out}/journal.db"', "its journal in"),
    "the journal's driver": ('[journal]\nurl = "sqlite+pysqlite:///{out}/journal.db"', "its journal in"),
    "a server": ('[table_store]\nuse = "delta"\npath = "s3://bucket/tables"', "its tables on a server"),
}


@pytest.mark.parametrize("what", SETTINGS)
def test_its_own_settings_put_nothing_outside_the_new_folder(backup: Path, tmp_path: Path, what: str) -> None:
    text, sentence = SETTINGS[what]
    with (backup / "project/werk.toml").open("a") as file:
        file.write("\n" + text.format(out=tmp_path / "escaped") + "\n")
    signed_again(backup, _own_key(backup))
    there = a_stranger(tmp_path)
    assert sentence in refused(there, backup, 3)
    assert not (tmp_path / "escaped").exists()
    if "server" not in sentence:
        assert sentence in refused(there, backup, 3, "--profile", "local")


def test_tables_outside_come_back_there_when_that_is_said(place: Place, tmp_path: Path) -> None:
    shutil.move(place.root / "lake", tmp_path / "lake-of-small")
    (tmp_path / "lake-of-small").rename(tmp_path / "prj_small")
    (tmp_path / "shared").mkdir()
    (tmp_path / "prj_small").rename(tmp_path / "shared/prj_small")
    with (place.root / "werk.toml").open("a") as file:
        file.write(f'\n[table_store]\npath = "{tmp_path}/shared"\n')
    place.werk("backup", str(tmp_path / "safe"))
    shutil.rmtree(tmp_path / "shared")
    there = a_stranger(tmp_path)
    assert f"{tmp_path}/shared" in refused(there, tmp_path / "safe", 3)
    there.werk("restore", str(tmp_path / "safe"), "--outside", cwd=there.folder)
    assert (tmp_path / "shared/prj_small/raw/rows").is_dir()
    assert there.json("audit", "verify")["ok"]


def test_a_refused_restore_without_a_key_makes_none(place: Place, tmp_path: Path) -> None:
    place.werk("backup", str(tmp_path / "bare"), "--no-keys")
    place.werk("backup", str(tmp_path / "full"))
    there = a_stranger(tmp_path)
    refused(there, tmp_path / "bare", 3)
    there.werk("restore", str(tmp_path / "full"), cwd=there.folder)


def test_a_restore_does_not_go_into_its_backup(backup: Path, tmp_path: Path) -> None:
    there = a_stranger(tmp_path)
    assert "lies inside the backup" in there.werk("restore", str(backup), str(backup / "new"), code=2, cwd=there.folder)
    assert not (backup / "new").exists()


# --- killed ones ---


def begun(place: Place, command: list[str], cwd: Path, beside: Path) -> tuple[subprocess.Popen[bytes], Path]:
    """A process whose unfinished folder is there."""
    process = subprocess.Popen(command, cwd=cwd, env=place.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 60
    while not (found := [path for path in beside.parent.glob(f".{beside.name}.unfinished-*") if path.is_dir()]):
        assert time.monotonic() < until, "it never began"
        assert process.poll() is None, "it ended too soon"
    process.send_signal(signal.SIGSTOP)
    return process, found[0]


@pytest.mark.skipif(os.name != "posix", reason="stops a process by a signal")
@pytest.mark.parametrize("verb", ["backup", "restore"])
def test_what_a_killed_one_left_goes_with_the_next_and_never_what_is_being_written(
    place: Place, backup: Path, tmp_path: Path, verb: str
) -> None:
    there, target = a_stranger(tmp_path), tmp_path / "target"
    words = ("backup", str(target)) if verb == "backup" else ("restore", str(backup), str(target))
    at, cwd = (place, place.root) if verb == "backup" else (there, there.folder)
    process, folder = begun(at, at.command(*words), cwd, target)
    said = at.werk(*words, cwd=cwd)
    assert folder.is_dir(), "somebody writes it"
    assert "removed" not in said
    process.kill()
    process.wait()
    shutil.rmtree(target)
    shutil.rmtree(there.folder / "home", ignore_errors=True)
    assert f"removed what a killed one had left: {folder}" in at.werk(*words, cwd=cwd)
    assert not list(tmp_path.glob(".target*")), "nor its lock"


def test_an_unfinished_folder_of_which_nobody_can_tell_is_named_and_left(place: Place, tmp_path: Path) -> None:
    old = tmp_path / ".target.unfinished-00000000"
    old.mkdir()
    assert f"if nobody is writing it: {old}" in place.werk("backup", str(tmp_path / "target"))
    assert old.is_dir()


def test_a_link_in_the_project_is_left_out_and_named_so_that_the_backup_can_be_restored(place: Place, tmp_path: Path) -> None:
    (place.root / "link.parquet").symlink_to("rows.parquet")
    assert place.json("backup", str(tmp_path / "safe"))["left_out"] == ["link.parquet"]
    assert not (elsewhere(tmp_path / "safe", tmp_path).root / "link.parquet").is_symlink()
