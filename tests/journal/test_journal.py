"""What the Journal promises, on SQLite and on Postgres."""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from werk.core.canonical import canonical_json
from werk.core.errors import Failed, InputError, Lost, Tampered, Transient, WerkError
from werk.core.journal import Head, Lease, NewFact, Point
from werk.journal import SqlJournal, open_journal, replay, verify
from werk.journal.chain import fact_hash
from werk.journal.projections import _select_open

Open = Callable[..., SqlJournal]


def started(run: str, **body: object) -> NewFact:
    return NewFact("run.started", run, body, run=run, dedupe_key=f"{run}/started")  # type: ignore[arg-type]


def finished(run: str) -> NewFact:
    return NewFact("run.finished", run, {}, run=run)


def champion(version: int) -> NewFact:
    return NewFact("alias.set", "delay", {"version": version})


def test_facts_and_projections_are_written_together_and_in_order(url: str, opened: Open) -> None:
    journal = opened(url)
    assert journal.head() == Head(0, "0" * 64)
    written = journal.append([started("r1", n=1), started("r2"), finished("r1")])
    assert [fact.seq for fact in written] == [1, 2, 3]
    assert list(journal.facts()) == written
    assert journal.head() == Head(3, written[-1].hash)
    assert journal.rows("runs", {"run": "r1"}) == [
        {"run": "r1", "status": "finished", "info": {"n": 1, "v": 1}, "ok": True, "score": 0.5, "tries": 1, "seq": 3}
    ]
    assert written[0].body == {"n": 1, "v": 1}
    assert verify(journal).ok


def test_the_hash_is_over_the_canonical_json_of_every_column_but_body_and_salt(url: str, opened: Open) -> None:
    fact = opened(url).append([NewFact("odd.kind", 'quote " \\ ü \u2028 \x01', {}, run=None, dedupe_key="k", v=3)])[0]
    header = {
        name: getattr(fact, name)
        for name in ("seq", "project", "at", "actor", "kind", "subject", "run", "body_sha256", "dedupe_key")
    }
    by_hand = fact_hash(
        fact.prev_hash, 1, fact.project, fact.at, fact.actor, fact.kind, fact.subject, None, 3, fact.body_sha256, "k"
    )
    from_json = hashlib.sha256((fact.prev_hash + canonical_json({**header, "v": 3})).encode()).hexdigest()
    assert fact.hash == by_hand == from_json


def test_a_known_dedupe_key_writes_nothing_within_and_between_batches(url: str, opened: Open) -> None:
    journal = opened(url)
    first, twin = journal.append([started("r1", n=1), started("r1", n=2)])
    assert twin == first
    assert journal.append([started("r1", n=3)]) == [first]
    assert journal.head().seq == 1
    assert journal.bound_to(project="prj_b").append([started("r1")])[0].seq == 2


def test_a_write_is_all_or_nothing(url: str, opened: Open) -> None:
    journal = opened(url)
    with pytest.raises(ZeroDivisionError), journal.write() as writer:
        writer.append([started("r1")])
        assert len(writer.rows("runs")) == 1
        assert journal.rows("runs") == []
        raise ZeroDivisionError
    assert journal.head().seq == 0
    with journal.write() as writer:
        with pytest.raises(InputError):
            writer.append([started("r1"), NewFact("alias.set", "delay", {"version": "not a number"})])
        assert writer.append([started("r2")])[0].seq == 1
    assert [row["run"] for row in journal.rows("runs")] == ["r2"]
    assert verify(journal).ok


def test_a_writer_that_has_ended_refuses(url: str, opened: Open) -> None:
    with opened(url).write() as writer:
        pass
    with pytest.raises(Failed, match="ended"):
        writer.append([started("r1")])


@pytest.mark.parametrize(
    "body", [{"x": float("nan")}, {"x": float("inf")}, {"x": b"bytes"}, {"x": "\ud800"}, {"x": {1: 1, "a": 2}}], ids=str
)
def test_a_body_that_json_cannot_hold_is_refused(lite_url: str, opened: Open, body: dict[str, object]) -> None:
    journal = opened(lite_url)
    with pytest.raises(InputError) as refused:
        journal.append([NewFact("x", "y", body)])  # type: ignore[arg-type]
    assert refused.value.code == "fact-body"
    assert journal.head().seq == 0


@pytest.mark.parametrize("subject", ["nul\x00", "half \ud800"])
def test_a_subject_no_database_can_hold_is_refused(url: str, opened: Open, subject: str) -> None:
    with pytest.raises(InputError) as refused:
        opened(url).append([NewFact("x", subject, {})])
    assert refused.value.code == "fact-text"


