"""Who adds a trigger, rule, view or index to the database hides nothing: it is named, and no write is quietly swallowed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import create_engine

from werk.core.errors import InputError, Tampered
from werk.core.journal import NewFact, Point
from werk.journal import SqlJournal, erase_body, meet, sign_head, verify

Open = Callable[..., SqlJournal]
KEY = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
_FUNCTION = "CREATE FUNCTION werk_quiet() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {} END $$"


def attack(url: str, *statements: str) -> None:
    """Run SQL behind the journal's back, as it is written."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def swallowing(url: str, table: str, event: str = "INSERT", when: str = "1 = 1") -> list[str]:
    """A trigger z that quietly drops what is written."""
    if url.startswith("sqlite"):
        return [f"CREATE TRIGGER z BEFORE {event} ON {table} WHEN {when} BEGIN SELECT raise(ignore); END"]
    return [
        _FUNCTION.format("RETURN NULL;"),
        f"CREATE TRIGGER z BEFORE {event} ON {table} FOR EACH ROW WHEN ({when}) EXECUTE FUNCTION werk_quiet()",
    ]


def undoing(url: str) -> list[str]:
    """A trigger z that lets a fact in and takes it out again."""
    undo = "DELETE FROM facts WHERE seq = new.seq;"
    if url.startswith("sqlite"):
        return [f"CREATE TRIGGER z AFTER INSERT ON facts BEGIN {undo} END"]
    return [
        _FUNCTION.format(f"{undo} RETURN NULL;"),
        "CREATE TRIGGER z AFTER INSERT ON facts FOR EACH ROW EXECUTE FUNCTION werk_quiet()",
    ]


def started(run: str) -> NewFact:
    return NewFact("run.started", run, {})


def version(number: int) -> NewFact:
    return NewFact("alias.set", "delay", {"version": number})


BEGUN = [started("r1"), version(1)]


@pytest.mark.parametrize(
    ("table", "event", "news"),
    [
        ("facts", "INSERT", [NewFact("x", "y", {})]),
        ("facts", "INSERT", [NewFact("x", "y", {}), NewFact("x", "z", {})]),
        ("p_runs", "INSERT", [started("r2")]),
        ("p_runs", "INSERT", [started("r2"), started("r3")]),
        ("p_runs", "UPDATE", [started("r1")]),
        ("p_runs", "UPDATE", [NewFact("run.finished", "r1", {})]),
        ("p_runs", "DELETE", [NewFact("run.dropped", "r1", {})]),
        ("p_aliases", "INSERT", [version(2)]),
        ("p_aliases", "UPDATE", [version(2)]),
    ],
)
def test_a_write_that_is_swallowed_fails_and_leaves_nothing(
    url: str, opened: Open, table: str, event: str, news: list[NewFact]
) -> None:
    journal = opened(url)
    journal.append(BEGUN)
    attack(url, *swallowing(url, table, event))  # a process that had opened it before
    before = journal.head()
    with pytest.raises(Tampered) as told:
        journal.append(news)
    assert told.value.code == "journal-swallowed"
    assert table in told.value.message
    assert journal.head() == before
    assert journal.rows("runs") != []


