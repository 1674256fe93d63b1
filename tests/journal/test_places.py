"""What a database says of itself is held against what this machine met at its place: no edit escapes the signed heads."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import create_engine, text

from werk.core.errors import InputError, Tampered
from werk.core.journal import NewFact
from werk.journal import SqlJournal, backup, meet, restore, sign_head, signed_in, verify
from werk.journal.places import FILE, set_aside

Open = Callable[..., SqlJournal]
Signed = Callable[..., SqlJournal]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
PUBLIC = KEY.public_key().public_bytes_raw()
CUT = "DELETE FROM facts WHERE seq > 2"
NEW_ID = "UPDATE meta SET value = 'jrn_forged' WHERE key = 'journal'"
REWRITTEN = "UPDATE facts SET hash = '{}' WHERE seq = 4".format("a" * 64)


@pytest.fixture
def signed(tmp_path: Path, opened: Open) -> Signed:
    def open_(url: str, **changes: object) -> SqlJournal:
        return opened(url, **{"heads_dir": tmp_path / "heads", "sign": KEY.sign, "verify_key": PUBLIC, **changes})

    return open_


def grown(journal: SqlJournal, count: int = 4) -> SqlJournal:
    for _ in range(count):
        journal.append([NewFact("x", "y", {})])
    sign_head(journal)
    return journal


def attack(url: str, *statements: str) -> None:
    """Run SQL behind the journal's back."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def kept(heads: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in heads.iterdir()}


def said(journal: SqlJournal) -> str:
    return " ".join(damage.sentence for damage in verify(journal).damages)


def test_who_edits_the_journals_id_does_not_escape_its_signed_heads(url: str, tmp_path: Path, signed: Signed) -> None:
    first = grown(signed(url))
    attack(url, CUT, NEW_ID)
    before = kept(tmp_path / "heads")
    forged = signed(url)
    found = verify(forged)
    assert {(damage.table, damage.where) for damage in found.damages} == {("meta", "key=journal"), ("facts", "seq=4")}
    assert found.heads == 1
    assert f"was {first.id} and now says that it is jrn_forged (table meta, key journal)" in said(forged)
    for call in (meet, sign_head):
        with pytest.raises(Tampered) as replaced:
            call(forged)
        assert replaced.value.code == "journal-replaced"
    assert kept(tmp_path / "heads") == before


@pytest.mark.parametrize("statement", [CUT, REWRITTEN])
def test_a_head_that_contradicts_the_last_signed_one_is_never_signed(
    url: str, tmp_path: Path, signed: Signed, statement: str
) -> None:
    grown(signed(url))
    attack(url, statement)
    before = kept(tmp_path / "heads")
    forged = signed(url)
    forged.append([NewFact("x", "y", {})])
    with pytest.raises(Tampered) as contradicted:
        sign_head(forged)
    assert contradicted.value.code == "journal-contradicted"
    assert "fact 4" in contradicted.value.message
    assert kept(tmp_path / "heads") == before
    assert not verify(forged).ok


def test_a_cut_that_has_grown_again_past_the_signed_head_is_found(url: str, signed: Signed) -> None:
    grown(signed(url))
    attack(url, CUT)
    forged = signed(url)
    forged.append([NewFact("z", "z", {}) for _ in range(5)])
    with pytest.raises(Tampered, match="fact 4 is not the one that was signed"):
        sign_head(forged)
    assert "Fact 4 of the table facts is not the one that was signed" in said(forged)


@pytest.mark.parametrize("gone", ["emptied", "deleted", "meta", "meta rows"])
def test_a_journal_that_is_gone_is_not_a_new_one(tmp_path: Path, lite_url: str, signed: Signed, gone: str) -> None:
    journal = grown(signed(lite_url))
    id, path = journal.id, tmp_path / "journal.db"
    journal.close()
    match gone:
        case "emptied":
            os.truncate(path, 0)
        case "deleted":
            path.unlink()
        case "meta":
            attack(lite_url, "DROP TABLE meta")
        case "meta rows":
            attack(lite_url, "DELETE FROM meta")
    for read_only in (False, True):
        with pytest.raises(Tampered) as told:
            signed(lite_url, read_only=read_only)
        assert told.value.code == "journal-gone"
        assert id in told.value.message


