"""Who else writes to a table: what is told, what is refused, and how to go on. Real Delta, real processes, real kills."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from tests.data.conftest import platform

from werk.adapters.table_store.delta import DeltaTableStore
from werk.core.errors import InputError, Refused, Tampered
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.data import Contract, audit, contents, known, land, scan, set_back, standing, write

T = "product.t"
WRITER = """
import os, signal, sys
from pathlib import Path
import polars as pl
from tests.data.conftest import platform
from werk.adapters.table_store.delta import DeltaTableStore
from werk.data import land, write
root, what, numbers = Path(sys.argv[1]), sys.argv[2], [int(n) for n in sys.argv[3].split(",")]
p = platform(root)
if what.startswith("killed"):
    commit = DeltaTableStore.write
    def deadly(self, table, *given, **named):
        commit(self, table, *given, **named)
        if not table.endswith("_quarantine"):
            os.kill(os.getpid(), signal.SIGKILL)
    DeltaTableStore.write = deadly
if what == "killed landing":
    land(p, "raw.t", pl.DataFrame({"n": numbers}))
for n in numbers:
    write(p, "product.t", pl.DataFrame({"n": [n]}), once=(f"batch {n}", 1), run=f"run_{n}")
"""


def ones(*numbers: int) -> pl.DataFrame:
    return pl.DataFrame({"n": numbers})


def process(p: Platform, what: str, *numbers: int) -> subprocess.Popen[bytes]:
    where = os.pathsep.join([str(Path(__file__).parents[2]), *(path for path in sys.path if path)])
    command = [sys.executable, "-c", WRITER, str(p.project.root), what, ",".join(map(str, numbers))]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": where})


def killed(p: Platform, what: str = "killed", *numbers: int) -> None:
    assert process(p, what, *numbers).wait() == -signal.SIGKILL


def lake(p: Platform, table: str = T) -> Path:
    return p.project.root / "lake" / table.replace(".", "/")


def forge(p: Platform, *numbers: int, mode: str = "overwrite", table: str = T) -> None:
    write_deltalake(lake(p, table), ones(*numbers), mode=mode)  # type: ignore[call-overload]  # a mode is a literal there


def told(p: Platform, table: str = T) -> list[object]:
    return [(fact.body or {})["version"] for fact in p.journal.facts(kinds=("table.written",), subject=table)]


def numbers(p: Platform, table: str = T) -> list[int]:
    return sorted(scan(p, table).collect()["n"])


@pytest.fixture
def written(p: Platform) -> Platform:
    for n in (1, 2):
        write(p, T, ones(n))
    return p


# --- somebody else's commits ---


def test_nothing_is_added_to_rows_of_others_and_the_refusal_says_how_to_go_on(written: Platform) -> None:
    forge(written, 7, 8)
    with pytest.raises(Refused, match=r"Somebody else has written product.t@2 and product.t@1 is the newest") as no:
        write(written, T, ones(3))
    assert (no.value.code, no.value.exit_code) == ("store-overtaken", 3)
    assert "werk tables --set-back product.t" in no.value.hint
    assert (written.table_store.version(T), told(written), numbers(written)) == (2, [0, 1], [1, 2])
    assert (audit(written).untold, audit(written, "newest").untold, audit(written).damages) == ((f"{T}@2",), (f"{T}@2",), ())

    assert set_back(written, T) == Snapshot(T, 3)
    assert set_back(written, T) is None
    assert numbers(written) == sorted(pl.DataFrame(written.table_store.read(T))["n"]) == [1, 2]
    write(written, T, ones(3))
    assert (told(written), numbers(written)) == ([0, 1, 3, 4], [1, 2, 3])
    assert (audit(written).damages, audit(written).untold) == ((), (f"{T}@2",))
    assert audit(written, "newest").untold == ()
    (row,) = standing(written.journal)
    assert (row["version"], row["rows"], row["rows_added"]) == (4, 3, 1)


def test_a_replacement_goes_on_over_rows_of_others_and_is_recorded_whole(written: Platform) -> None:
    forge(written, 7)
    write(written, T, ones(5), mode="replace")
    write(written, T, ones(6))
    assert (numbers(written), audit(written).damages) == ([5, 6], ())
    bodies = [fact.body or {} for fact in written.journal.facts(kinds=("table.written",), subject=T)]
    bases = [body[contents.OWN]["base"] for body in bodies]  # type: ignore[index, call-overload]  # JSON
    assert bases == [None, 0, None, 3]


def test_a_landing_goes_on_over_rows_of_others_and_is_recorded_whole(p: Platform) -> None:
    land(p, "raw.t", ones(1))
    forge(p, 7, table="raw.t")
    landing = land(p, "raw.t", ones(2))
    assert (landing.version, landing.unchanged, numbers(p, "raw.t")) == (2, False, [2])
    (path,) = DeltaTable(lake(p, "raw.t")).file_uris()
    assert audit(p).damages == ()
    Path(path.removeprefix("file://")).unlink()
    assert [damage.where for damage in audit(p).damages] == ["version=2"]


def test_a_foreign_commit_that_slips_in_before_ours_is_not_recorded_as_ours(
    written: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = type(written.table_store).write

    def late(self: object, table: str, *given: object, **named: object) -> int:
        forge(written, 7)
        return commit(self, table, *given, **named)  # type: ignore[arg-type]

    batch = {"once": ("batch 3", 1), "notes": {"window": "w"}}
    with monkeypatch.context() as slipped:
        slipped.setattr(type(written.table_store), "write", late)
        with pytest.raises(Refused, match=r"Somebody else has written product.t@2"):
            write(written, T, ones(3), **batch)  # type: ignore[arg-type]
    assert (written.table_store.version(T), told(written), numbers(written)) == (3, [0, 1], [1, 2])
    with pytest.raises(Refused, match=r"Somebody else has written product.t@2"):
        write(written, T, ones(3), **batch)  # type: ignore[arg-type]
    assert audit(written).untold == (f"{T}@2", f"{T}@3")

    assert set_back(written, T) == Snapshot(T, 4)
    for _ in range(2):
        assert write(written, T, ones(3), **batch) == Snapshot(T, 5)  # type: ignore[arg-type]
    assert (numbers(written), told(written), audit(written).damages) == ([1, 2, 3], [0, 1, 4, 5], ())


def test_a_table_of_somebody_else_is_not_added_to(p: Platform) -> None:
    forge(p, 7, mode="error")
    with pytest.raises(Refused, match="this project has written nothing there") as no:
        write(p, T, ones(1))
    assert "--set-back" not in no.value.hint
    with pytest.raises(InputError, match="this project did not write it"):
        set_back(p, T)
    assert known(p, T) is None


def test_a_landed_table_that_was_set_back_keeps_its_source_and_is_landed_again(
    p: Platform, contract: Callable[..., Contract]
) -> None:
    keyed = contract("name: n, logicalType: integer, primaryKey: true")
    first = land(p, "raw.t", ones(0, 1, 1), contract=keyed)
    forge(p, 7, table="raw.t")
    assert set_back(p, "raw.t") == Snapshot("raw.t", 2)
    before, after = p.journal.rows("table_versions", {"table": "raw.t"}, order=("version",))
    for name in ("source", "contract_sha256", "rows", "rows_in", "quarantined", "quarantine", "checks", "schema"):
        assert before[name] == after[name], name
    assert (numbers(p, "raw.t"), known(p, "raw.t_quarantine"), audit(p).damages) == ([0], 0, ())
    landing = land(p, "raw.t", ones(0, 1, 2), contract=keyed)
    assert (landing.version, landing.unchanged, numbers(p, "raw.t")) == (3, False, [0, 1, 2])
    assert (first.quarantine, audit(p).damages) == (Snapshot("raw.t_quarantine", 0), ())


def test_a_set_back_of_changed_rows_is_refused(written: Platform) -> None:
    (file, _) = sorted(Path(uri.removeprefix("file://")) for uri in DeltaTable(lake(written)).file_uris())
    forge(written, 7)
    file.write_bytes(file.read_bytes() + b" ")
    with pytest.raises(Tampered):
        set_back(written, T)
    assert written.table_store.version(T) == 2


def test_two_set_backs_at_once_take_nothing_out_that_was_added_after_the_first(
    written: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    forge(written, 7)
    commit, first = type(written.table_store).write, []

    def late(self: object, table: str, *given: object, **named: object) -> int:
        if not first:
            first.append(1)
            set_back(written, T)
            write(written, T, ones(3))
        return commit(self, table, *given, **named)  # type: ignore[arg-type]

    with monkeypatch.context() as slipped:
        slipped.setattr(type(written.table_store), "write", late)
        set_back(written, T)
    assert (numbers(written), audit(written).damages) == ([1, 2, 3], ())


def test_a_vacuum_is_nobody_and_stops_no_append(written: Platform) -> None:
    write(written, T, ones(3), mode="replace")
    assert DeltaTable(lake(written)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert written.table_store.version(T) == 4
    write(written, T, ones(4))
    assert (numbers(written), told(written)) == ([3, 4], [0, 1, 2, 5])
    assert (audit(written).damages, audit(written).untold) == ((), ())
    forge(written, 7, mode="append")
    DeltaTable(lake(written)).vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    with pytest.raises(Refused, match=r"Somebody else has written product.t@6"):
        write(written, T, ones(5))


# --- what a write reads of the table's past ---


class Counted(DeltaTableStore):
    """Notes the log entries that it reads itself; what the library reads when it opens a table ends at the newest checkpoint."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.entries: list[int] = []

    def fetch(self, table: str, part: str) -> bytes:
        self.entries += [int(Path(part).stem)] if part.startswith("_delta_log/") else []
        return super().fetch(table, part)