def test_a_fact_that_is_taken_away_again_fails_the_write(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append(BEGUN)
    attack(url, *undoing(url))
    for news in ([NewFact("x", "y", {})], [NewFact("x", "y", {}), NewFact("x", "z", {})]):
        with pytest.raises(Tampered, match="facts"):
            journal.append(news)
    assert journal.head().seq == 2


def test_points_and_erasures_that_are_swallowed_fail(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append(BEGUN)
    attack(url, *swallowing(url, "facts", "UPDATE"))
    with pytest.raises(Tampered, match="facts"):
        erase_body(journal, 1, "asked for")
    assert next(journal.facts()).body is not None
    attack(url, *(["DROP TRIGGER z"] if url.startswith("sqlite") else ["DROP FUNCTION werk_quiet CASCADE"]))
    attack(url, *swallowing(url, "points"))
    with pytest.raises(Tampered, match="points"):
        journal.add_points([Point("r1", "loss", 1, 0.5, 1), Point("r1", "loss", 2, 0.4, 2)])
    assert journal.points("r1") == []


def test_a_change_of_a_row_that_is_not_there_is_still_no_change(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append([started("r1")])
    journal.append([NewFact(kind, run, {}) for kind in ("run.finished", "run.dropped") for run in ("r8", "r9")])
    journal.append([NewFact("run.finished", "r1", {}), NewFact("run.finished", "r9", {})])
    [row] = journal.rows("runs")
    assert row["status"] == "finished"
    assert verify(journal).ok


LITE = {
    "swallows some": ["CREATE TRIGGER z BEFORE INSERT ON facts WHEN new.kind = 'never' BEGIN SELECT raise(ignore); END"],
    "dormant": ["CREATE TRIGGER z AFTER INSERT ON p_runs BEGIN UPDATE p_aliases SET version = 9; END"],
    "other case": ["CREATE TRIGGER z AFTER INSERT ON P_RUNS BEGIN UPDATE p_aliases SET version = 9; END"],
    "unique": ["CREATE UNIQUE INDEX z ON p_runs (run, seq)"],
    "expression": ["CREATE INDEX z ON facts (seq, abs(at))"],
    "view": ["ALTER TABLE p_runs RENAME TO z", "CREATE VIEW p_runs AS SELECT * FROM z"],
    "virtual": [
        "ALTER TABLE points RENAME TO z",
        "CREATE VIRTUAL TABLE points USING fts5(id, project, run, name, step, value, at)",
    ],
    "clause": [
        "DROP TABLE points",
        "CREATE TABLE points (id INTEGER NOT NULL, project TEXT NOT NULL, run TEXT NOT NULL, name TEXT NOT NULL, "
        "step INTEGER NOT NULL, value FLOAT, at INTEGER NOT NULL, PRIMARY KEY (id), UNIQUE (run) ON CONFLICT IGNORE)",
        "CREATE INDEX points_by_run ON points (project, run, name, step)",
    ],
}
SERVED = {
    "swallows some": [
        _FUNCTION.format("RETURN NULL;"),
        "CREATE TRIGGER z BEFORE INSERT ON facts FOR EACH ROW WHEN (new.kind = 'never') EXECUTE FUNCTION werk_quiet()",
    ],
    "rule": ["CREATE RULE z AS ON INSERT TO facts WHERE new.kind = 'never' DO INSTEAD NOTHING"],
    "dormant": ["CREATE RULE z AS ON UPDATE TO p_runs DO ALSO UPDATE p_aliases SET version = 9"],
    "partitioned": [
        "ALTER TABLE points RENAME TO z",
        "CREATE TABLE points (LIKE z) PARTITION BY LIST (project)",
        "CREATE TABLE points_all PARTITION OF points DEFAULT",
    ],
    "policy": ["CREATE POLICY z ON p_runs USING (run <> 'r1')"],
    "row security": ["ALTER TABLE p_runs ENABLE ROW LEVEL SECURITY"],
    "unique": ["CREATE UNIQUE INDEX z ON p_runs (run, seq)"],
    "expression": ["CREATE INDEX z ON facts (seq, abs(at))"],
    "view": ["ALTER TABLE p_runs RENAME TO z", "CREATE VIEW p_runs AS SELECT * FROM z"],
}
SAID = {
    "virtual": "(virtual)",
    "partitioned": "partitioned table points",
    "view": "in place of the table p_runs",
    "clause": "on conflict",
    "row security": "row-level security",
}


def _is_named(url: str, added: list[str], name: str, tmp_path: Path, opened: Open) -> None:
    outside = {"heads_dir": tmp_path / "heads", "sign": KEY.sign, "verify_key": KEY.public_key().public_bytes_raw()}
    journal = opened(url, **outside)
    journal.append(BEGUN)
    sign_head(journal)
    assert verify(journal).ok
    attack(url, *added)
    damages = verify(opened(url, read_only=True, **outside)).damages
    assert [damage for damage in damages if name in damage.sentence.lower()], damages
    again = opened(url, **outside)
    for call in (lambda: again.append([NewFact("x", "y", {})]), lambda: meet(again), lambda: sign_head(again)):
        with pytest.raises(Tampered) as told:
            call()
        assert told.value.code == "journal-foreign"
        assert name in told.value.message.lower()
    assert again.head().seq == 2, "it can still be read"


@pytest.mark.parametrize("what", LITE)
def test_what_was_added_to_a_file_is_named_and_closes_it_to_writing(
    lite_url: str, tmp_path: Path, opened: Open, what: str
) -> None:
    _is_named(lite_url, LITE[what], SAID.get(what, " z "), tmp_path, opened)


@pytest.mark.parametrize("what", SERVED)
def test_what_was_added_on_a_server_is_named_and_closes_it_to_writing(
    postgres_url: str, tmp_path: Path, opened: Open, what: str
) -> None:
    _is_named(postgres_url, SERVED[what], SAID.get(what, " z "), tmp_path, opened)


def test_tables_of_others_and_plain_indexes_are_no_damage(url: str, opened: Open) -> None:
    opened(url).append(BEGUN)
    attack(
        url,
        "CREATE TABLE theirs (id INTEGER PRIMARY KEY, name TEXT UNIQUE)",
        "CREATE UNIQUE INDEX theirs_by_name ON theirs (id, lower(name))",
        "CREATE VIEW their_runs AS SELECT run FROM p_runs",
        "CREATE INDEX our_actors ON facts (actor)",
    )
    attack(url, *swallowing(url, "theirs"))
    journal = opened(url)
    journal.append([NewFact("x", "y", {})])
    assert verify(journal).ok, verify(journal).damages


def test_a_number_no_column_can_hold_is_in_no_row(url: str, opened: Open) -> None:
    journal = opened(url)
    journal.append(BEGUN)
    assert journal.rows("aliases", {"version": 2**63}) == journal.rows("aliases", {"version": -(10**30)}) == []
    assert len(journal.rows("aliases", {"version": [2**64, 1]})) == 1
    with pytest.raises(InputError):
        journal.rows("aliases", {"version": "one"})
