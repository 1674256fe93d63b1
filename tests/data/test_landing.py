from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from werk.core.errors import InputError, Refused
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.data import Contract, Landing, land, load_contract, pins, scan, write
from werk.data.landing import Check

Made = Callable[..., Contract]
FLIGHTS = Path(__file__).parents[2] / "src/werk/templates/flights"
KEYED = "name: id, logicalType: integer, primaryKey: true"


def _facts(p: Platform, table: str) -> list[Any]:
    return list(p.journal.rows("table_versions", {"table": table}, order=("version",)))


def _check(landing: Landing, rule: str) -> Check:
    (found,) = (check for check in landing.checks if check.rule == rule)
    return found


def test_the_year_of_flights_has_the_gaps_it_is_known_for(year: tuple[Platform, dict[str, Landing]]) -> None:
    _, landings = year
    flights, weather = landings["flights"], landings["weather"]
    assert (flights.rows_in, flights.rows_landed, flights.quarantine) == (336_776, 336_776, None)
    assert _check(flights, "not_null(tailnum)").broken == 2_512
    assert _check(flights, "not_null(arr_delay)").broken == 9_430
    orphans = _check(flights, "reference(tailnum)")
    assert orphans.broken == 52_606
    assert orphans.sentence == "reference(tailnum): 52,606 of 336,776 rows break it (15.6 %), 2,512 of them name nothing"
    assert _check(weather, "not_null(wind_gust)").broken == 20_778


def test_a_storm_of_1048_miles_an_hour_is_set_aside(year: tuple[Platform, dict[str, Landing]]) -> None:
    p, landings = year
    assert landings["weather"].rows_quarantined == 6
    aside = scan(p, "raw.weather_quarantine").filter(pl.col("_rule") == "range(wind_speed)").collect()
    assert aside["wind_speed"].round().to_list() == [1048]
    assert scan(p, "raw.weather").select(pl.col("wind_speed").max()).collect().item() < 250


def test_every_row_of_the_year_is_landed_or_set_aside(year: tuple[Platform, dict[str, Landing]]) -> None:
    p, landings = year
    for landing in landings.values():
        assert landing.rows_in == landing.rows_landed + landing.rows_quarantined
        assert scan(p, landing.table).select(pl.len()).collect().item() == landing.rows_landed
        if landing.quarantine:
            held = scan(p, landing.quarantine.table, landing.quarantine.version)
            assert held.select(pl.len()).collect().item() == landing.rows_quarantined


def test_the_year_landed_again_changes_nothing(year: tuple[Platform, dict[str, Landing]]) -> None:
    p, landings = year
    head = p.journal.rows("table_versions", {})
    again = land(
        p, "raw.weather", FLIGHTS / "data/weather.parquet", contract=load_contract(FLIGHTS / "contracts/raw.weather.yaml")
    )
    assert again.unchanged
    assert (again.version, again.checks, again.quarantine) == (0, landings["weather"].checks, landings["weather"].quarantine)
    assert p.journal.rows("table_versions", {}) == head


def _bytes(frame: pl.DataFrame, tmp_path: Path) -> bytes:
    frame.write_parquet(tmp_path / "whole.parquet")
    return (tmp_path / "whole.parquet").read_bytes()


def test_a_file_never_passes_for_what_a_step_has_made(p: Platform, tmp_path: Path) -> None:
    source = tmp_path / "forged.parquet"
    pl.DataFrame({"prediction_id": ["prd_1"], "score": [0.1]}).write_parquet(source)
    write(p, "product.made", pl.DataFrame({"a": [1]}))
    for table in ("product.predictions", "product.made"):
        with pytest.raises(InputError, match="written by steps") as refused:
            land(p, table, source)
        assert refused.value.code == "table-of-steps"
    assert scan(p, "product.made").collect()["a"].to_list() == [1]


@pytest.mark.parametrize(
    ("name", "spoil"),
    [
        ("cut.parquet", lambda data: data[:-40]),
        ("short.parquet", lambda data: data[:6]),
        ("holed.parquet", lambda data: data[:8] + b"\xff" * 60 + data[68:]),
        ("cut.jsonl", lambda data: b'{"a": 1}\n{"a":'),
    ],
)
def test_a_damaged_source_lands_nothing(p: Platform, tmp_path: Path, name: str, spoil: Callable[[bytes], bytes]) -> None:
    source = tmp_path / name
    source.write_bytes(spoil(_bytes(pl.DataFrame({"a": range(500)}), tmp_path)))
    with pytest.raises(InputError, match=f"{name} cannot be read as") as caught:
        land(p, "raw.t", source)
    assert caught.value.code == "source-damaged"
    assert p.table_store.tables() == []


