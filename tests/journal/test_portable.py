"""Backup, restore, upgrade, and the first journal that was ever kept."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from werk.core.errors import InputError, Tampered
from werk.core.journal import NewFact, Point
from werk.journal import SqlJournal, backup, erase_body, replay, restore, sign_head, upgrade, verify

Open = Callable[..., SqlJournal]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
FIRST = Path(__file__).parents[1] / "fixtures" / "first_journal"


def test_a_backup_is_restored_into_either_kind_of_database(
    url: str, tmp_path: Path, postgres_url: str, opened: Open, request: pytest.FixtureRequest
) -> None:
    journal = opened(url, heads_dir=tmp_path / "heads", sign=KEY.sign, verify_key=PUBLIC)
    journal.append([NewFact("run.started", f"r{n}", {"n": n, "t": "ü\u2028"}, run=f"r{n}") for n in range(30)])
    journal.bound_to(project="prj_b").append([NewFact("alias.set", "m", {"version": 1}, dedupe_key="k")])
    journal.add_points([Point("r1", "loss", 1, 0.25, 7)])
    erase_body(journal, 3, "request")
    sign_head(journal)
    head = backup(journal, tmp_path / "backup")
    assert head == journal.head()
    target = f"sqlite:///{tmp_path / 'restored.db'}" if url.startswith("postgres") else postgres_url
    assert restore(tmp_path / "backup", target, heads_dir=tmp_path / "heads2") == head
    copy = opened(target, heads_dir=tmp_path / "heads2", verify_key=PUBLIC)
    assert copy.id == journal.id
    assert list(copy.facts()) == list(journal.facts())
    assert replay(copy) == replay(journal)
    assert copy.rows("runs") == journal.rows("runs")
    assert copy.points("r1") == journal.points("r1")
    assert verify(copy) == verify(journal)
    assert verify(copy).ok
    assert copy.append([NewFact("x", "y", {})])[0].prev_hash == head.hash
    copy.add_points([Point("r1", "loss", 2, 0.5)])
    with pytest.raises(InputError, match="already a journal"):
        restore(tmp_path / "backup", target)
    with pytest.raises(InputError, match="not empty"):
        backup(journal, tmp_path / "backup")


def test_a_cut_or_unfinished_backup_is_refused_and_leaves_no_facts(lite_url: str, tmp_path: Path, opened: Open) -> None:
    journal = opened(lite_url)
    journal.append([NewFact("x", "y", {}), NewFact("x", "y", {})])
    backup(journal, tmp_path / "b")
    facts = tmp_path / "b" / "facts.jsonl"
    facts.write_text(facts.read_text().splitlines(keepends=True)[0])
    with pytest.raises(Tampered):
        restore(tmp_path / "b", f"sqlite:///{tmp_path / 'r.db'}")
    assert opened(f"sqlite:///{tmp_path / 'r.db'}").head().seq == 0
    (tmp_path / "b" / "journal.json").unlink()
    with pytest.raises(InputError, match="no complete backup"):
        restore(tmp_path / "b", f"sqlite:///{tmp_path / 'r2.db'}")


def _as_schema(path: Path, number: int) -> None:
    connection = sqlite3.connect(path)
    connection.execute("UPDATE meta SET value = ? WHERE key = 'schema'", (str(number),))
    if number == 0:
        connection.execute("DROP TABLE points")
    connection.commit()
    connection.close()


def test_an_older_journal_is_copied_before_it_is_upgraded(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "j.db"
    journal = opened(f"sqlite:///{path}")
    journal.append([NewFact("run.started", "r1", {})])
    journal.close()
    _as_schema(path, 0)
    with pytest.raises(InputError) as older:
        opened(f"sqlite:///{path}")
    assert (older.value.code, "`werk upgrade`" in str(older.value.hint)) == ("journal-older", True)
    copy = upgrade(f"sqlite:///{path}")
    assert copy is not None
    kept = sqlite3.connect(copy)
    assert kept.execute("SELECT value FROM meta WHERE key = 'schema'").fetchone() == ("0",)
    assert kept.execute("SELECT count(*) FROM facts").fetchone() == (1,)
    kept.close()
    journal = opened(f"sqlite:///{path}")
    journal.add_points([Point("r1", "loss", 0, 1.0)])
    assert len(journal.rows("runs")) == 1
    assert verify(journal).ok
    assert upgrade(f"sqlite:///{path}") is None


def test_a_newer_journal_is_refused_in_one_sentence(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "j.db"
    opened(f"sqlite:///{path}").close()
    _as_schema(path, 99)
    for call in (opened, upgrade):
        with pytest.raises(InputError) as newer:
            call(f"sqlite:///{path}")
        assert newer.value.code == "journal-newer"
        assert newer.value.message.count(".") == 1


def test_the_first_journal_ever_kept_is_read_verified_and_continued(tmp_path: Path, opened: Open) -> None:
    shutil.copytree(FIRST, tmp_path / "first")
    folder = tmp_path / "first"
    public = bytes.fromhex((folder / "public_key.hex").read_text().strip())
    journal = opened(f"sqlite:///{folder / 'journal.db'}", heads_dir=folder / "heads", verify_key=public)
    found = verify(journal)
    assert found.ok, found.damages
    assert (found.facts, found.heads) == (6, 2)
    assert replay(journal)["runs"] == journal.rows("runs")
    assert journal.append([NewFact("run.started", "new", {})])[0].seq == 7
    assert verify(journal).ok
