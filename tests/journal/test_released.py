"""The tiny journal of each release is opened, replayed, verified and continued; in the newest, no column can be changed."""

from __future__ import annotations

import lzma
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import werk
from werk.app.wiring import PROJECTIONS
from werk.core.journal import Damage, NewFact, Verification
from werk.journal import SqlJournal, open_journal, replay, upgrade, verify
from werk.journal.projections import Shape
from werk.journal.tables import FACT_COLUMNS

# A release has a folder here, written by tests/fixtures/record_journal.py: a new one is picked up by itself.
FOLDER = Path(__file__).parents[1] / "fixtures" / "journals"
RELEASES = sorted((path for path in FOLDER.iterdir()), key=lambda path: [int(n) for n in path.name.split(".")])
SHAPES = {shape.table.name: shape for shape in map(Shape, PROJECTIONS)}
# Projections that the newest journal has no row of. Few: what stands here is not swept.
WITHOUT_ROWS: frozenset[str] = frozenset()

Found = Callable[[str], Verification]


class Kept:
    """An unpacked journal of a release."""

    def __init__(self, release: Path, folder: Path) -> None:
        self.path, self.heads = folder / "journal.db", folder / "heads"
        shutil.copytree(release / "heads", self.heads)
        self.path.write_bytes(lzma.decompress((release / "journal.db.xz").read_bytes()))
        self.key = bytes.fromhex((release / "public_key.hex").read_text())
        upgrade(f"sqlite:///{self.path}")

    def opened(self, *, read_only: bool = False, heads: bool = True) -> SqlJournal:
        return open_journal(
            f"sqlite:///{self.path}",
            project="prj_small",
            actor="act_later",
            projections=PROJECTIONS,
            heads_dir=self.heads if heads else None,
            verify_key=self.key,
            read_only=read_only,
        )

    def verified(self) -> Verification:
        with self.opened(read_only=True) as journal:
            return verify(journal)

    def asked(self, sql: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(self.path)) as file:
            return file.execute(sql).fetchall()

    def changed(self, sql: str) -> None:
        with closing(sqlite3.connect(self.path, isolation_level=None)) as file:
            file.executescript(sql)


def test_this_release_has_its_journal() -> None:
    assert werk.__version__ in [path.name for path in RELEASES], "Run tests/fixtures/record_journal.py."


@pytest.mark.parametrize("release", RELEASES, ids=lambda path: path.name)
def test_the_journal_of_a_release_is_opened_replayed_verified_and_continued(release: Path, tmp_path: Path) -> None:
    kept = Kept(release, tmp_path)
    signed = [line for path in kept.heads.iterdir() for line in path.read_text().splitlines()]
    assert signed
    with kept.opened() as journal:
        assert verify(journal) == Verification(journal.head().seq, len(signed))
        _assert_replayed(journal)
        first = {fact.kind: fact for fact in journal.facts(newest_first=True) if fact.body is not None}
        assert {kind for projection in PROJECTIONS for kind in projection.kinds} - first.keys() <= _unlived(release)
        again = [NewFact(kind, fact.subject, fact.body or {}, run=fact.run) for kind, fact in first.items()]
        assert [fact.body for fact in journal.append(again)] == [fact.body for fact in first.values()]
        assert journal.rows("runs")
        _assert_replayed(journal)
        assert verify(journal) == Verification(journal.head().seq, len(signed))


def _assert_replayed(journal: SqlJournal) -> None:
    for name, rows in replay(journal).items():
        identity = [column for column in SHAPES[f"p_{name}"].identity if column != "project"]
        assert rows == journal.rows(name, order=identity, history=True), name


def _unlived(release: Path) -> set[str]:
    """Kinds that a release did not know yet: beside its journal, once there are some."""
    known = release / "without_kinds.txt"
    return set(known.read_text().split()) if known.exists() else set()


