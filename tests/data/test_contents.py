"""What lies in the store is what was written: every way to change it beneath werk is found, by name."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from deltalake import DeltaTable

from werk.adapters.table_store.delta import DeltaTableStore
from werk.adapters.table_store.memory import MemoryTableStore
from werk.core.errors import Tampered
from werk.core.journal import NewFact
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.data import Contract, Pinned, audit, contents, land, pins, write

KEYED = "name: id, logicalType: integer, primaryKey: true"


def rows(*ids: int) -> pl.DataFrame:
    return pl.DataFrame({"id": ids, "km": [float(n) for n in ids]})


def lake(p: Platform, table: str) -> Path:
    return p.project.root / "lake" / table.replace(".", "/")


def data_files(p: Platform, snapshot: str) -> list[Path]:
    found = Snapshot.parse(snapshot)
    assert isinstance(p.table_store, DeltaTableStore)
    return sorted(Path(uri.removeprefix("file://")) for uri in p.table_store.files(found.table, found.version))


@pytest.fixture
def landed(p: Platform) -> Platform:
    """Two landings, and a table of two appends."""
    land(p, "raw.t", rows(1, 2, 3))
    land(p, "raw.t", rows(4, 5))
    for n in (1, 2):
        write(p, "product.t", rows(n))
    return p


def test_tables_that_are_what_was_written_hold(landed: Platform) -> None:
    found = audit(landed)
    assert (found.damages, found.unrecorded, found.vacuumed) == ((), (), ())
    assert (found.tables, found.versions) == (2, 4)
    stored = [path for path in (landed.project.root / "lake").rglob("*") if path.is_file()]
    assert (found.parts, found.size_bytes) == (len(stored), sum(path.stat().st_size for path in stored))


def test_an_append_records_what_it_adds_and_not_all_again(landed: Platform) -> None:
    told = [fact.body or {} for fact in landed.journal.facts(kinds=("table.written",), subject="product.t")]
    first, second = (body[contents.OWN] for body in told)
    assert isinstance(first, dict)
    assert isinstance(second, dict)
    assert (first["base"], second["base"]) == (None, 0)
    assert second["removed"] == ["_delta_log/00000000000000000000.json"]
    assert [len(first["added"]), len(second["added"])] == [2, 2]


def test_a_changed_row_in_a_parquet_file_of_the_same_size_is_found(landed: Platform) -> None:
    """The very thing nobody noticed: a valid file with other numbers, as long as the log says."""
    (file,) = data_files(landed, "raw.t@0")
    size = file.stat().st_size
    file.unlink()
    forged = pl.read_parquet(file.with_name(next(iter(file.parent.glob("*.parquet"))).name)).clear()
    forged.vstack(rows(1, 2, 9)).write_parquet(file, compression="zstd", compression_level=1)
    file.write_bytes(file.read_bytes().ljust(size, b"\0")[:size])
    (damage,) = audit(landed).damages
    assert (damage.table, damage.where, damage.column) == ("raw.t", "version=0", file.name)
    assert damage.sentence.startswith(f"raw.t@0 is not what was written: {file.name} has sha256 ")


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def grow(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b" ")


@pytest.mark.parametrize("harm", [flip, grow, Path.unlink])
def test_every_file_of_every_version_is_checked(landed: Platform, harm: Callable[[Path], None], tmp_path: Path) -> None:
    store = landed.project.root / "lake"
    shutil.copytree(store, tmp_path / "sound")
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        harm(path)
        found = audit(landed).damages
        assert [damage for damage in found if damage.column.endswith(path.name)], f"{path} was changed and nobody saw it"
        shutil.rmtree(store)
        shutil.copytree(tmp_path / "sound", store)
    assert audit(landed).damages == ()


def test_a_log_that_drops_a_file_is_found_though_every_file_is_whole(landed: Platform) -> None:
    """A checkpoint takes the place of the entries before it: without its own digest it would hide a file."""
    log = lake(landed, "product.t") / "_delta_log"
    DeltaTable(lake(landed, "product.t")).create_checkpoint()
    made = next(log.glob("*.checkpoint.parquet"))
    actions = pl.read_parquet(made)
    adds = actions["add"].struct.field("path").drop_nulls()
    actions.filter(pl.col("add").struct.field("path").ne_missing(adds[0])).write_parquet(made)
    columns = {damage.column for damage in audit(landed).damages}
    assert f"_delta_log/{made.name}" in columns
    sentences = [damage.sentence for damage in audit(landed).damages]
    assert "product.t@1 is not what was written: nobody recorded its _delta_log/" + made.name + "." in sentences
    assert f"product.t@1 is not what was written: it no longer reads {adds[0]}." in sentences


def test_an_edited_log_entry_is_found(landed: Platform) -> None:
    entry = lake(landed, "product.t") / "_delta_log" / "00000000000000000001.json"
    lines = [line for line in entry.read_text().splitlines() if '"add"' not in line]
    entry.write_text("\n".join(lines))
    (damage,) = audit(landed).damages
    assert damage.column == "_delta_log/00000000000000000001.json"


def test_a_table_that_is_gone_is_damage(landed: Platform) -> None:
    shutil.rmtree(lake(landed, "raw.t"))
    assert {damage.table for damage in audit(landed).damages} == {"raw.t"}


def test_a_changed_quarantine_is_found(p: Platform, contract: Callable[..., Contract]) -> None:
    landing = land(p, "raw.t", rows(1, 1, 2), contract=contract(KEYED))
    assert landing.rows_quarantined == 2
    assert audit(p).tables == 2
    flip(data_files(p, "raw.t_quarantine@0")[0])
    (damage,) = audit(p).damages
    assert damage.sentence.startswith("raw.t_quarantine@0 is not what was written")
    with pytest.raises(Tampered):
        Pinned(p, {"raw.t_quarantine": 0}).scan("raw.t_quarantine")


def test_a_step_reads_no_row_that_was_changed(landed: Platform) -> None:
    pinned = Pinned(landed, pins(landed))
    pinned.scan("raw.t")
    (file,) = data_files(landed, "raw.t@1")
    flip(file)
    with pytest.raises(Tampered, match=rf"raw.t@1 is not what was written: {file.name} has sha256") as caught:
        pinned.scan("raw.t")
    assert (caught.value.code, caught.value.exit_code) == ("table-tampered", 1)
    assert len(pinned.scan("product.t").collect()) == 2


def test_a_long_chain_of_appends_is_followed(p: Platform) -> None:
    for n in range(25):
        write(p, "product.t", rows(n))
    Pinned(p, pins(p)).scan("product.t")
    flip(data_files(p, "product.t@0")[0])
    with pytest.raises(Tampered, match=r"product.t@24"):
        Pinned(p, pins(p)).scan("product.t")
    (damage,) = audit(p).damages
    assert damage.where == "version=0", "a file that is wrong in many versions is told once"
    (newest,) = audit(p, "newest").damages
    assert newest.where == "version=24"
    assert audit(p, "none").versions == 0


def test_facts_of_before_are_said_and_do_not_fail(landed: Platform) -> None:
    for version, fact in enumerate([*landed.journal.facts(kinds=("table.written",), subject="raw.t")]):
        old = {name: value for name, value in (fact.body or {}).items() if name not in (contents.OWN, contents.HELD)}
        landed.journal.append([NewFact("table.written", "raw.old", {**old, "version": version})])
    landed.table_store.write("raw.old", rows(1))
    landed.table_store.write("raw.old", rows(2))
    write(landed, "raw.old", rows(3))
    found = audit(landed)
    assert (found.unrecorded, found.damages) == (("raw.old@0", "raw.old@1"), ())
    flip(data_files(landed, "raw.old@2")[0])
    assert audit(landed).damages, "the first append after is a record of all there is"


def test_a_vacuum_is_said_and_does_not_fail_and_more_than_it_does(landed: Platform) -> None:
    old = data_files(landed, "raw.t@0")
    table = DeltaTable(lake(landed, "raw.t"))
    assert table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False)
    assert [path.exists() for path in old] == [False]
    found = audit(landed)
    assert (found.damages, found.vacuumed) == ((), (f"raw.t: {old[0].name}",))
    data_files(landed, "raw.t@1")[0].unlink()
    assert audit(landed).damages


def test_a_store_in_memory_is_checked_as_well(p: Platform) -> None:
    made = replace(p, table_store=MemoryTableStore())
    land(made, "raw.t", rows(1))
    write(made, "product.t", rows(1))
    assert (audit(made).versions, audit(made).damages) == (2, ())
    emptied = replace(made, table_store=MemoryTableStore())
    assert {damage.table for damage in audit(emptied).damages} == {"raw.t", "product.t"}


def test_a_store_put_elsewhere_is_what_was_written(landed: Platform, tmp_path: Path) -> None:
    shutil.copytree(landed.project.root / "lake", tmp_path / "größe 米 & co" / "lake")
    moved = replace(landed, table_store=DeltaTableStore(tmp_path / "größe 米 & co" / "lake"))
    assert (audit(moved).versions, audit(moved).damages) == (4, ())
