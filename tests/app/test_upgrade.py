"""`werk upgrade` raises an older journal or leaves it as it was, keeps a copy, and is refused while somebody writes."""

from __future__ import annotations

import json
import lzma
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from werk.journal.filelock import alone

RELEASED = Path(__file__).parents[1] / "fixtures" / "journals" / "0.1.0"
SETTINGS = "[project]\nname = 'old'\nid = 'prj_old'\n"
FACTS = "SELECT seq, kind, hash, body FROM facts ORDER BY seq"


class Old:
    """A project whose journal has schema 0: no table of metric points."""

    def __init__(self, folder: Path, url: str | None = None) -> None:
        self.root, self.env = folder / "old", {**os.environ, "WERK_HOME": str(folder / "home")}
        for name in ("WERK_TOKEN", "WERK_PROFILE"):
            self.env.pop(name, None)
        self.root.mkdir(exist_ok=True)
        journal = "[journal]\nurl = {env = 'OLD_URL'}\n" if url else ""
        self.env |= {"OLD_URL": url} if url else {}
        (self.root / "werk.toml").write_text(SETTINGS + journal)
        (self.root / "rows.csv").write_text("id,km\n1,2.5\n2,3.5\n")
        self.path = self.root / ".werk" / "journal.db"
        self.copy = self.path.with_name("journal.db.schema-0")

    def begun(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "werk.app.cli", *words]
        return subprocess.Popen(command, cwd=self.root, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def werk(self, *words: str, code: int = 0) -> tuple[str, str]:
        with self.begun(*words) as process:
            out, err = process.communicate()
        assert process.returncode == code, (words, out, err)
        return out, err

    def json(self, *words: str) -> Any:
        return json.loads(self.werk(*words, "--json")[0])

    def land(self) -> None:
        self.werk("ingest", "raw.rows", "rows.csv")

    def aged(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as file, file:
            file.execute("DROP TABLE points")
            file.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")
        return self.asked(FACTS)

    def asked(self, sql: str, path: Path | None = None) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(path or self.path)) as file:
            return file.execute(sql).fetchall()

    def schema(self, path: Path | None = None) -> str:
        return str(self.asked("SELECT value FROM meta WHERE key = 'schema'", path)[0][0])


@pytest.fixture(scope="module")
def landed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One landing."""
    folder = tmp_path_factory.mktemp("landed")
    Old(folder).land()
    return folder


@pytest.fixture
def old(landed: Path, tmp_path: Path) -> Old:
    shutil.copytree(landed, tmp_path, dirs_exist_ok=True)
    shutil.rmtree(tmp_path / "home")  # a copy that this machine has not met
    return Old(tmp_path)


def test_an_older_journal_is_copied_raised_checked_and_continued(old: Old) -> None:
    facts = old.aged()
    _, said = old.werk("status", code=2)
    assert "[journal-older]" in said
    assert "next: Run `werk upgrade`" in said
    out, said = old.werk("upgrade")
    assert "from schema 0 to 1" in said
    assert str(old.copy) in out
    assert f"holds: {len(facts)} facts" in out
    assert (old.schema(), old.schema(old.copy)) == ("1", "0")
    assert old.asked(FACTS, old.copy) == old.asked(FACTS) == facts
    assert old.json("audit", "verify")["ok"]
    old.land()
    assert "nothing to do: the journal has schema 1" in old.werk("upgrade")[0]


def test_nothing_is_made_where_there_is_no_journal(tmp_path: Path) -> None:
    old = Old(tmp_path)
    assert "nothing to do: there is no journal yet" in old.werk("upgrade")[0]
    assert not old.path.exists()


def test_a_journal_with_every_projection_is_raised(tmp_path: Path) -> None:
    """The one that is kept of a release, made old."""
    old = Old(tmp_path)
    (old.root / "werk.toml").write_text("[project]\nname = 'small'\nid = 'prj_small'\n")
    old.path.parent.mkdir()
    old.path.write_bytes(lzma.decompress((RELEASED / "journal.db.xz").read_bytes()))
    facts, steps = old.aged(), old.asked("SELECT * FROM p_steps ORDER BY run, step")
    found = old.json("upgrade")
    assert (found["ok"], found["damages"]) == (True, [])
    assert old.asked(FACTS, old.copy) == facts == old.asked(FACTS)[: len(facts)]
    assert old.asked("SELECT * FROM p_steps ORDER BY run, step") == steps


def test_two_upgrades_of_one_name_keep_both_copies(old: Old) -> None:
    facts = old.aged()
    old.copy.write_text("of another day")
    found = old.json("upgrade")
    assert (found["ok"], found["from"], found["to"]) == (True, 0, 1)
    assert old.copy.read_text() == "of another day"
    assert old.asked(FACTS, Path(found["copy"])) == facts


def test_damage_is_found_after_the_upgrade_and_the_copy_is_named(old: Old) -> None:
    old.aged()
    with closing(sqlite3.connect(old.path)) as file, file:
        file.execute("UPDATE facts SET subject = 'raw.other' WHERE kind = 'table.written'")
    out, said = old.werk("upgrade", code=1)
    assert "DAMAGED" in out
    assert str(old.copy) in said


def test_it_is_refused_while_somebody_writes_or_works_on_a_run(old: Old) -> None:
    old.aged()
    with alone(old.path.with_name("journal.db-lock")) as free:
        assert free
        assert "[journal-busy]" in old.werk("upgrade", code=1)[1]
    with closing(sqlite3.connect(old.path)) as file, file:
        until = time.time_ns() // 1000 + 600_000_000
        file.execute("INSERT INTO leases VALUES ('prj_old', 'run_long', 'me', 1, ?)", (until,))
    assert "works on the run run_long" in old.werk("upgrade", code=1)[1]
    assert (old.schema(), old.copy.exists()) == ("0", False)
    with closing(sqlite3.connect(old.path)) as file, file:
        file.execute("UPDATE leases SET until = 1")
    old.werk("upgrade")


def test_a_trigger_on_its_tables_refuses_the_upgrade(old: Old) -> None:
    old.aged()
    with closing(sqlite3.connect(old.path)) as file, file:
        file.execute("CREATE TRIGGER sly BEFORE UPDATE ON meta BEGIN SELECT raise(IGNORE); END")
    assert "[journal-foreign]" in old.werk("upgrade", code=1)[1]
    assert (old.schema(), old.copy.exists()) == ("0", False)


@pytest.mark.parametrize("seen", ["journal.db.schema-0.partial", "journal.db.schema-0"])
def test_killed_half_way_it_is_whole_and_is_upgraded_by_the_next(old: Old, seen: str) -> None:
    """Killed at the first sight of a file that it makes: before the copy is whole, and before the change is written."""
    facts = old.aged()
    with closing(sqlite3.connect(old.path)) as file, file:  # the copy takes a while
        file.execute("CREATE TABLE weight AS SELECT randomblob(40000000) AS of_it")
    process = old.begun("upgrade")
    while not (old.path.parent / seen).exists() and process.poll() is None:
        pass
    process.kill()
    process.communicate()
    assert process.returncode < 0, "it had not come to its end"
    assert old.schema() in ("0", "1")
    assert old.asked(FACTS) == facts
    if old.copy.exists():
        assert (old.schema(old.copy), old.asked(FACTS, old.copy)) == ("0", facts)
    old.werk("upgrade")
    assert (old.schema(), old.schema(old.copy)) == ("1", "0")
    assert [path.name for path in old.path.parent.glob("journal.db.*")] == [old.copy.name], "one copy, nothing left over"
    assert old.json("audit", "verify")["ok"]


def test_a_journal_on_postgres_is_raised_in_one_transaction(tmp_path: Path, postgres_url: str) -> None:
    old = Old(tmp_path, postgres_url)
    old.land()
    with psycopg.connect(postgres_url, autocommit=True) as server:
        server.execute("DROP TABLE points")
        server.execute("UPDATE meta SET value = '0' WHERE key = 'schema'")
        assert "Run `werk upgrade`" in old.werk("status", code=2)[1]
        with server.transaction():
            server.execute("SELECT pg_advisory_xact_lock(%s)", (0x7765726B,))
            assert "[journal-busy]" in old.werk("upgrade", code=1)[1]
        out, _ = old.werk("upgrade")
        assert "no copy: on PostgreSQL all was one transaction" in out
        assert "holds: " in out
        assert server.execute("SELECT count(*) FROM points").fetchone() == (0,)
    assert "nothing to do" in old.werk("upgrade")[0]
    assert old.json("audit", "verify")["ok"]