def test_a_write_reads_no_log_entry_that_was_told(p: Platform) -> None:
    store = Counted(p.project.root / "lake")
    counting = replace(p, table_store=store)
    for n in range(24):
        store.entries.clear()
        write(counting, T, ones(n), once=(f"batch {n}", 1))
        assert store.entries == [n]
    store.entries.clear()
    write(counting, T, ones(24), mode="replace")
    assert store.entries == [24]
    killed(p, "killed", 25)
    store.entries.clear()
    write(counting, T, ones(26))
    assert store.entries == [25, 26]
    assert (numbers(p), audit(p).damages, audit(p).untold) == ([24, 25, 26], (), ())


def test_a_repeated_write_reads_back_to_its_commit_and_no_further(p: Platform) -> None:
    store = Counted(p.project.root / "lake")
    for n in range(12):
        write(replace(p, table_store=store), T, ones(n), once=(f"batch {n}", 1))
    store.entries.clear()
    assert write(replace(p, table_store=store), T, ones(8), once=("batch 8", 1)) == Snapshot(T, 8)
    assert store.entries == [11, 10, 9, 8]


def test_a_write_needs_no_log_entry_before_the_checkpoint(p: Platform) -> None:
    """Those a month old may be gone: what nobody can read, nobody has read."""
    for n in range(12):
        write(p, T, ones(n))
    DeltaTable(lake(p)).create_checkpoint()
    for n in range(11):
        (lake(p) / "_delta_log" / f"{n:020}.json").write_text("unreadable")
    write(p, T, ones(12))
    killed(p, "killed", 13)
    write(p, T, ones(14))
    assert (told(p), numbers(p)) == (list(range(15)), list(range(15)))
    forge(p, 99, mode="append")
    with pytest.raises(Refused, match=r"Somebody else has written product.t@15"):
        write(p, T, ones(16))
    assert set_back(p, T) == Snapshot(T, 16)
    assert numbers(p) == list(range(15))