def test_what_is_met_for_the_first_time_is_trusted_and_that_is_said(
    url: str, tmp_path: Path, opened: Open, signed: Signed
) -> None:
    opened(url).append([NewFact("x", "y", {})])
    met = signed(url)
    found = verify(met)
    assert found.ok
    assert "nothing outside the database was compared" in found.notes[0]
    assert not (tmp_path / "heads").exists(), "verifying leaves no trace"
    assert "for the first time and trusts it as it is, up to fact 1" in (meet(met) or "")
    assert meet(met) is None
    sign_head(met)
    assert verify(met).notes == ()
    attack(url, "UPDATE facts SET hash = 'b' WHERE seq = 1")
    with pytest.raises(Tampered):
        meet(signed(url))


def test_a_fresh_journal_needs_no_trust(url: str, signed: Signed) -> None:
    assert meet(signed(url)) is None


def test_a_copy_and_its_original_go_on_without_harming_each_other(tmp_path: Path, lite_url: str, signed: Signed) -> None:
    original = grown(signed(lite_url))
    original.close()
    shutil.copy(tmp_path / "journal.db", tmp_path / "copy.db")
    copy = signed(f"sqlite:///{tmp_path / 'copy.db'}")
    assert meet(copy) is None
    grown(copy, 3)
    original = grown(signed(lite_url), 2)
    assert copy.id == original.id
    assert signed_in(copy) != signed_in(original)
    for journal in (copy, original):
        assert verify(journal).ok, verify(journal).damages
        assert sign_head(journal) == journal.head()
    assert verify(copy).heads == 2, "the original's up to the copy, and its own"


def test_a_copy_taken_earlier_says_what_it_lacks(tmp_path: Path, lite_url: str, signed: Signed) -> None:
    original = grown(signed(lite_url))
    original.close()
    shutil.copy(tmp_path / "journal.db", tmp_path / "copy.db")
    grown(signed(lite_url), 2)
    copy = signed(f"sqlite:///{tmp_path / 'copy.db'}")
    assert "Fact 6" in said(copy), "before it is met as a copy it may as well be one whose tail was cut"
    assert "ends at fact 4, where 6 has been signed" in (meet(copy) or "")
    for _ in range(2):
        assert verify(copy).ok
        [note] = verify(copy).notes
        assert f"copy of the one at {original.database.address}, whose fact 6 was signed" in note
        assert "it ends at fact 4" in note
        grown(copy, 0)
    copy = grown(copy, 3)
    assert "whose fact 6 was signed" in verify(copy).notes[0], "it has gone another way"
    assert (verify(signed(lite_url)).ok, verify(signed(lite_url)).notes) == (True, ())


def test_a_copy_whose_past_is_forged_is_held_against_the_originals_heads(tmp_path: Path, lite_url: str, signed: Signed) -> None:
    grown(signed(lite_url)).close()
    shutil.copy(tmp_path / "journal.db", tmp_path / "copy.db")
    url = f"sqlite:///{tmp_path / 'copy.db'}"
    attack(url, CUT)
    forged = signed(url)
    forged.append([NewFact("z", "z", {}) for _ in range(5)])
    before = kept(tmp_path / "heads")
    for call in (meet, sign_head):
        with pytest.raises(Tampered, match="fact 4 is not the one that was signed"):
            call(forged)
    assert kept(tmp_path / "heads") == before
    assert verify(signed(lite_url)).ok