def test_unicode_and_ten_megabytes_come_back_as_they_were(url: str, opened: Open) -> None:
    body = {"text": "Zürich 東京 \U0001f6eb \x00 \u2028", "big": "x" * 10_000_000}
    fact = opened(url).append([NewFact("x", "ü", body)])[0]
    other = opened(url)
    assert next(iter(other.facts())) == fact
    assert fact.body == {**body, "v": 1}
    assert verify(other).ok


def test_projects_with_equal_names_do_not_see_each_other(url: str, opened: Open) -> None:
    a = opened(url)
    b = a.bound_to(project="prj_b", actor="act_b")
    a.append([started("r1", n=1), champion(1)])
    b.append([started("r1", n=2), champion(7)])
    assert [row["info"] for row in a.rows("runs")] == [{"n": 1, "v": 1}]
    assert [row["version"] for row in b.rows("aliases")] == [7]
    assert [(fact.seq, fact.actor) for fact in b.facts()] == [(3, "act_b"), (4, "act_b")]
    assert replay(b)["aliases"] == b.rows("aliases", history=True)
    assert verify(a).facts == 4


def test_facts_are_found_by_every_filter(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append([started(f"r{n}") for n in range(1200)])
    journal.append([finished("r7"), champion(1)])
    assert [fact.seq for fact in journal.facts()] == list(range(1, 1203))
    assert [fact.seq for fact in journal.facts(newest_first=True)] == list(range(1202, 0, -1))
    assert [fact.seq for fact in journal.facts(run="r7")] == [8, 1201]
    assert [fact.kind for fact in journal.facts(kinds=["alias.set", "run.finished"], newest_first=True)] == [
        "alias.set",
        "run.finished",
    ]
    assert [fact.seq for fact in journal.facts(dedupe_key="r3/started")] == [4]
    assert [fact.seq for fact in journal.facts(after=1198, limit=2)] == [1199, 1200]
    assert list(journal.facts(limit=0)) == []


def test_rows_are_filtered_and_ordered_alike_on_both_databases(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append([started(run) for run in ("b", "a", "C", "ä", "_")] + [finished("a")])
    assert [row["run"] for row in journal.rows("runs", order=["run"])] == ["C", "_", "a", "b", "ä"]
    assert [row["run"] for row in journal.rows("runs", order=["ok", "-run"])] == ["ä", "b", "_", "C", "a"]
    assert [row["run"] for row in journal.rows("runs", {"run": ("a", "b", "zz")}, limit=1)] == ["a"]
    assert [row["run"] for row in journal.rows("runs", {"ok": [True]})] == ["a"]
    assert len(journal.rows("runs", {"ok": None})) == 4
    assert len(journal.rows("runs", {"ok": [None, True]})) == 5
    assert journal.rows("runs", {"run": []}) == []
    for wrong in ({"where": {"runn": "a"}}, {"order": ["runn"]}, {"where": {"project": "prj_b"}}):
        with pytest.raises(InputError):
            journal.rows("runs", **wrong)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Did you mean 'runs'"):
        journal.rows("run")


def test_the_past_is_what_it_was(url: str, opened: Open) -> None:
    journal = opened(url)
    facts = journal.append([started("r1"), champion(1), finished("r1"), champion(2), NewFact("run.dropped", "r1", {})])
    assert [row["status"] for row in journal.at(2).rows("runs")] == ["running"]
    assert [row["version"] for row in journal.at(3).rows("aliases")] == [1]
    assert journal.at(3).rows("aliases", history=True)[0]["valid_to"] is None
    assert journal.rows("runs") == []
    assert journal.at(0).rows("runs") == []
    assert journal.at(0).head() == Head(0, "0" * 64)
    assert [fact.seq for fact in journal.at(3).facts()] == [1, 2, 3]
    assert journal.at(3).head() == Head(3, facts[2].hash)
    assert [(row["valid_from"], row["valid_to"]) for row in journal.rows("aliases", history=True)] == [(2, 4), (4, None)]
    assert journal.seq_at(facts[-1].at) == 5
    assert journal.seq_at(facts[0].at - 1) == 0
    for beyond in (-1, 6):
        with pytest.raises(InputError):
            journal.at(beyond)


def test_time_never_decreases(url: str, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    journal = opened(url)
    first = journal.append([started("r1")])[0]
    monkeypatch.setattr(time, "time_ns", lambda: 0)
    assert journal.append([started("r2")])[0].at >= first.at
    assert verify(journal).ok


def test_a_stalled_owner_is_fenced_out(url: str, opened: Open) -> None:
    mine, theirs = opened(url), opened(url)
    lease = mine.claim("r1", "me", ttl_s=0.2)
    assert lease == Lease("r1", "me", 1)
    assert theirs.claim("r1", "them", ttl_s=30) is None
    assert mine.append([started("r1")], lease=lease)
    time.sleep(0.3)
    newer = theirs.claim("r1", "them", ttl_s=30)
    assert newer is not None
    assert newer.token == 2
    assert not mine.renew(lease, ttl_s=30)
    with pytest.raises(Lost):
        mine.append([finished("r1")], lease=lease)
    mine.release(lease)  # releasing what is no longer held must not free the other's
    assert mine.claim("r1", "me", ttl_s=30) is None
    assert theirs.renew(newer, ttl_s=30)
    theirs.release(newer)
    again = mine.claim("r1", "me", ttl_s=30)
    assert again is not None
    assert again.token == 3
    assert mine.head().seq == 1
    assert mine.bound_to(project="prj_b").claim("r1", "x", ttl_s=1) == Lease("r1", "x", 1)


def test_whose_holder_is_silent(url: str, opened: Open) -> None:
    """Held, let go, run out, never taken: only the third is somebody's who has died."""
    journal = opened(url)
    runs = ["held", "let-go", "run-out", "untaken"]
    assert (journal.silent([]), journal.untaken([])) == ([], [])
    journal.claim("held", "me", ttl_s=30)
    lease = journal.claim("let-go", "me", ttl_s=30)
    assert lease
    journal.release(lease)
    journal.claim("run-out", "me", ttl_s=0.01)
    time.sleep(0.05)
    assert journal.silent(runs) == ["run-out"]
    assert journal.untaken(runs) == ["untaken"]
    assert opened(url, project="prj_b").silent(runs) == []


def test_a_heartbeat_waits_for_a_long_write_instead_of_deadlocking(url: str, opened: Open) -> None:
    journal = opened(url)
    lease = journal.claim("r1", "me", ttl_s=30)
    assert lease is not None
    renewed: list[bool] = []
    beat = threading.Thread(target=lambda: renewed.append(journal.renew(lease, ttl_s=30)))
    with journal.write(lease=lease) as writer:
        beat.start()
        time.sleep(0.2)
        writer.append([started("r1")])
    beat.join(timeout=10)
    assert renewed == [True]


def test_a_write_inside_a_write_of_the_same_thread_raises_instead_of_hanging(lite_url: str, opened: Open) -> None:
    journal = opened(lite_url)
    with journal.write(), pytest.raises(Failed) as nested:
        journal.append([started("r1")])
    assert nested.value.code == "journal-write-nested"
    assert journal.append([started("r1")])[0].seq == 1


def test_threads_append_without_loss(url: str, opened: Open) -> None:
    journal = opened(url)

    def work(name: int) -> None:
        for n in range(15):
            journal.append([started(f"{name}-{n}")])
            assert journal.rows("runs", {"run": f"{name}-{n}"})

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [fact.seq for fact in journal.facts()] == list(range(1, 61))
    assert verify(journal).ok


def test_points_are_kept_per_project_and_run(url: str, opened: Open) -> None:
    journal = opened(url)
    points = [Point("r1", "loss", step, 1 / (step + 1), at=step) for step in range(3)]
    journal.add_points([*reversed(points), Point("r1", "auc", 0, float("nan")), Point("r2", "loss", 0, 9.0)])
    assert journal.points("r1", "loss") == points
    assert [point.name for point in journal.points("r1")] == ["auc", "loss", "loss", "loss"]
    assert journal.points("r1")[0].value != journal.points("r1")[0].value
    assert journal.bound_to(project="prj_b").points("r1") == []
    journal.add_points([])


def test_a_projection_this_process_lacks_is_rebuilt_by_the_next_that_has_it(url: str, opened: Open) -> None:
    full = opened(url)
    full.append([champion(1)])
    bare = opened(url, projections=())
    bare.append([champion(2), started("r1")])
    assert [row["version"] for row in opened(url).rows("aliases", history=True)] == [1, 2]
    bare.append([champion(3)])
    full.append([champion(4)])  # an old process notices, too
    assert [row["version"] for row in full.rows("aliases", history=True)] == [1, 2, 3, 4]
    assert verify(full).ok


def test_a_file_that_is_no_database_is_a_werk_error(tmp_path: Path) -> None:
    path = tmp_path / "journal.db"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(Tampered):
        open_journal(f"sqlite:///{path}", project="p", actor="a", projections=())


def test_a_damaged_page_is_a_werk_error(tmp_path: Path, opened: Open) -> None:
    path = tmp_path / "journal.db"
    journal = opened(f"sqlite:///{path}")
    journal.append([started(f"r{n}", pad="x" * 500) for n in range(200)])
    journal.close()
    data = bytearray(path.read_bytes())
    data[4096 * 2 :] = b"\xff" * (len(data) - 4096 * 2)
    path.write_bytes(data)
    with pytest.raises(WerkError):
        list(opened(f"sqlite:///{path}").facts())


def test_a_folder_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    folder = tmp_path / "locked"
    folder.mkdir(mode=0o555)
    code = (
        "import os, sys\n"
        "from werk.core.errors import InputError\nfrom werk.journal import open_journal\n"
        "import sqlalchemy.dialects.sqlite.pysqlite, sqlite3\n"
        "if os.getuid() == 0: os.setuid(65534)\n"
        "try: open_journal(sys.argv[1], project='p', actor='a', projections=())\n"
        "except InputError as refused: print(refused.code)\n"
    )
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.getuid() and not parent.stat().st_mode & 0o001:
            parent.chmod(parent.stat().st_mode | 0o011)
    done = subprocess.run(
        [sys.executable, "-c", code, f"sqlite:///{folder / 'j.db'}"], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.strip() == "journal-unwritable", done.stderr


@pytest.mark.parametrize(
    "url", ["sqlite://", "sqlite:///:memory:", "mysql://u:secret@h/d", "no url with secret", "postgresql://u:secret@h:x/d"]
)
def test_an_unusable_url_is_refused_without_showing_its_password(url: str) -> None:
    with pytest.raises(InputError) as refused:
        open_journal(url, project="p", actor="a", projections=())
    assert refused.value.code == "journal-url"
    assert "secret" not in str(refused.value) + refused.value.hint


def test_an_unreachable_server_is_transient_and_keeps_its_password(tmp_path: Path) -> None:
    with pytest.raises(Transient) as away:
        open_journal("postgres://me:secret@127.0.0.1:1/db", project="p", actor="a", projections=())
    chain = [away.value, away.value.__cause__, away.value.hint]
    assert all("secret" not in str(part) for part in chain)


def test_a_missing_driver_names_its_extra() -> None:
    code = (
        "import sys; sys.modules['psycopg'] = None\n"
        "from werk.core.errors import InputError\nfrom werk.journal import open_journal\n"
        "try: open_journal('postgresql://h/d', project='p', actor='a', projections=())\n"
        "except InputError as e: print(e.message, e.hint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60)
    assert "journal 'postgresql' needs 'psycopg'" in done.stdout, done.stderr
    assert "pip install 'werk[postgres]'" in done.stdout


def test_changes_of_one_row_keep_their_order_in_a_batch_of_many(url: str, opened: Open) -> None:
    """Statements of the same kind are gathered over the batch: never past another change of the same row."""
    journal = opened(url)
    kinds = ("run.started", "run.finished", "run.dropped", "run.finished", "run.started", "run.finished")
    started = [NewFact(kind, f"r{at}", {}) for kind in kinds[:2] for at in range(3)]
    mixed = [NewFact(kinds[(at + step) % len(kinds)], f"r{at}", {"step": step}) for step in range(12) for at in range(5)]
    moved = [NewFact("alias.set", f"m{at % 150}", {"version": at}) for at in range(700)]  # more keys than one question holds
    journal.append(started)
    journal.append([*mixed, *moved[:400]])
    journal.append([*moved[400:], *mixed[::-1]])
    for name, rows in replay(journal).items():
        key = ["run"] if name == "runs" else ["model", "alias", "valid_from"]
        assert rows == journal.rows(name, order=key, history=True)
    assert len(journal.rows("aliases")) == 150
    assert verify(journal).ok


def test_the_open_row_of_a_key_is_found_without_reading_its_history(lite_url: str, opened: Open) -> None:
    opened(lite_url).append([champion(version) for version in range(3)])
    with closing(sqlite3.connect(lite_url.removeprefix("sqlite:///"))) as file:
        told = file.execute("PRAGMA table_info(p_aliases)").fetchall()
        columns, size = tuple(row[1] for row in told), sum(row[5] > 0 for row in told) - 1
        plan = file.execute(f"EXPLAIN QUERY PLAN {_select_open('aliases', columns, size, 2, '?')}", ["k"] * size * 4).fetchall()
    reads = [row[3] for row in plan if "p_aliases" in row[3]]
    assert reads
    for read in reads:
        assert re.match(r"SEARCH p_aliases USING (COVERING )?INDEX \S+ \(project=\? AND ", read), plan
    assert any("valid_from=?" in read for read in reads), plan
