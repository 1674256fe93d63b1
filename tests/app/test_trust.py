"""From the command line: what edits of the database are found, what is never signed, and what reading rights alone allow."""

from __future__ import annotations

import html
import io
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from werk.app import cli, wiring

TOML = '[project]\nname = "small"\nid = "prj_small"\n'
PIPELINES = """
from werk import pipeline, step


@step("one", cache=False)
def one() -> int:
    return 1


@pipeline
def small():
    one()
"""


@dataclass(frozen=True, slots=True)
class Said:
    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True, slots=True)
class Place:
    root: Path
    home: Path

    def ask(self, *words: str) -> Said:
        """As the script does, with the project's code imported anew."""
        sys.modules.pop("pipelines", None)
        out, err = io.StringIO(), io.StringIO()
        with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
            patch.chdir(self.root)
            patch.setattr(sys, "argv", ["werk", *words])
            patch.setattr(sys, "path", list(sys.path))
            patch.delenv("WERK_TOKEN", raising=False)
            patch.setenv("WERK_HOME", str(self.home))
            wiring._say_once.cache_clear()
            try:
                cli.main()
                code = 0
            except SystemExit as ended:
                code = int(ended.code or 0)
        return Said(code, out.getvalue(), err.getvalue())

    def werk(self, *words: str, code: int = 0) -> str:
        done = self.ask(*words)
        assert done.returncode == code, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        return done.stdout if code == 0 else done.stderr

    def audit(self) -> dict[str, Any]:
        done = self.ask("audit", "verify", "--json")
        assert "Traceback" not in done.stderr, done.stderr
        assert done.returncode == (0 if json.loads(done.stdout)["ok"] else 1)
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    @property
    def journal(self) -> Path:
        return self.root / ".werk" / "journal.db"

    def attack(self, sql: str) -> None:
        with closing(sqlite3.connect(self.journal)) as database:
            database.executescript(sql)

    def files(self) -> dict[str, bytes]:
        return {str(path): path.read_bytes() for top in (self.root, self.home) for path in top.rglob("*") if path.is_file()}

    def heads(self) -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (self.home / "heads").iterdir()}


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Two runs, each signed."""
    folder = tmp_path_factory.mktemp("trust")
    place = Place(folder / "small", folder / "home")
    place.root.mkdir()
    (place.root / "werk.toml").write_text(TOML)
    (place.root / "pipelines.py").write_text(PIPELINES)
    place.werk("run", "small")
    place.werk("run", "small")
    return place


@pytest.fixture
def place(lived: Place, tmp_path: Path) -> Place:
    """A copy that this machine has met where it lies."""
    shutil.copytree(lived.root, tmp_path / "small")
    shutil.copytree(lived.home, tmp_path / "home")
    found = Place(tmp_path / "small", tmp_path / "home")
    found.werk("runs")
    return found


CUT = "DELETE FROM facts WHERE seq > 3; DELETE FROM p_runs; UPDATE meta SET value = '{}' WHERE key = 'projections';"


def test_an_audit_writes_nothing_at_all(place: Place) -> None:
    place.attack("DELETE FROM p_runs; UPDATE meta SET value = '{}' WHERE key = 'projections'")
    before = place.files()
    assert place.audit()["ok"]
    assert place.files() == before


def test_an_audit_of_what_was_never_met_writes_nothing_and_says_so(place: Place, tmp_path: Path) -> None:
    there = Place(place.root, tmp_path / "other-home")
    before = place.files()
    found = there.audit()
    assert (found["ok"], found["heads"]) == (True, 0)
    assert "nothing outside the database was compared" in found["notes"][0]
    assert "note: No signed head" in there.werk("audit", "verify")
    assert place.files() == before
    assert not there.home.exists()
    assert "for the first time and trusts it as it is" in there.ask("run", "small").stderr
    assert there.audit()["heads"] == 1


def test_cutting_the_journal_and_changing_its_id_is_found_by_every_command(place: Place) -> None:
    place.attack(CUT + "UPDATE meta SET value = 'jrn_forged' WHERE key = 'journal'")
    before = place.heads()
    told = place.ask("runs")
    assert told.returncode == 0, "it can still be read"
    assert "now says that it is jrn_forged" in told.stderr
    assert "[journal-replaced]" in place.werk("run", "small", code=1)
    assert place.heads() == before
    tables = {damage["table"] for damage in place.audit()["damages"]}
    assert tables == {"meta", "facts"}
    assert place.heads() == before


def test_a_command_signs_no_head_that_contradicts_the_last_one(place: Place) -> None:
    place.attack(CUT)
    before, facts = place.heads(), place.audit()["facts"]
    said = place.werk("run", "small", code=1)
    assert "[journal-contradicted]" in said
    assert "the tail was cut" in said
    assert place.werk("actor", "add", "second", code=1)
    assert place.ask("runs").returncode == 0
    assert (place.heads(), place.audit()["facts"]) == (before, facts)


def test_a_copied_folder_and_its_original_both_hold(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.root, tmp_path / "copy")
    copy = Place(tmp_path / "copy", place.home)
    copy.werk("run", "small")
    place.werk("run", "small")
    copy.werk("run", "small")
    assert (copy.audit()["ok"], place.audit()["ok"]) == (True, True)


def told(place: Place) -> str:
    """The part of the story that says how to check it, as text."""
    place.werk("story", str(place.root / "story.html"))
    page = (place.root / "story.html").read_text(encoding="utf-8")
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", page[page.index("How to check all this") :])).split())


def test_the_story_of_a_copy_shows_the_head_signed_for_the_copy(place: Place, tmp_path: Path) -> None:
    shutil.copytree(place.root, tmp_path / "copy")
    place.werk("run", "small")
    theirs = place.audit()["head"]
    copy = Place(tmp_path / "copy", place.home)
    copy.werk("run", "small")
    said, mine = told(copy), copy.audit()["head"]
    assert mine["hash"] != theirs["hash"]
    assert theirs["hash"] not in said
    assert f" signed head {mine['hash']} " in said
    [shown] = re.findall(r"heads/(\S+\.jsonl)", said)
    assert json.loads(place.heads()[shown].splitlines()[-1])["hash"] == mine["hash"]
    assert f"fact {theirs['seq']} was signed and is not here" in said


def test_a_moved_folder_holds(place: Place, tmp_path: Path) -> None:
    place.root.rename(tmp_path / "moved")
    moved = Place(tmp_path / "moved", place.home)
    assert moved.audit()["ok"]
    moved.werk("run", "small")
    assert moved.audit()["ok"]


def test_a_restore_at_the_same_place_holds_afterwards(place: Place, tmp_path: Path) -> None:
    place.werk("backup", str(tmp_path / "backup"))
    place.werk("run", "small")
    shutil.rmtree(place.root)
    place.root.mkdir()
    assert "restore-beside-original" in place.werk("restore", str(tmp_path / "backup"), str(place.root), code=3)
    place.werk("restore", str(tmp_path / "backup"), str(place.root), "--replace")
    assert place.audit()["ok"]
    place.werk("run", "small")
    assert place.audit()["ok"]


DAMAGES = {
    "dropped index": ("DROP INDEX facts_by_kind", "The index facts_by_kind of the table facts is gone."),
    "dropped projection": ("DROP TABLE p_runs", "The table p_runs is gone."),
    "dropped facts": ("DROP TABLE facts", "The table facts is gone."),
    "dropped points": ("DROP TABLE points", "The table points is gone."),
    "missing column": ("ALTER TABLE p_runs RENAME COLUMN status TO state", "The column status of the table p_runs is gone."),
    "missing column of facts": ("ALTER TABLE facts RENAME COLUMN body TO b", "The column body of the table facts is gone."),
    "meta no JSON": ("UPDATE meta SET value = '{' WHERE key = 'projections'", "(table meta, key projections)"),
    "meta no object": ("UPDATE meta SET value = '[1]' WHERE key = 'projections'", "(table meta, key projections)"),
    "edited row": ("UPDATE p_runs SET status = 'gone'", "The column status of the table p_runs is not what the facts up to"),
    "type of a column": ("UPDATE facts SET at = 'noon' WHERE seq = 2", "(table facts, fact 2)"),
    "blob for text": ("UPDATE facts SET kind = x'00ff', subject = x'ff' WHERE seq = 2", "(table facts, fact 2)"),
    "no UTF-8": ("UPDATE facts SET subject = CAST(x'ff' AS TEXT) WHERE seq = 2", "(table facts, fact 2)"),
    "no UTF-8 in a row": ("UPDATE p_runs SET status = CAST(x'ff' AS TEXT)", "The column status of the table p_runs"),
    "number for a body": ("UPDATE facts SET body = 1 WHERE seq = 2", "(table facts, fact 2)"),
    "text for a salt": ("UPDATE facts SET salt = 'salt' WHERE seq = 2", "(table facts, fact 2)"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_to_a_table_is_named(place: Place, name: str) -> None:
    sql, sentence = DAMAGES[name]
    place.attack(sql)
    assert any(sentence in damage["sentence"] for damage in place.audit()["damages"]), place.audit()
    for words in (("runs",), ("status",), ("run", "small")):
        assert "Traceback" not in place.ask(*words).stderr, words


FILES = {
    "truncated": lambda path: os.truncate(path, path.stat().st_size // 2 + 100),
    "cut to pages": lambda path: os.truncate(path, 4096 * 3),
    "emptied": lambda path: os.truncate(path, 0),
    "no database": lambda path: path.write_bytes(b"something else entirely\n" * 900),
    "gone": lambda path: path.unlink(),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("name", FILES)
def test_damage_to_the_file_is_one_sentence(place: Place, name: str) -> None:
    before = place.heads()
    FILES[name](place.journal)
    for words in (("audit", "verify"), ("run", "small")):
        done = place.ask(*words)
        assert done.returncode in (1, 2), (words, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        assert done.stderr.count("[") <= 1
    assert place.heads() == before


def test_a_deleted_write_ahead_log_is_a_cut_tail(place: Place) -> None:
    """Facts that were signed and stood only in the log."""
    sound = place.journal.read_bytes()
    place.werk("run", "small")
    place.journal.write_bytes(sound)
    assert "the tail was cut" in place.audit()["damages"][0]["sentence"]
    assert "[journal-contradicted]" in place.werk("run", "small", code=1)


@pytest.mark.skipif(os.name != "posix", reason="rights are POSIX")
def test_a_read_only_project_is_read_and_verified(place: Place) -> None:
    """On a mount that is read-only for root, too, or for a user without rights."""
    place.werk("run", "small")
    mounted = subprocess.run(["mount", "--bind", place.root, place.root], capture_output=True, check=False).returncode == 0
    if not mounted or subprocess.run(["mount", "-o", "remount,ro,bind", place.root], check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        for words in (("runs",), ("status",), ("models",), ("tables",), ("actor", "list"), ("doctor",)):
            done = place.ask(*words)
            assert done.returncode in (0, 1 if words == ("doctor",) else 0), (words, done.stderr)
            assert "Traceback" not in done.stderr, done.stderr
        assert place.audit()["ok"]
        assert "[journal-unwritable]" in place.werk("run", "small", code=2)
    finally:
        subprocess.run(["umount", place.root], check=True)
    place.werk("run", "small")
    assert place.audit()["ok"]