@pytest.mark.parametrize("harm", [None, CUT])
def test_a_moved_journal_owes_every_head(tmp_path: Path, lite_url: str, signed: Signed, harm: str | None) -> None:
    grown(signed(lite_url)).close()
    (tmp_path / "journal.db").rename(tmp_path / "moved.db")
    url = f"sqlite:///{tmp_path / 'moved.db'}"
    if harm:
        attack(url, harm)
        with pytest.raises(Tampered, match="fact 4 is gone"):
            meet(signed(url))
        return
    moved = grown(signed(url))
    assert (verify(moved).ok, verify(moved).heads) == (True, 2)


def test_a_link_to_another_database_is_not_another_place(tmp_path: Path, lite_url: str, signed: Signed) -> None:
    grown(signed(lite_url)).close()
    grown(signed(f"sqlite:///{tmp_path / 'forged.db'}")).close()
    (tmp_path / "journal.db").unlink()
    (tmp_path / "journal.db").symlink_to(tmp_path / "forged.db")
    with pytest.raises(Tampered, match="now says that it is"):
        meet(signed(lite_url))


def test_two_projects_in_one_database_share_its_heads(url: str, signed: Signed) -> None:
    a, b = grown(signed(url)), signed(url, project="prj_b")
    assert meet(b) is None
    grown(b)
    assert signed_in(a) == signed_in(b)
    assert verify(a) == verify(b)
    attack(url, "DELETE FROM facts WHERE seq > 6")
    for project in ("prj_a", "prj_b"):
        with pytest.raises(Tampered, match="fact 8 is gone"):
            sign_head(signed(url, project=project))


def test_a_restore_at_the_same_place_is_no_contradiction(tmp_path: Path, lite_url: str, signed: Signed) -> None:
    journal = grown(signed(lite_url))
    head = backup(journal, tmp_path / "backup")
    grown(journal)
    id, heads = journal.id, tmp_path / "heads"
    journal.close()
    (tmp_path / "journal.db").unlink()
    with pytest.raises(Tampered):
        signed(lite_url)
    assert set_aside(heads, id, str(tmp_path / "journal.db")) == heads / f"{id}.set-aside-1"
    assert restore(tmp_path / "backup", lite_url, heads_dir=heads, project="prj_a") == head
    again = signed(lite_url)
    assert meet(again) is None
    grown(again)
    assert (verify(again).ok, verify(again).heads) == (True, 2)
    assert len((heads / FILE).read_text().splitlines()) == 2, "both are told of"


def test_a_torn_line_is_no_journal_and_no_head(lite_url: str, tmp_path: Path, signed: Signed) -> None:
    journal = grown(signed(lite_url))
    for name in (FILE, f"{journal.id}.jsonl"):
        with (tmp_path / "heads" / name).open("a") as file:
            file.write('{"journal": "jrn_torn", "seq": 99')
    assert meet(journal) is None
    assert grown(journal).head().seq == 8
    assert [damage.where for damage in verify(journal).damages] == ["line 2"]
    assert backup(journal, tmp_path / "backup").seq == 8


def test_a_slower_process_that_signs_an_older_head_hides_no_cut(lite_url: str, signed: Signed) -> None:
    journal = grown(signed(lite_url))
    path = signed_in(journal)
    assert path
    older = path.read_text()
    grown(journal)
    path.write_text(path.read_text() + older)
    attack(lite_url, "DELETE FROM facts WHERE seq > 4")
    with pytest.raises(Tampered, match="fact 8 is gone"):
        sign_head(journal)


# --- journals that can only be read ---


def test_a_journal_for_reading_only_is_read_and_verified_and_never_written(
    url: str, opened: Open, signed: Signed, tmp_path: Path
) -> None:
    grown(signed(url)).close()
    attack(url, "UPDATE meta SET value = '{}' WHERE key = 'projections'")
    before = kept(tmp_path / "heads")
    journal = signed(url, read_only=True)
    assert [fact.seq for fact in journal.facts()] == [1, 2, 3, 4]
    assert journal.rows("runs") == []
    assert verify(journal).ok
    assert "p_runs is out of date" in verify(journal).notes[0]
    for write in (lambda: journal.append([NewFact("x", "y", {})]), lambda: journal.claim("r", "me", ttl_s=1)):
        with pytest.raises(InputError) as refused:
            write()
        assert refused.value.code == "journal-unwritable"
    assert sign_head(journal).seq == 4
    assert kept(tmp_path / "heads") == before


