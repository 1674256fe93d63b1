import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

import duckdb
import polars as pl
import pytest

from werk.adapters.table_store.delta import DeltaTableStore
from werk.adapters.table_store.memory import MemoryTableStore
from werk.core.errors import InputError
from werk.testing.table_store import TableStoreSuite, made_of


class TestMemory(TableStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryTableStore:
        return MemoryTableStore()


class TestDelta(TableStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DeltaTableStore:
        return DeltaTableStore(tmp_path / "lake")


class TestDeltaInAFolderOfAnyName(TableStoreSuite):
    """The library below writes such a path in another way than the disk does."""

    @pytest.fixture
    def store(self, tmp_path: Path) -> DeltaTableStore:
        return DeltaTableStore(tmp_path / "Mein Ordner" / "größe 米, 100 % (neu) & {alt}")


class TestDeltaOnS3(TableStoreSuite):
    @pytest.fixture
    def store(self, s3_endpoint: str, s3_bucket: str) -> DeltaTableStore:
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        return DeltaTableStore(f"s3://{s3_bucket}/lake", endpoint_url=s3_endpoint, allow_http=True, **keys)


def test_nobody_sees_half_a_table_while_it_is_written(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path / "lake")
    store.write("raw.t", pl.DataFrame({"v": [0] * 1000}))
    seen: set[tuple[int, int]] = set()
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            values = pl.DataFrame(store.read("raw.t"))["v"]
            seen.add((len(values), values.n_unique()))

    reader = threading.Thread(target=look)
    reader.start()
    for n in range(1, 6):
        store.write("raw.t", pl.DataFrame({"v": [n] * 1000}), mode="replace")
    stop.set()
    reader.join()
    assert seen == {(1000, 1)}


def test_every_version_is_read_by_a_second_engine(tmp_path: Path) -> None:
    """DuckDB reads the Parquet files of a version without anything of ours."""
    store = DeltaTableStore(tmp_path / "lake")
    store.write("raw.t", pl.DataFrame({"k": [1, 2], "v": ["a", None]}))
    store.write("raw.t", pl.DataFrame({"k": [3], "v": ["c"]}))
    store.write("raw.t", pl.DataFrame({"k": [9], "v": ["z"]}), mode="replace")
    for version in range(3):
        ours = pl.DataFrame(store.read("raw.t", version)).sort("k")
        theirs = duckdb.read_parquet(store.files("raw.t", version)).order("k").fetchall()
        assert theirs == ours.rows()


def test_a_version_older_than_a_month_is_still_read(tmp_path: Path) -> None:
    """Delta makes a checkpoint every hundred commits, and would then drop the entries of a month ago."""
    store = DeltaTableStore(tmp_path)
    for n in range(99):
        store.write("raw.t", pl.DataFrame({"v": [n]}), mode="replace")
    month_ago = time.time() - 40 * 86_400
    for entry in (tmp_path / "raw/t/_delta_log").iterdir():
        os.utime(entry, (month_ago, month_ago))
    for n in range(99, 103):
        store.write("raw.t", pl.DataFrame({"v": [n]}), mode="replace")
    assert [pl.DataFrame(store.read("raw.t", version))["v"].to_list() for version in (3, 102)] == [[3], [102]]
    assert [name for name in store.contents("raw.t", 99) if name.endswith("checkpoint.parquet")]
    (tmp_path / "raw/t/_delta_log/00000000000000000003.json").unlink()
    with pytest.raises(InputError, match=r"'raw.t' cannot be read"):
        store.read("raw.t", 3)


@pytest.mark.parametrize("part", ["parquet", "entry"])
def test_another_content_under_the_same_name_is_seen(tmp_path: Path, part: str) -> None:
    store = DeltaTableStore(tmp_path)
    store.write("raw.t", pl.DataFrame({"v": [1]}))
    before = made_of(store, "raw.t", 0)
    (name,) = [name for name in before if name.startswith("_delta_log/") is (part == "entry")]
    data = (tmp_path / "raw/t" / name).read_bytes()
    (tmp_path / "raw/t" / name).write_bytes(data[:-5] + bytes([data[-5] ^ 1]) + data[-4:])
    assert store.content("raw.t", name) != before[name]
    (tmp_path / "raw/t" / name).unlink()
    assert store.content("raw.t", name) is None


def _cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-40])


def _empty(file: Path) -> None:
    file.write_bytes(b"")


def _overwrite(file: Path) -> None:
    data = file.read_bytes()
    file.write_bytes(data[:4] + b"\xff" * 76 + data[80:])