@pytest.mark.parametrize("name", ["empty.parquet", "empty.csv", "empty.jsonl"])
def test_a_source_with_nothing_in_it_lands_nothing(p: Platform, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(InputError, match=f"{name} is empty") as caught:
        land(p, "raw.t", tmp_path / name)
    assert (caught.value.code, p.table_store.tables()) == ("source-empty", [])


def test_a_source_that_is_no_file_is_named(p: Platform, tmp_path: Path) -> None:
    (tmp_path / "t.xlsx").write_bytes(b"")
    for name, code in {"none.csv": "source-missing", ".": "source-unreadable", "t.xlsx": "source-kind"}.items():
        with pytest.raises(InputError) as caught:
            land(p, "raw.t", tmp_path / name)
        assert caught.value.code == code


@pytest.mark.parametrize("name", ["t", "raw/t", "../raw.t"])
def test_a_name_that_is_no_table_is_refused(p: Platform, name: str) -> None:
    with pytest.raises(InputError, match=f"'{name}' is not a table name"):
        land(p, name, pl.DataFrame({"a": [1]}))


def test_a_contract_for_another_table_is_refused(p: Platform, contract: Made) -> None:
    with pytest.raises(InputError, match=r"for raw.t, not raw.u"):
        land(p, "raw.u", pl.DataFrame({"id": [1]}), contract=contract(KEYED))


def test_the_column_of_the_quarantine_is_its_own(p: Platform, contract: Made) -> None:
    rows = pl.DataFrame({"id": [1], "_rule": ["mine"]})
    with pytest.raises(InputError, match="'_rule'"):
        land(p, "raw.t", rows, contract=contract(KEYED))


def test_a_landing_without_rows_keeps_the_columns(p: Platform, contract: Made) -> None:
    landing = land(p, "raw.t", pl.DataFrame(schema={"id": pl.Int64}), contract=contract(KEYED))
    assert (landing.rows_in, landing.rows_landed, landing.rows_quarantined) == (0, 0, 0)
    assert scan(p, "raw.t").collect().schema == {"id": pl.Int64}


def test_columns_may_be_written_in_any_script(p: Platform, contract: Made) -> None:
    rows = pl.DataFrame({"größe 米": [1, None], "a.b": ["x", "é\n"]})
    landing = land(p, "raw.t", rows, contract=contract("name: größe 米, logicalType: integer, required: true"))
    assert (landing.rows_landed, landing.rows_quarantined) == (1, 1)
    assert scan(p, "raw.t").collect().rows() == [(1, "x")]


def test_the_same_rows_again_are_no_new_version(p: Platform, contract: Made) -> None:
    rows = pl.DataFrame({"id": [1, 1, 2, 3]})
    first = land(p, "raw.t", rows, contract=contract(KEYED))
    again = land(p, "raw.t", pl.concat([rows[:2], rows[2:]]), contract=contract(KEYED))
    assert (first.unchanged, again.unchanged) == (False, True)
    assert (again.version, again.rows_in, again.rows_landed, again.rows_quarantined) == (0, 4, 2, 2)
    assert again.quarantine == Snapshot("raw.t_quarantine", 0)
    assert [p.table_store.version(name) for name in ("raw.t", "raw.t_quarantine")] == [0, 0]
    assert len(_facts(p, "raw.t")) == 1


def test_other_rows_or_another_contract_are_a_new_version(p: Platform, contract: Made) -> None:
    rows = pl.DataFrame({"id": [1, 2]})
    versions = [
        land(p, "raw.t", rows).version,
        land(p, "raw.t", rows, contract=contract(KEYED)).version,
        land(p, "raw.t", rows[:1], contract=contract(KEYED)).version,
        land(p, "raw.t", rows, contract=contract(KEYED)).version,
    ]
    assert versions == [0, 1, 2, 3]
    assert [fact["rows"] for fact in _facts(p, "raw.t")] == [2, 2, 1, 2]


def test_a_changed_referenced_table_judges_the_rows_again(p: Platform, contract: Made) -> None:
    rows, refers = pl.DataFrame({"id": [1, 2]}), contract("name: id, logicalType: integer, relationships: [{to: known.x}]")
    write(p, "raw.known", pl.DataFrame({"x": [1]}))
    assert _check(land(p, "raw.t", rows, contract=refers), "reference(id)").broken == 1
    write(p, "raw.known", pl.DataFrame({"x": [2]}))
    assert _check(land(p, "raw.t", rows, contract=refers), "reference(id)").broken == 0


def test_a_row_that_names_nothing_is_told_from_one_that_names_what_is_not_there(p: Platform, contract: Made) -> None:
    refers = contract("name: id, logicalType: integer, relationships: [{to: known.x}]")
    write(p, "raw.known", pl.DataFrame({"x": [1]}))
    said = [
        _check(land(p, "raw.t", pl.DataFrame({"id": ids}), contract=refers), "reference(id)").sentence
        for ids in ([1, 7, None, None], [1, 7, 7, 7], [1, 1, 1, None])
    ]
    assert said == [
        "reference(id): 3 of 4 rows break it (75.0 %), 2 of them name nothing",
        "reference(id): 3 of 4 rows break it (75.0 %)",
        "reference(id): 1 of 4 rows break it (25.0 %), 1 of them names nothing",
    ]


def test_a_delivery_that_is_bad_to_the_last_row_replaces_nothing(p: Platform, contract: Made) -> None:
    strict = contract(KEYED, "name: v, logicalType: integer, required: true")
    land(p, "raw.t", pl.DataFrame({"id": [1, 2], "v": [1, None]}), contract=strict)
    facts = _facts(p, "raw.t")
    with pytest.raises(Refused, match=r"Every one of the 2 rows for raw\.t breaks a required rule: .*not_null\(v\) \(1\)"):
        land(p, "raw.t", pl.DataFrame({"id": [3, None], "v": [None, 4]}), contract=strict)
    assert [p.table_store.version(name) for name in ("raw.t", "raw.t_quarantine")] == [0, 0]
    assert _facts(p, "raw.t") == facts


def test_rows_mended_at_the_source_leave_the_quarantine(p: Platform, contract: Made) -> None:
    land(p, "raw.t", pl.DataFrame({"id": [1, 1, 3]}), contract=contract(KEYED))
    mended = land(p, "raw.t", pl.DataFrame({"id": [1, 2]}), contract=contract(KEYED))
    assert mended.quarantine == Snapshot("raw.t_quarantine", 1)
    assert scan(p, "raw.t_quarantine").collect().is_empty()
    assert len(scan(p, "raw.t_quarantine", 0).collect()) == 2


def test_a_commit_without_its_fact_is_found_and_told(p: Platform, forgetful: Platform, contract: Made) -> None:
    rows = pl.DataFrame({"id": [1, 1, 2]})
    killed = land(p, "raw.t", rows, contract=contract(KEYED))
    assert _facts(forgetful, "raw.t") == []
    healed = land(forgetful, "raw.t", rows, contract=contract(KEYED))
    assert (healed.version, healed.quarantine, healed.unchanged) == (killed.version, killed.quarantine, True)
    assert [p.table_store.version(name) for name in ("raw.t", "raw.t_quarantine")] == [0, 0]
    (fact,) = _facts(forgetful, "raw.t")
    assert (fact["version"], fact["rows"], fact["rows_in"], fact["quarantined"]) == (0, 1, 3, 2)
    assert land(forgetful, "raw.t", rows, contract=contract(KEYED)).unchanged


def test_a_commit_killed_before_its_fact_is_not_pinned_and_stops_no_landing(p: Platform, contract: Made) -> None:
    rows, keyed = pl.DataFrame({"id": [1, 2]}), contract(KEYED)
    land(p, "raw.t", rows, contract=keyed)
    notes = {"source_sha256": "killed", "contract_sha256": "", "references": "", "project": "prj_test"}
    p.table_store.write("raw.t", pl.DataFrame({"id": [7]}), mode="replace", notes=notes)
    assert pins(p) == {"raw.t": 0}
    assert land(p, "raw.t", rows, contract=keyed).unchanged
    assert land(p, "raw.t", rows[:1], contract=keyed).version == 2
    assert pins(p) == {"raw.t": 2}
    assert scan(p, "raw.t").collect().rows() == [(1,)]


def test_a_commit_of_another_project_is_not_taken_for_a_killed_one(p: Platform, forgetful: Platform) -> None:
    """Same source, same contract, and other rows in the store."""
    rows = pl.DataFrame({"id": [1, 2]})
    ours = land(p, "raw.t", rows)
    (fact,) = _facts(p, "raw.t")
    p.table_store.write("raw.t", rows[:1], mode="replace", notes={**fact["notes"], "project": "prj_other"})
    landing = land(forgetful, "raw.t", rows)
    assert (ours.version, landing.version, landing.unchanged) == (0, 0, True), "its own commit below is the one that is told"
    assert len(scan(forgetful, "raw.t").collect()) == 2
