from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.data import Contract, Landing, land, load_contract, scan, write

Made = Callable[..., Contract]
HEAD = "apiVersion: v3.1.0\nkind: DataContract\nid: t\nstatus: active\n"
NUMBER = "name: s, logicalType: number"
TEXT = "name: s, logicalType: string"


def _broken(landing: Landing) -> dict[str, int]:
    return {check.rule: check.broken for check in landing.checks}


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "holds no ODCS contract"),
        ("[]", "holds no ODCS contract"),
        ("a: [", "is not YAML"),
        ("schema: 3", "schema: Input should be"),
        ("schema: [3]", "schema.0: Input should be"),
        (HEAD + "version: 1.0.0\nschema: []", "holds no ODCS contract"),
        (HEAD + "version: 1.0.0\nschema: [{name: a}, {name: b}]", "describes 2 tables"),
        (HEAD + "version: 1.0.0\nschema: [{physicalName: a}]", "Its schema has no name"),
        (HEAD + "version: 1.0.0\nschema: [{name: a, properties: [{logicalType: string}]}]", "Property 1 has no name"),
        (HEAD + "version: 1.0.0\nschema: [{name: a, properties: [{name: x, logicalType: strnig}]}]", "Did you mean 'string'"),
        (HEAD + "schema: [{name: a}]", "has no version"),
        (HEAD.replace("v3.1.0", "v2.2.2") + "version: 1.0.0\nschema: [{name: a}]", "has apiVersion v2.2.2"),
    ],
)
def test_a_file_that_is_no_contract_is_refused(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(text)
    with pytest.raises(InputError) as caught:
        load_contract(file)
    assert says in caught.value.message


def test_a_contract_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    for name, code in {"none.yaml": "contract-missing", ".": "contract-missing", "binary.yaml": "contract-malformed"}.items():
        with pytest.raises(InputError) as caught:
            load_contract(tmp_path / name)
        assert caught.value.code == code


def test_line_ends_do_not_change_what_was_agreed(tmp_path: Path) -> None:
    text = HEAD + "version: 1.0.0\nschema: [{name: a}]\n"
    (tmp_path / "unix.yaml").write_bytes(text.encode())
    (tmp_path / "dos.yaml").write_bytes(text.replace("\n", "\r\n").encode())
    assert load_contract(tmp_path / "unix.yaml") == load_contract(tmp_path / "dos.yaml")


def test_a_rule_nobody_can_check_is_refused(contract: Made) -> None:
    with pytest.raises(InputError, match="metric 'rowCount' on 's'"):
        contract("name: s, quality: [{metric: rowCount, mustBe: 1}]")


def test_a_column_the_data_lacks_is_named_with_the_nearest(p: Platform, contract: Made) -> None:
    with pytest.raises(InputError, match=r"raw.t.yaml names the column 'tailnum', which the data lacks. Did you mean 'tailnun'"):
        land(p, "raw.t", pl.DataFrame({"tailnun": ["a"]}), contract=contract("name: tailnum, logicalType: string"))
    assert p.table_store.tables() == []


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("integer", pl.Series(["1"])),
        ("integer", pl.Series([1.0])),
        ("string", pl.Series([1])),
        ("boolean", pl.Series([1])),
        ("date", pl.Series(["2013-01-01"])),
        ("array", pl.Series([1])),
        ("timestamp", pl.Series([1357034400])),
        ("timestamp", pl.Series(["soon"])),
        ("timestamp", pl.Series(["2013-01-01T10:00:00"])),
        ("timestamp", pl.Series(["2013-01-01T10:00:00Z", "2013-01-01T10:00:00"])),
        ("timestamp", pl.Series([None], dtype=pl.Datetime("us"))),
    ],
)
def test_a_changed_type_refuses_the_landing(p: Platform, contract: Made, kind: str, values: pl.Series) -> None:
    with pytest.raises(InputError, match=f"Column 's' of raw.t is .*, the contract says {kind}"):
        land(p, "raw.t", pl.DataFrame({"s": values}), contract=contract(f"name: s, logicalType: {kind}"))
    assert p.table_store.tables() == []