def test_a_commit_in_the_midst_of_the_reading_moves_no_notes_to_another_version(p: Platform) -> None:
    class Late(DeltaTableStore):
        def _at(self, table: str, version: int | None) -> DeltaTable:
            opened = super()._at(table, version)
            forge(p, 7, mode="append")
            return opened

    for n in range(3):
        write(p, T, ones(n), run=f"run_{n}")
    said = Late(p.project.root / "lake").history(T)
    assert [entry.version for entry in said] == [2, 1, 0]
    assert [json.loads(entry.notes["fact"])["run"] for entry in said] == ["run_2", "run_1", "run_0"]


def test_an_entry_that_is_gone_is_nobodys_and_nothing_is_built_on_it(written: Platform) -> None:
    forge(written, 7, mode="append")
    DeltaTable(lake(written)).create_checkpoint()
    (lake(written) / "_delta_log" / "00000000000000000002.json").unlink()
    with pytest.raises(Refused, match=r"Somebody else has written product.t@2"):
        write(written, T, ones(3))
    assert told(written) == [0, 1]


# --- a store that is behind the journal ---


def test_a_store_that_is_behind_the_journal_is_not_written(written: Platform) -> None:
    (lake(written) / "_delta_log" / "00000000000000000001.json").unlink()
    for write_again in (lambda: write(written, T, ones(3)), lambda: write(written, T, ones(3), mode="replace")):
        with pytest.raises(Refused, match=r"tells of product.t@1, the store has only product.t@0") as no:
            write_again()
        assert (no.value.code, no.value.exit_code) == ("store-behind", 3)
        assert "werk restore" in no.value.hint
    with pytest.raises(Refused, match=r"only product.t@0"):
        set_back(written, T)
    assert (written.table_store.version(T), told(written)) == (0, [0, 1])


@pytest.mark.parametrize("gone", ["raw.t", "raw.t_quarantine"])
def test_a_landing_says_that_the_store_is_behind(p: Platform, gone: str, contract: Callable[..., Contract]) -> None:
    keyed = contract("name: n, logicalType: integer, primaryKey: true")
    for n in (1, 2):
        land(p, "raw.t", ones(0, n, n), contract=keyed)
    (lake(p, gone) / "_delta_log" / "00000000000000000001.json").unlink()
    with pytest.raises(Refused, match=rf"tells of {gone}@1, the store has only {gone}@0"):
        land(p, "raw.t", ones(3), contract=keyed)
    assert p.table_store.version(gone) == 0


