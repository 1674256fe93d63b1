import shutil
from pathlib import Path

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.core.journal import NewFact
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.data import Pinned, known, latest, pins, scan, sql, write

ONE, TWO = pl.DataFrame({"v": [1]}), pl.DataFrame({"v": [2]})


def test_a_pinned_version_is_read_whatever_is_written_since(p: Platform) -> None:
    write(p, "raw.t", ONE)
    pinned = Pinned(p, pins(p))
    write(p, "raw.t", TWO)
    write(p, "raw.t", pl.DataFrame({"other": ["x"]}), mode="replace")
    assert pinned["raw.t"].collect().rows() == [(1,)]
    assert (pinned.version("raw.t"), latest(p, "raw.t")) == (0, 2)
    assert scan(p, "raw.t", 1).collect().sort("v").rows() == [(1,), (2,)]


def test_every_pinned_read_is_told_once_and_a_wrong_name_never(p: Platform) -> None:
    write(p, "raw.t", ONE)
    read: list[Snapshot] = []
    pinned = Pinned(p, pins(p), read.append)
    pinned.scan("raw.t")
    with pytest.raises(InputError, match=r"no table 'raw.tt'. Did you mean 'raw.t'"):
        pinned.scan("raw.tt")
    assert read == [Snapshot("raw.t", 0)]


def test_a_table_made_after_the_pins_is_not_seen(p: Platform) -> None:
    write(p, "raw.t", ONE)
    pinned = Pinned(p, pins(p))
    write(p, "raw.later", ONE)
    with pytest.raises(InputError, match=r"no table 'raw.later'"):
        pinned.scan("raw.later")


def test_a_write_once_is_one_version_and_one_fact(p: Platform) -> None:
    tries = [write(p, "product.t", ONE, once=("run/step", 1)) for _ in range(2)]
    assert tries == [Snapshot("product.t", 0)] * 2
    (fact,) = p.journal.rows("table_versions", {"table": "product.t"})
    assert (fact["version"], fact["zone"], fact["operation"], fact["rows"]) == (0, "product", "append", 1)


def test_a_write_whose_fact_was_lost_is_told_when_tried_again(p: Platform, forgetful: Platform) -> None:
    write(p, "product.t", ONE, once=("run/step", 1))
    write(forgetful, "product.t", ONE, once=("run/step", 1))
    assert latest(p, "product.t") == 0
    (fact,) = forgetful.journal.rows("table_versions", {"table": "product.t"})
    assert fact["version"] == 0


def test_the_tables_projection_shows_the_newest_version(p: Platform) -> None:
    write(p, "raw.t", ONE)
    write(p, "raw.t", TWO.rename({"v": "größe"}), mode="replace")
    (row,) = p.journal.rows("tables", {"table": "raw.t"})
    assert (row["version"], row["schema"]) == (1, {"größe": "Int64"})


def test_a_refused_write_leaves_no_fact(p: Platform) -> None:
    write(p, "raw.t", ONE)
    with pytest.raises(InputError, match="Column 'v'"):
        write(p, "raw.t", pl.DataFrame({"v": ["x"]}))
    assert len(p.journal.rows("table_versions", {"table": "raw.t"})) == 1


def test_unknown_names_and_versions_are_named(p: Platform) -> None:
    write(p, "raw.flights", ONE)
    with pytest.raises(InputError, match=r"Did you mean 'raw.flights'"):
        latest(p, "raw.flihgts")
    with pytest.raises(InputError, match=r"Did you mean 'raw.flights'"):
        pins(p, ["raw.flihgts"])
    with pytest.raises(InputError, match="has no version 1"):
        scan(p, "raw.flights", 1)


def test_a_table_somebody_else_wrote_is_unknown_and_that_is_said(p: Platform) -> None:
    write(p, "raw.mine", ONE)
    pinned = Pinned(p, pins(p))
    p.table_store.write("raw.theirs", TWO)
    assert pins(p) == {"raw.mine": 0}
    assert known(p, "raw.theirs") is None
    for asked in (latest, scan, lambda p, table: pins(p, [table]), lambda _, table: pinned.scan(table)):
        with pytest.raises(InputError, match="this project did not write it") as foreign:
            asked(p, "raw.theirs")  # type: ignore[no-untyped-call]  # two of them are lambdas
        assert foreign.value.code == "table-foreign"
        assert "werk ingest raw.theirs" in foreign.value.hint
    assert pinned["raw.mine"].collect().rows() == [(1,)]


def test_a_version_somebody_else_wrote_over_mine_is_not_read(p: Platform) -> None:
    write(p, "raw.t", ONE)
    p.table_store.write("raw.t", TWO, mode="replace")
    assert pins(p) == {"raw.t": 0}
    assert scan(p, "raw.t").collect().rows() == [(1,)]
    assert sql(p, "select v from raw.t").rows() == [(1,)]
    write(p, "raw.t", ONE, mode="replace")
    assert pins(p) == {"raw.t": 2}


def test_the_newest_version_counts_whichever_fact_came_last(p: Platform) -> None:
    """Two writers at once may tell of their commits in the other order."""
    write(p, "product.t", ONE)
    told = next(iter(p.journal.facts(kinds=("table.written",)))).body or {}
    for version in (2, 1):
        p.table_store.write("product.t", TWO)
        p.journal.append([NewFact("table.written", "product.t", {**told, "version": version})])
    assert latest(p, "product.t") == 2


def test_a_store_that_was_set_back_is_read_as_far_as_it_goes(p: Platform, tmp_path: Path) -> None:
    for frame in (ONE, TWO):
        write(p, "raw.t", frame, mode="replace")
    (tmp_path / "lake/raw/t/_delta_log/00000000000000000001.json").unlink()
    assert pins(p) == {"raw.t": 0}
    shutil.rmtree(tmp_path / "lake")
    assert pins(p) == {}