@pytest.mark.parametrize(
    ("kind", "values", "says"),
    [
        ("number", ["1.5"] * 16 + ["abc"], "is String, the contract says number: row 17 has 'abc'."),
        ("number", [None, "1", "NA", "nan", ""], "number: row 3 has 'NA', the first of 2 such."),
        ("number", ["1", "x" * 99], f"number: row 2 has '{'x' * 59}...."),
        ("integer", ["1", "1.0"], "is String, the contract says integer: row 2 has '1.0'."),
        ("integer", [1.0, 1.5], "is Float64, the contract says integer: row 2 has 1.5."),
        ("integer", [1.0, None, float("nan"), float("inf")], "integer: row 3 has nan, the first of 2 such."),
        ("number", ["1", "2"], "is String, the contract says number."),
        ("integer", [1.0, None], "is Float64, the contract says integer."),
        ("boolean", ["true", "x"], "is String, the contract says boolean."),
    ],
)
def test_the_first_value_to_blame_is_named_with_its_row(
    p: Platform, contract: Made, kind: str, values: list[object], says: str
) -> None:
    with pytest.raises(InputError) as caught:
        land(p, "raw.t", pl.DataFrame({"s": values}), contract=contract(f"name: s, logicalType: {kind}"))
    assert caught.value.message.endswith(says), caught.value.message


@pytest.mark.parametrize("kind", ["string", "integer", "number", "boolean", "date", "timestamp"])
@pytest.mark.parametrize("text", ["id,s\n", "id,s\n1,\n2,\n"])
def test_a_csv_column_without_a_value_is_of_any_type(p: Platform, contract: Made, tmp_path: Path, kind: str, text: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    agreed = contract("name: id, logicalType: integer, primaryKey: true", f"name: s, logicalType: {kind}")
    assert land(p, "raw.t", tmp_path / "t.csv", contract=agreed).rows_landed == text.count(",") - 1
    full = pl.DataFrame(schema={"id": pl.Int64, "s": pl.Null})
    assert (scan(p, "raw.t").collect_schema()["s"] == pl.String) == (kind == "string")
    assert land(p, "raw.t", full, contract=agreed).rows_landed == 0


def test_times_become_utc(p: Platform, contract: Made) -> None:
    times = pl.DataFrame({"s": ["2013-01-01T05:00:00Z", "2013-01-01T05:00:00+01:00", None]})
    land(p, "raw.t", times, contract=contract("name: s, logicalType: timestamp"))
    kept = scan(p, "raw.t").collect()["s"]
    assert kept.dtype == pl.Datetime("us", "UTC")
    assert [at and at.hour for at in sorted(kept, key=str)] == [4, 5, None]


def test_a_column_without_a_type_may_hold_any(p: Platform, contract: Made) -> None:
    assert land(p, "raw.t", pl.DataFrame({"s": [1]}), contract=contract("name: s")).rows_landed == 1


ODD_NUMBERS = pl.DataFrame({"s": [float("nan"), None, 1.0, float("inf"), float("-inf"), 1e300]})


@pytest.mark.parametrize("line", ["name: s", NUMBER])
def test_a_number_that_is_not_finite_is_counted_and_a_gap_is_none(p: Platform, contract: Made, line: str) -> None:
    landing = land(p, "raw.t", ODD_NUMBERS, contract=contract(line))
    assert (_broken(landing), landing.rows_landed) == ({"finite(s)": 3}, 6)
    assert landing.checks[0].sentence == "finite(s): 3 of 6 rows break it (50.0 %)"


@pytest.mark.parametrize("line", ["name: s, required: true", NUMBER + ", required: true", NUMBER + ", primaryKey: true"])
def test_where_a_number_is_required_one_that_is_not_finite_is_set_aside(p: Platform, contract: Made, line: str) -> None:
    landing = land(p, "raw.t", ODD_NUMBERS, contract=contract(line))
    assert {**_broken(landing), "unique(s)": 0} == {"unique(s)": 0, "not_null(s)": 1, "finite(s)": 3}
    why = scan(p, "raw.t_quarantine").collect()["_rule"]
    assert sorted(why) == ["finite(s)"] * 3 + ["not_null(s)"]


def test_a_gap_asked_for_by_metric_makes_the_number_as_needed_as_that(p: Platform, contract: Made) -> None:
    for severity, held in {"warning": 0, "error": 4}.items():
        line = f"{NUMBER}, quality: [{{metric: nullValues, severity: {severity}}}]"
        landing = land(p, "raw.t", ODD_NUMBERS, contract=contract(line))
        assert (_broken(landing), landing.rows_quarantined) == ({"not_null(s)": 1, "finite(s)": 3}, held)


def test_what_is_no_float_is_finite_and_not_spoken_of(p: Platform, contract: Made) -> None:
    words = pl.DataFrame({"s": ["NaN", "inf", None]})
    assert _broken(land(p, "raw.t", words, contract=contract("name: s"))) == {}
    assert land(p, "raw.t", words, contract=contract(TEXT + ", required: true")).rows_quarantined == 1
    for dtype in (pl.Int64, pl.Decimal(10, 2), pl.Null):
        rows = pl.DataFrame({"s": pl.Series([None] if dtype == pl.Null else [1, None]).cast(dtype)})
        assert _broken(land(p, "raw.t", rows, contract=contract(NUMBER))) == {}


def test_a_missing_number_is_not_outside_a_range(p: Platform, contract: Made) -> None:
    numbers = pl.DataFrame({"s": [float("nan"), None, -1.0, 0.0, 5.0, 6.0, float("inf")]})
    ranged = contract(NUMBER + ", logicalTypeOptions: {minimum: 0, maximum: 5}")
    assert _broken(land(p, "raw.t", numbers, contract=ranged)) == {"range(s)": 3, "finite(s)": 2}


def test_every_row_of_a_doubled_key_is_set_aside(p: Platform, contract: Made) -> None:
    keyed = contract("name: a, logicalType: integer, primaryKey: true", "name: b, logicalType: string, primaryKey: true")
    rows = pl.DataFrame({"a": [1, 1, 1, 2, None], "b": ["x", "x", "y", None, None]})
    landing = land(p, "raw.t", rows, contract=keyed)
    assert _broken(landing) == {"unique(a, b)": 2, "not_null(a)": 1, "not_null(b)": 2}
    assert scan(p, "raw.t").collect().rows() == [(1, "y")]
    assert sorted(scan(p, "raw.t_quarantine").collect()["_rule"]) == [
        "not_null(a); not_null(b)",
        "not_null(b)",
        "unique(a, b)",
        "unique(a, b)",
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (TEXT + ", logicalTypeOptions: {pattern: '^N[0-9]+$'}", {"pattern(s)": 2}),
        (TEXT + ", quality: [{metric: invalidValues, arguments: {validValues: [N1, x]}}]", {"allowed(s)": 1}),
        (TEXT + ", quality: [{metric: nullValues, severity: warning}]", {"not_null(s)": 1}),
        (TEXT + ", unique: true", {"unique(s)": 0}),
    ],
)
def test_each_kind_of_rule_counts_what_breaks_it(p: Platform, contract: Made, line: str, expected: dict[str, int]) -> None:
    rows = pl.DataFrame({"s": ["N1", "x", "é", None]})
    assert _broken(land(p, "raw.t", rows, contract=contract(line))) == expected


