"""What every table store promises (see `werk.core.ports.table_store`), one test a promise."""

from __future__ import annotations

from threading import Thread

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.core.ports.table_store import CheckedTables, Content, TableStore

ROWS = pl.DataFrame({"id": [1, 2], "name": ["a", None]})


class TableStoreSuite:
    """Subclass with a fixture `store` that gives an empty store."""

    def test_2_versions_grow_by_one_and_stay(self, store: TableStore) -> None:
        versions = [store.write("raw.t", ROWS) for _ in range(3)]
        assert versions == [0, 1, 2]
        assert [len(pl.DataFrame(store.read("raw.t", v))) for v in versions] == [2, 4, 6]
        assert [entry.version for entry in store.history("raw.t")] == [2, 1, 0]

    def test_3_writers_at_once_lose_no_row(self, store: TableStore) -> None:
        store.write("raw.t", ROWS)
        writers = [Thread(target=store.write, args=("raw.t", ROWS)) for _ in range(4)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert len(pl.DataFrame(store.read("raw.t"))) == 10
        assert store.version("raw.t") == 4

    def test_4_a_write_once_is_not_repeated(self, store: TableStore) -> None:
        first = store.write("raw.t", ROWS, once=("app", 0))
        assert store.write("raw.t", ROWS, once=("app", 0)) == first
        assert store.write("raw.t", ROWS, once=("app", 1)) == first + 1
        assert store.write("raw.t", ROWS, once=("other", 0)) == first + 2
        assert store.write("raw.t", ROWS) == first + 3
        # Whoever repeats it has written that version, not what others have written since.
        assert store.write("raw.t", ROWS, once=("app", 0)) == first
        assert store.write("raw.t", ROWS, once=("app", 1)) == first + 1
        assert store.write("raw.t", ROWS, once=("other", 0)) == first + 2
        assert len(pl.DataFrame(store.read("raw.t"))) == 8

    def test_5_a_version_keeps_its_rows_whatever_comes_later(self, store: TableStore) -> None:
        store.write("raw.t", ROWS)
        store.write("raw.t", ROWS.with_columns(more=pl.lit(1.5)), mode="replace", notes={"run": "r1"})
        assert pl.DataFrame(store.read("raw.t", 0)).sort("id").equals(ROWS)
        assert pl.DataFrame(store.read("raw.t", 1, columns=["more"])).columns == ["more"]
        assert store.history("raw.t")[0].notes == {"run": "r1"}

    @pytest.mark.parametrize("wrong", [ROWS.rename({"name": "nom"}), ROWS.with_columns(pl.col("id").cast(pl.String))])
    def test_6_rows_that_do_not_fit_are_refused_by_column(self, store: TableStore, wrong: pl.DataFrame) -> None:
        store.write("raw.t", ROWS)
        with pytest.raises(InputError, match=r"Column '(name|nom|id)'"):
            store.write("raw.t", wrong)
        assert store.version("raw.t") == 0

    def test_7_what_is_not_there_is_named(self, store: TableStore) -> None:
        store.write("raw.flights", ROWS)
        with pytest.raises(InputError, match=r"Did you mean 'raw.flights'"):
            store.read("raw.flihgts")
        with pytest.raises(InputError, match="no version 7"):
            store.read("raw.flights", 7)
        with pytest.raises(InputError, match=r"Did you mean 'name'"):
            store.read("raw.flights", columns=["nmae"])
        assert store.version("raw.flihgts") is None
        assert store.tables() == ["raw.flights"]

    def test_8_a_history_after_a_version_has_the_newer_ones_alone(self, store: TableStore) -> None:
        for n in range(4):
            store.write("raw.t", ROWS, notes={"n": str(n)})
        assert [(entry.version, entry.notes["n"]) for entry in store.history("raw.t", after=1)] == [(3, "3"), (2, "2")]
        assert store.history("raw.t", after=3) == store.history("raw.t", after=9) == []
        assert [entry.version for entry in store.history("raw.t", after=-1)] == [3, 2, 1, 0]

    def test_8_an_empty_table_keeps_its_columns(self, store: TableStore) -> None:
        store.write("raw.t", ROWS.clear())
        empty = pl.DataFrame(store.read("raw.t"))
        assert (len(empty), empty.schema) == (0, ROWS.schema)
        store.write("raw.t", ROWS)
        assert pl.DataFrame(store.read("raw.t")).sort("id").equals(ROWS)

    def test_9_what_a_column_is_called_and_holds_is_kept(self, store: TableStore) -> None:
        odd = pl.DataFrame({"größe 米 %,;{}()": [float("nan"), float("inf"), None], "a.b": ["", "\n\0", "é"]})
        store.write("raw.t", odd)
        assert pl.DataFrame(store.read("raw.t")).sort("a.b").equals(odd.sort("a.b"))

    def test_10_what_a_version_is_made_of_stays_the_same(self, store: TableStore) -> None:
        """Of a store with the capability `CheckedTables`."""
        if not isinstance(store, CheckedTables):
            return
        store.write("raw.t", ROWS)
        before = made_of(store, "raw.t", 0)
        store.write("raw.t", ROWS)
        store.write("raw.t", ROWS.with_columns(more=pl.lit(1.5)), mode="replace")
        assert made_of(store, "raw.t", 0) == before
        assert made_of(store, "raw.t", 1).items() ^ before.items()
        assert made_of(store, "raw.t", 2).keys().isdisjoint(made_of(store, "raw.t", 1))
        with pytest.raises(InputError, match="no version 7"):
            store.contents("raw.t", 7)
        assert [store.content(table, "no-such-part") for table in ("raw.t", "raw.unknown")] == [None, None]


def made_of(store: CheckedTables, table: str, version: int) -> dict[str, Content]:
    parts = {part: store.content(table, part) for part in store.contents(table, version)}
    found = {part: content for part, content in parts.items() if content is not None}
    assert parts.keys() == found.keys()
    assert all(content.size_bytes > 0 and len(content.sha256) == 64 for content in found.values())
    assert found
    return found