def test_stale_rows_of_a_journal_that_cannot_be_written_are_replayed(url: str, opened: Open) -> None:
    opened(url).append([NewFact("alias.set", "delay", {"version": n}) for n in (1, 2)])
    opened(url, projections=()).append([NewFact("alias.set", "delay", {"version": 3})])
    journal = opened(url, read_only=True)
    assert [row["version"] for row in journal.rows("aliases")] == [3]
    assert [row["version"] for row in journal.rows("aliases", history=True)] == [1, 2, 3]
    assert [row["version"] for row in journal.bound_to(actor="x").rows("aliases")] == [3]


def test_a_missing_journal_is_not_made_by_reading(tmp_path: Path, url: str, opened: Open) -> None:
    with pytest.raises(InputError) as missing:
        opened(url, read_only=True)
    assert missing.value.code == "journal-missing"
    assert list(tmp_path.iterdir()) == []


def test_a_postgres_user_who_may_only_select_reads_and_verifies(postgres_url: str, opened: Open) -> None:
    grown_ = opened(postgres_url)
    grown_.append([NewFact("alias.set", "delay", {"version": 1})])
    attack(
        postgres_url,
        "DO $$ BEGIN CREATE ROLE looker LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$",
        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO looker",
    )
    assert "//postgres:@" in postgres_url
    journal = opened(postgres_url.replace("//postgres:@", "//looker@"))
    assert [row["version"] for row in journal.rows("aliases")] == [1]
    assert verify(journal).ok
    with pytest.raises(InputError) as refused:
        journal.append([NewFact("x", "y", {})])
    assert refused.value.code == "journal-unwritable"


@pytest.mark.parametrize("closed", ["file", "folder", "folder with a dead writer's log"])
def test_a_file_that_cannot_be_written_is_read(tmp_path: Path, opened: Open, closed: str) -> None:
    place = tmp_path / "place"
    place.mkdir()
    url = f"sqlite:///{place / 'journal.db'}"
    journal = opened(url)
    journal.append([NewFact("alias.set", "delay", {"version": n}) for n in (1, 2)])
    if closed == "folder with a dead writer's log":
        _left_by_a_dead_writer(journal, place)
    journal.close()
    _unwritable(tmp_path, place, closed)
    assert _as_nobody(url) == "aliases [2] verified True refused journal-unwritable"


def _left_by_a_dead_writer(journal: SqlJournal, place: Path) -> None:
    left = {path.name: path.read_bytes() for path in place.iterdir() if path.name.endswith((".db", "-wal"))}
    assert len(left["journal.db-wal"]) > 1000
    journal.close()
    for name, data in left.items():
        (place / name).write_bytes(data)


def _unwritable(tmp_path: Path, place: Path, closed: str) -> None:
    for path in place.iterdir():
        path.chmod(0o444 if closed == "file" else 0o666)
    place.chmod(0o777 if closed == "file" else 0o555)
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)


_READS = """
import os, sys
from tests.journal.conftest import PROJECTIONS
from werk.core.errors import WerkError
from werk.core.journal import NewFact
from werk.journal import open_journal, verify
import cryptography.hazmat.primitives.asymmetric.ed25519, sqlalchemy.dialects.sqlite.pysqlite
if os.getuid() == 0: os.setuid(65534)
journal = open_journal(sys.argv[1], project="prj_a", actor="act_n", projections=PROJECTIONS)
print("aliases", [row["version"] for row in journal.rows("aliases")], "verified", verify(journal).ok, end=" ")
try: journal.append([NewFact("x", "y", {})])
except WerkError as refused: print("refused", refused.code)
"""


def _as_nobody(url: str) -> str:
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", _READS, url], cwd=root, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