@pytest.mark.parametrize(
    ("line", "values"),
    [
        (TEXT + ", logicalTypeOptions: {minimum: 0}", ["a"]),
        (TEXT + ", logicalTypeOptions: {pattern: '('}", ["a"]),
        ("name: s, logicalType: integer, logicalTypeOptions: {pattern: a}", [1]),
        (TEXT + ", quality: [{metric: invalidValues, arguments: {validValues: [1]}}]", ["a"]),
        (TEXT + ", quality: [{metric: invalidValues, arguments: {validValues: [1, a]}}]", ["a"]),
        (TEXT + ", relationships: [{to: other.absent}]", ["a"]),
        ("name: s, logicalType: integer, relationships: [{to: other.x}]", [1]),
    ],
)
def test_a_rule_that_does_not_suit_its_column_is_named(p: Platform, contract: Made, line: str, values: list[object]) -> None:
    write(p, "raw.other", pl.DataFrame({"x": ["a"]}))
    with pytest.raises(InputError, match=r"raw.t.yaml: \w+\(s\) cannot be checked on"):
        land(p, "raw.t", pl.DataFrame({"s": values}), contract=contract(line))
    assert p.table_store.version("raw.t") is None


def test_a_reference_to_a_table_that_is_not_there_is_refused(p: Platform, contract: Made) -> None:
    write(p, "raw.planes", pl.DataFrame({"x": ["a"]}))
    with pytest.raises(InputError, match=r"no table 'raw.plains'. Did you mean 'raw.planes'"):
        land(p, "raw.t", pl.DataFrame({"s": ["a"]}), contract=contract(TEXT + ", relationships: [{to: plains.x}]"))
