"""Nothing stored can be changed, cut, added or swapped without a damage that names it."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from werk.core.errors import InputError
from werk.core.journal import Damage, NewFact, Verification
from werk.journal import SqlJournal, erase_body, replay, sign_head, verify
from werk.journal.tables import FACT_COLUMNS

Open = Callable[..., SqlJournal]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()


def facts() -> list[NewFact]:
    return [
        NewFact("run.started", "r1", {"a": 1}, run="r1", dedupe_key="k1"),
        NewFact("run.started", "r2", {"a": [1, "ü"]}, run="r2", dedupe_key="k2"),
        NewFact("alias.set", "delay", {"version": 1}, run="r1", dedupe_key="k3"),
        NewFact("alias.set", "delay", {"version": 2}, run="r1", dedupe_key="k4"),
        NewFact("run.finished", "r1", {}, run="r1", dedupe_key="k5"),
        NewFact("other", "x", {}, run="r1", dedupe_key="k6"),
    ]


@pytest.fixture
def tampered(tmp_path: Path, opened: Open) -> Callable[[str], Verification]:
    """Verifies a journal after SQL was run on it behind its back."""
    path, sound = tmp_path / "journal.db", tmp_path / "sound.db"
    journal = opened(f"sqlite:///{path}", heads_dir=tmp_path / "heads", sign=KEY.sign, verify_key=PUBLIC)
    journal.append(facts())
    sign_head(journal)
    assert verify(journal) == Verification(6, 1)
    journal.close()
    shutil.copy(path, sound)

    def tamper(sql: str) -> Verification:
        shutil.copy(sound, path)
        connection = sqlite3.connect(path)
        connection.executescript(sql)
        connection.close()
        reopened = opened(f"sqlite:///{path}", heads_dir=tmp_path / "heads", verify_key=PUBLIC, read_only=True)
        found = verify(reopened)
        reopened.close()
        return found

    return tamper


def named(found: Verification, table: str, column: str) -> list[Damage]:
    return [damage for damage in found.damages if damage.table == table and column in damage.column.split(", ")]


@pytest.mark.parametrize("column", FACT_COLUMNS)
@pytest.mark.parametrize("seq", [2, 6])
def test_one_changed_column_of_facts_is_named(tampered: Callable[[str], Verification], column: str, seq: int) -> None:
    text = f"{column} || 'x'"
    change = {"seq": "seq + 100", "at": "at + 1", "v": "v + 1", "salt": "randomblob(16)"}.get(column, text)
    found = tampered(f"UPDATE facts SET {column} = {change} WHERE seq = {seq}")
    assert named(found, "facts", column), found.damages


@pytest.mark.parametrize("column", ["project", "run", "status", "info", "ok", "score", "tries", "seq"])
def test_one_changed_column_of_a_projection_is_named(tampered: Callable[[str], Verification], column: str) -> None:
    change = "' ' || info" if column == "info" else f"{column} + 1" if column in ("score", "tries", "seq", "ok") else "'zz'"
    found = tampered(f"UPDATE p_runs SET {column} = {change} WHERE run = 'r1'")
    assert named(found, "p_runs", column), found.damages
    assert "r1" in found.damages[0].where or column == "run"


@pytest.mark.parametrize("column", ["project", "model", "alias", "version", "seq", "valid_from", "valid_to"])
def test_one_changed_column_of_a_history_is_named(tampered: Callable[[str], Verification], column: str) -> None:
    change = "'zz'" if column in ("project", "model", "alias") else f"{column} + 7"
    found = tampered(f"UPDATE p_aliases SET {column} = {change} WHERE valid_to IS NOT NULL")
    assert named(found, "p_aliases", column), found.damages


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM facts WHERE seq = 6",
        "DELETE FROM facts WHERE seq >= 3; DELETE FROM p_aliases; UPDATE p_runs SET status = 'running', ok = NULL, seq = 1",
        "DELETE FROM facts WHERE seq = 3",
        "DELETE FROM facts WHERE seq = 1",
        "DELETE FROM facts; DELETE FROM p_runs; DELETE FROM p_aliases",
        "UPDATE facts SET seq = 99 WHERE seq = 2; UPDATE facts SET seq = 2 WHERE seq = 3; "
        "UPDATE facts SET seq = 3 WHERE seq = 99",
        "INSERT INTO facts SELECT 7, project, at, actor, kind, subject, run, v, salt, body, body_sha256, hash, hash, 'k7' "
        "FROM facts WHERE seq = 6",
        "UPDATE facts SET body = NULL, salt = NULL WHERE seq = 6",
        "UPDATE facts SET body = NULL WHERE seq = 6",
        "UPDATE facts SET salt = NULL WHERE seq = 6",
        "INSERT INTO p_runs (project, run, seq) VALUES ('prj_a', 'extra', 1)",
        "DELETE FROM p_runs WHERE run = 'r2'",
        "DROP TABLE p_aliases",
        "UPDATE meta SET value = 'jrn_other' WHERE key = 'journal'",
        "UPDATE facts SET body = CAST(body AS BLOB) WHERE seq = 1",
    ],
)
def test_deleted_inserted_reordered_and_emptied_rows_are_found(tampered: Callable[[str], Verification], sql: str) -> None:
    assert not tampered(sql).ok


def test_a_wholly_rewritten_chain_is_found_by_its_signed_heads(tmp_path: Path, opened: Open) -> None:
    honest = opened(f"sqlite:///{tmp_path / 'a.db'}", heads_dir=tmp_path / "heads", sign=KEY.sign, verify_key=PUBLIC)
    honest.append(facts())
    sign_head(honest)
    forged = opened(f"sqlite:///{tmp_path / 'b.db'}", actor="act_innocent", heads_dir=tmp_path / "heads", verify_key=PUBLIC)
    forged.append(facts())
    honest_id = honest.id
    forged.close()
    connection = sqlite3.connect(tmp_path / "b.db")
    connection.execute("UPDATE meta SET value = ? WHERE key = 'journal'", (honest_id,))
    connection.commit()
    connection.close()
    found = verify(opened(f"sqlite:///{tmp_path / 'b.db'}", heads_dir=tmp_path / "heads", verify_key=PUBLIC))
    assert [damage.column for damage in found.damages] == ["hash"]
    assert "rewritten" in found.damages[0].sentence


def test_heads_that_cannot_be_checked_are_a_damage(lite_url: str, tmp_path: Path, opened: Open) -> None:
    heads = tmp_path / "heads"
    journal = opened(lite_url, heads_dir=heads, sign=KEY.sign)
    assert sign_head(journal).seq == 0
    assert verify(journal).ok
    journal.append(facts())
    assert sign_head(journal) == sign_head(journal) == journal.head()
    [file] = heads.glob(f"{journal.id}*")
    assert len(file.read_text().splitlines()) == 1
    [damage] = verify(journal).damages
    assert "could not be checked" in damage.sentence
    assert verify(journal, public_key=PUBLIC).ok
    stranger = Ed25519PrivateKey.from_private_bytes(b"s" * 32).public_key().public_bytes_raw()
    assert [damage.column for damage in verify(journal, public_key=stranger).damages] == ["sig"]
    file.write_text(file.read_text() + '{"journal": "torn')
    assert [damage.where for damage in verify(journal, public_key=PUBLIC).damages] == ["line 2"]
    journal.append([NewFact("x", "y", {})])
    sign_head(journal)  # a torn line does not swallow the next one
    assert [damage.where for damage in verify(journal, public_key=PUBLIC).damages] == ["line 2"]
    with pytest.raises(InputError):
        sign_head(opened(lite_url))


def test_an_erased_body_is_gone_everywhere_and_the_chain_holds(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append([*facts(), NewFact("run.started", "r9", {"name": "Ada"}, run="r9")])
    other = journal.bound_to(project="prj_b")
    with pytest.raises(InputError):
        erase_body(other, 7, "not theirs")
    erased = erase_body(journal, 7, "subject's request")
    assert erased.body == {"reason": "subject's request", "seq": 7, "v": 1}
    assert erase_body(journal, 7, "again") == erased
    assert next(journal.facts(after=6)).body is None
    assert journal.rows("runs", {"run": "r9"}) == []
    assert replay(journal)["runs"] == journal.rows("runs", order=["run"])
    assert verify(journal).ok
    with pytest.raises(InputError):
        erase_body(journal, erased.seq, "the erasure itself")


def test_an_erased_name_leaves_the_file(tmp_path: Path, opened: Open) -> None:
    journal = opened(f"sqlite:///{tmp_path / 'j.db'}")
    journal.append([NewFact("run.started", "r9", {"name": "Ada-Lovelace"}, run="r9")])
    erase_body(journal, 1, "request")
    assert all(b"Ada-Lovelace" not in path.read_bytes() for path in tmp_path.iterdir())
