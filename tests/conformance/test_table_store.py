import threading
from pathlib import Path

import polars as pl
import pytest

from werk.adapters.table_store.delta import DeltaTableStore
from werk.adapters.table_store.memory import MemoryTableStore
from werk.testing.table_store import TableStoreSuite


class TestMemory(TableStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryTableStore:
        return MemoryTableStore()


class TestDelta(TableStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> DeltaTableStore:
        return DeltaTableStore(tmp_path / "lake")


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