# --- the sweep ---


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """The newest release's, as today's code keeps it."""
    kept = Kept(RELEASES[-1], tmp_path_factory.mktemp("sound"))
    kept.opened().close()
    found = kept.verified()
    assert found.ok, found.damages
    assert found.heads
    return kept


@pytest.fixture
def tampered(sound: Kept) -> Iterator[Found]:
    """Verifies a copy on which SQL was run behind its back."""
    whole = sound.path.read_bytes()

    def tamper(sql: str) -> Verification:
        sound.path.write_bytes(whole)
        sound.changed(sql)
        return sound.verified()

    yield tamper
    for left in sound.path.parent.glob("journal.db*"):
        left.unlink()
    sound.path.write_bytes(whole)


def test_every_projection_has_a_row_or_is_named_here(sound: Kept) -> None:
    empty = {name for name in SHAPES if sound.asked(f"SELECT count(*) FROM {name}") == [(0,)]}
    assert empty == WITHOUT_ROWS
    assert len(WITHOUT_ROWS) < len(SHAPES) / 5


@pytest.mark.parametrize("column", FACT_COLUMNS)
def test_one_changed_value_of_facts_is_named(sound: Kept, tampered: Found, column: str) -> None:
    rows = sound.asked(f"SELECT seq, {column} FROM facts WHERE {column} IS NOT NULL AND body IS NOT NULL ORDER BY seq")
    seq, value = rows[len(rows) // 2]
    found = tampered(f"UPDATE facts SET {column} = {_other(value, column)} WHERE seq = {seq}")
    named = _named(found, "facts", column)
    assert [damage for damage in named if damage.where == f"seq={seq}"], found.damages


@pytest.mark.parametrize("table", sorted(SHAPES.keys() - WITHOUT_ROWS))
def test_one_changed_value_of_every_column_of_a_projection_is_named(sound: Kept, tampered: Found, table: str) -> None:
    shape = SHAPES[table]
    for column in shape.columns:
        # A value where there is one; a column that is null in every row gets one.
        [row] = sound.asked(f'SELECT rowid, "{column}" FROM {table} ORDER BY "{column}" IS NULL, rowid LIMIT 1')
        value = row[1] if row[1] is not None else {"text": "", "json": ""}.get(shape.types.get(column, "int"), 0)
        found = tampered(f'UPDATE {table} SET "{column}" = {_other(value, column)} WHERE rowid = {row[0]}')
        assert _named(found, table, column), (column, found.damages)
        assert {damage.table for damage in found.damages} == {table}, "nothing else is accused"


def _other(value: object, column: str) -> str:
    """SQL for another value of the same type that is nowhere in the table."""
    if isinstance(value, bytes):
        return f"x'{bytes(byte ^ 1 for byte in value).hex()}'"
    if isinstance(value, str):
        return f"\"{column}\" || 'zz'" if value else "'zz'"
    assert isinstance(value, int | float)
    return str(value + 1_000_003)


def _named(found: Verification, table: str, column: str) -> list[Damage]:
    return [damage for damage in found.damages if damage.table == table and column in damage.column.split(", ")]


@pytest.mark.parametrize("cut", [1, 7])
def test_a_cut_tail_is_named_though_all_else_agrees(sound: Kept, tampered: Found, cut: int) -> None:
    """Whoever cuts it lets werk itself make every projection anew."""
    [(head,)] = sound.asked("SELECT max(seq) FROM facts")
    assert isinstance(head, int)
    tampered(f"DELETE FROM facts WHERE seq > {head - cut}; UPDATE meta SET value = '{{}}' WHERE key = 'projections'")
    sound.opened(heads=False).close()
    with sound.opened(heads=False, read_only=True) as journal:
        assert verify(journal) == Verification(head - cut, 0), "without signed heads nobody could tell"
    damages = sound.verified().damages
    assert {damage.table for damage in damages} == {"facts"}
    assert any(damage.where == f"seq={head}" and "the tail was cut" in damage.sentence for damage in damages)