@pytest.mark.parametrize("damage", [_cut, _empty, _overwrite, Path.unlink])
def test_a_damaged_file_is_an_error_that_names_the_table(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = DeltaTableStore(tmp_path)
    store.write("raw.t", pl.DataFrame({"v": [1, 2]}))
    store.write("raw.t", pl.DataFrame({"v": [3]}), mode="replace")
    (file,) = store.files("raw.t", 0)
    damage(Path(file.removeprefix("file://")))
    with pytest.raises(InputError, match=r"'raw.t' cannot be read") as caught:
        store.read("raw.t", 0)
    assert caught.value.code == "table-damaged"
    assert pl.DataFrame(store.read("raw.t"))["v"].to_list() == [3]


def test_a_damaged_log_is_an_error_that_names_the_table(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    store.write("raw.t", pl.DataFrame({"v": [1]}))
    next(tmp_path.glob("raw/t/_delta_log/*.json")).write_text("{broken")
    with pytest.raises(InputError, match=r"'raw.t' cannot be read"):
        store.version("raw.t")
    with pytest.raises(InputError, match=r"'raw.t' cannot be read"):
        store.write("raw.t", pl.DataFrame({"v": [1]}), mode="replace")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file/lake/raw/t cannot be written: Not a directory"):
        DeltaTableStore(tmp_path / "file" / "lake").write("raw.t", pl.DataFrame({"v": [1]}))


READ_ONLY = """
import os, sys, polars
from werk.adapters.table_store.delta import DeltaTableStore
from werk.core.errors import InputError
if os.geteuid() == 0:  # root may write anywhere
    os.setuid(65534)
store = DeltaTableStore(sys.argv[1])
for table in ("raw.t", "raw.new"):
    try:
        store.write(table, polars.DataFrame({"v": [2]}))
    except InputError as refused:
        print(refused.code, refused.message)
print(store.read("raw.t").rows())
"""


def test_a_read_only_folder_is_named_and_still_read() -> None:
    with tempfile.TemporaryDirectory() as made:  # tmp_path is closed to the user the writer becomes
        lake = Path(made).resolve()
        DeltaTableStore(lake).write("raw.t", pl.DataFrame({"v": [1]}))
        folders = [lake, *(folder for folder in lake.rglob("*") if folder.is_dir())]
        for folder in folders:
            folder.chmod(0o555)
        done = subprocess.run([sys.executable, "-c", READ_ONLY, str(lake)], capture_output=True, text=True, check=True)
        for folder in folders:
            folder.chmod(0o755)
    assert done.stdout.splitlines() == [
        f"store-unwritable {lake}/raw/t cannot be written: Permission denied.",
        f"store-unwritable {lake}/raw/new cannot be written: Permission denied.",
        "[(1,)]",
    ]
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        (pl.UInt8, pl.Int16()),
        (pl.UInt32, pl.Int64()),
        (pl.Categorical, pl.String()),
        (pl.Decimal(12, 2), pl.Decimal(12, 2)),
        (pl.Datetime("ns", "Europe/Zurich"), pl.Datetime("us", "UTC")),
        (pl.Datetime("ms"), pl.Datetime("us")),
        (pl.Array(pl.UInt8, 2), pl.List(pl.Int16)),
        (pl.Struct({"größe 米": pl.Date, "b": pl.List(pl.Binary)}), pl.Struct({"größe 米": pl.Date, "b": pl.List(pl.Binary)})),
    ],
)
def test_rows_of_a_type_that_delta_keeps_wider_can_be_appended_again(
    tmp_path: Path, dtype: pl.DataType, kept: pl.DataType
) -> None:
    store, rows = DeltaTableStore(tmp_path), pl.DataFrame({"v": [None]}, schema={"v": dtype})
    assert [store.write("raw.t", rows), store.write("raw.t", rows)] == [0, 1]
    assert pl.DataFrame(store.read("raw.t")).schema == {"v": kept}


@pytest.mark.parametrize(
    "dtype", [pl.UInt64, pl.Int128, pl.Time, pl.Duration, pl.Null, pl.List(pl.UInt64), pl.Struct({"a": pl.Time})]
)
def test_a_type_that_delta_lacks_is_refused_by_column(tmp_path: Path, dtype: pl.DataType) -> None:
    store = DeltaTableStore(tmp_path)
    with pytest.raises(InputError, match=r"Column 'v' is \w+.*, which Delta lacks"):
        store.write("raw.t", pl.DataFrame({"v": [None]}, schema={"v": dtype}))
    assert store.tables() == []


def test_columns_that_delta_cannot_tell_apart_are_refused(tmp_path: Path) -> None:
    store = DeltaTableStore(tmp_path)
    with pytest.raises(InputError, match="'id' and 'ID' differ in case only"):
        store.write("raw.t", pl.DataFrame({"id": [1], "ID": [2]}))
    with pytest.raises(InputError, match="have no columns"):
        store.write("raw.t", pl.DataFrame())


@pytest.mark.parametrize("name", ["t", "raw.", ".t", "../raw.t", "raw/x.t", "raw.t.u", "Raw.t", "raw.tä"])
def test_a_name_that_could_leave_the_folder_is_refused(tmp_path: Path, name: str) -> None:
    store = DeltaTableStore(tmp_path / "lake")
    with pytest.raises(InputError, match="is not a table name"):
        store.write(name, pl.DataFrame({"v": [1]}))
    assert os.listdir(tmp_path) == []


def test_the_setting_that_loses_rows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_S3_ALLOW_UNSAFE_RENAME", "true")
    with pytest.raises(InputError, match="loses rows"):
        DeltaTableStore(tmp_path)