def test_a_table_that_is_gone_is_behind(written: Platform) -> None:
    lake(written).rename(lake(written).with_name("away"))
    with pytest.raises(Refused, match=r"tells of product.t@1, the store has nothing of it"):
        write(written, T, ones(3))
    lake(written).with_name("away").rename(lake(written))
    write(written, T, ones(3))
    assert numbers(written) == [1, 2, 3]


def test_another_commit_under_a_number_that_was_told_is_not_added_to(written: Platform) -> None:
    (lake(written) / "_delta_log" / "00000000000000000001.json").unlink()
    forge(written, 7)
    assert written.table_store.version(T) == 1
    with pytest.raises(Tampered, match=r"product.t@1 is not what was written"):
        write(written, T, ones(3))


# --- commits of this project without their fact ---


def test_a_killed_append_is_told_by_the_next_and_facts_come_in_order(written: Platform) -> None:
    killed(written, "killed", 3)
    assert (known(written, T), written.table_store.version(T), audit(written).untold) == (1, 2, (f"{T}@2",))
    write(written, T, ones(4))
    assert (told(written), numbers(written)) == ([0, 1, 2, 3], [1, 2, 3, 4])
    assert [row["run"] for row in written.journal.rows("table_versions", {"version": 2})] == ["run_3"]
    again = write(written, T, ones(3), once=("batch 3", 1), run="run_3")
    (row,) = standing(written.journal)
    assert (again, row["version"], row["rows"]) == (Snapshot(T, 2), 3, 4)
    assert (told(written), numbers(written), audit(written).damages) == ([0, 1, 2, 3], [1, 2, 3, 4], ())
    assert audit(written).untold == ()


def test_several_killed_ones_are_told_oldest_first(written: Platform) -> None:
    """The second is killed as well, after it has told of the first."""
    killed(written, "killed", 3)
    killed(written, "killed", 4)
    assert told(written) == [0, 1, 2]
    assert set_back(written, T) is None, "they are its own"
    assert (told(written), numbers(written), audit(written).damages) == ([0, 1, 2, 3], [1, 2, 3, 4], ())


def test_a_killed_append_below_a_foreign_commit_is_told_and_one_above_it_never(written: Platform) -> None:
    killed(written, "killed", 3)
    forge(written, 7)
    with pytest.raises(Refused, match=r"Somebody else has written product.t@3 and product.t@2 is the newest"):
        write(written, T, ones(4))
    assert (told(written), numbers(written)) == ([0, 1, 2], [1, 2, 3])
    set_back(written, T)
    assert (numbers(written), audit(written).damages) == ([1, 2, 3], ())


def test_a_killed_landing_is_told_by_the_next_one(p: Platform) -> None:
    land(p, "raw.t", ones(1))
    killed(p, "killed landing", 2, 3)
    assert numbers(p, "raw.t") == [1]
    assert land(p, "raw.t", ones(2, 3)).unchanged
    assert (told(p, "raw.t"), numbers(p, "raw.t")) == ([0, 1], [2, 3])
    killed(p, "killed landing", 4)
    assert land(p, "raw.t", ones(5)).version == 3
    assert (told(p, "raw.t"), numbers(p, "raw.t"), audit(p).damages) == ([0, 1, 2, 3], [5], ())


def test_a_writer_that_another_has_told_of_writes_no_second_fact(written: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other comes in between commit and fact."""
    commit, inside = type(written.table_store).write, []

    def slow(self: object, table: str, *given: object, **named: object) -> int:
        version = commit(self, table, *given, **named)  # type: ignore[arg-type]
        if not inside:
            inside.append(1)
            write(written, T, ones(4), run="run_4")
        return version

    monkeypatch.setattr(type(written.table_store), "write", slow)
    assert write(written, T, ones(3), run="run_3") == Snapshot(T, 2)
    assert (told(written), numbers(written), audit(written).damages) == ([0, 1, 2, 3], [1, 2, 3, 4], ())
    runs = {row["version"]: row["run"] for row in written.journal.rows("table_versions")}
    assert (runs[2], runs[3]) == ("run_3", "run_4")


def test_processes_that_append_at_once_lose_and_double_nothing(written: Platform) -> None:
    both = [process(written, "appends", *range(start, start + 8)) for start in (100, 200, 104)]
    assert [one.wait() for one in both] == [0, 0, 0]
    wanted = [1, 2, *range(100, 112), *range(200, 208)]
    assert numbers(written) == wanted
    assert told(written) == list(range(len(wanted)))
    (row,) = standing(written.journal)
    assert (row["version"], row["rows"]) == (len(wanted) - 1, len(wanted))
    assert (audit(written).damages, audit(written).untold) == ((), ())


def test_the_same_on_another_connection(written: Platform) -> None:
    other = platform(written.project.root)
    write(other, T, ones(3))
    assert (numbers(written), told(written)) == ([1, 2, 3], [0, 1, 2])
    other.journal.close()  # type: ignore[attr-defined]
