"""How many rows a table has, as the journal tells: all of its appends, not the last one."""

from collections.abc import Callable

import polars as pl

from werk.core.platform import Platform
from werk.data import Contract, land, quarantines, scan, standing, write


def rows(n: int) -> pl.DataFrame:
    return pl.DataFrame({"id": range(n)})


def test_appends_add_up_and_a_replacement_begins_again(p: Platform) -> None:
    seen = []
    for count, mode in ((5, "append"), (2, "append"), (3, "replace"), (4, "append"), (1, "append")):
        write(p, "product.t", rows(count), mode=mode)  # type: ignore[arg-type]  # a literal in a tuple is text
        [row] = standing(p.journal)
        seen.append((row["version"], row["rows"], row["rows_added"]))
        assert row["rows"] == len(pl.DataFrame(p.table_store.read("product.t")))
    assert seen == [(0, 5, 5), (1, 7, 2), (2, 3, 3), (3, 7, 4), (4, 8, 1)]


def test_a_landing_is_the_whole_table_and_tables_are_told_apart(p: Platform) -> None:
    land(p, "raw.t", rows(9))
    land(p, "raw.t", rows(4))
    write(p, "product.a", rows(1))
    write(p, "product.a", rows(1))
    assert [(row["table"], row["rows"]) for row in standing(p.journal)] == [("product.a", 2), ("raw.t", 4)]


def test_it_is_told_as_it_stood(p: Platform) -> None:
    write(p, "product.t", rows(5))
    then = p.journal.head().seq
    write(p, "product.t", rows(2))
    assert [row["rows"] for row in standing(p.journal.at(then))] == [5]


def test_a_quarantine_is_told_as_the_newest_landing_left_it(p: Platform, contract: Callable[..., Contract]) -> None:
    """The rule of most rows is a required one: a warning holds nobody back."""
    small = "quality: [{type: library, metric: invalidValues, arguments: {validValues: [0, 1, 2]}, mustBe: 0, severity: warning}]"
    keyed = contract("name: id, logicalType: integer, primaryKey: true", f"name: x, logicalType: integer, {small}")
    land(p, "raw.free", rows(3))
    assert quarantines(p.journal) == []
    first = land(p, "raw.t", pl.DataFrame({"id": [1, 2, 2, 2, None, 3], "x": [9, 9, 9, 9, 9, 9]}), contract=keyed)
    then = p.journal.head().seq
    assert first.quarantine is not None
    [held] = quarantines(p.journal)
    kept = scan(p, "raw.t_quarantine").collect()
    assert (held["table"], held["version"], held["rows"]) == ("raw.t_quarantine", 0, len(kept))
    assert held["quarantine_of"] == "raw.t@0"
    most = kept["_rule"].str.split("; ").explode().value_counts(sort=True)["_rule"][0]
    assert held["broken_most"] == most == "unique(id)"

    land(p, "raw.t", pl.DataFrame({"id": [1], "x": [0]}), contract=keyed)
    [clean] = quarantines(p.journal)
    assert (clean["version"], clean["rows"], clean["quarantine_of"], clean["broken_most"]) == (1, 0, "raw.t@1", None)
    assert quarantines(p.journal.at(then)) == [held]
