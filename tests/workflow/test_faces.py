"""One content, many faces: a step's annotation decides which, and each holds the same values or names the column it cannot."""

# ruff: noqa: DTZ001  # naive times are a type of column

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from werk import as_frame
from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.workflow.frame_digest import frame_digest
from werk.workflow.frames import from_polars, to_polars
from werk.workflow.payloads import Payloads

NULLABLE = {"ints", "wide", "floats", "truth", "text", "dec", "enum", "cat", "zoned", "naive", "day", "clock", "took"}
NULLABLE |= {"bytes", "list", "array", "struct", "nested", "nothing", "texts", "small"}
FACES: dict[str, Any] = {
    "polars.DataFrame": pl.DataFrame,
    "polars.LazyFrame": pl.LazyFrame,
    "pandas.DataFrame": pd.DataFrame,
    "pyarrow.Table": pa.Table,
    "pyarrow.RecordBatch": pa.RecordBatch,
    "pyarrow.RecordBatchReader": pa.RecordBatchReader,
    "duckdb.DuckDBPyRelation": duckdb.DuckDBPyRelation,
    "numpy.recarray": np.recarray,
}
# What a face has no type for; everything else comes back as it was.
REFUSED = {
    "duckdb.DuckDBPyRelation": {"cat", "zoned", "took"},
    "numpy.recarray": NULLABLE - {"naive", "day", "took"},  # numpy has one kind of null, NaT
}


def columns() -> pl.DataFrame:
    """Every kind of column, each with a null and with values at the edge of what a face can hold."""
    return pl.DataFrame(
        {
            "ints": pl.Series([2**63 - 1, None, -(2**63)]),
            "wide": pl.Series([2**64 - 1, 2**53 + 1, None], dtype=pl.UInt64),
            "small": pl.Series([-128, None, 127], dtype=pl.Int8),
            "floats": [float("nan"), None, -0.0],
            "truth": [True, None, False],
            "text": ["", None, "ü\0"],
            "dec": pl.Series([Decimal("12345678901234567890.12"), None, Decimal("-0.01")], dtype=pl.Decimal(38, 2)),
            "enum": pl.Series(["y", None, "x'\""], dtype=pl.Enum(["y", "unused", "x'\""])),
            "cat": pl.Series(["q", None, "p"], dtype=pl.Categorical),
            "zoned": pl.Series([datetime(2013, 10, 27, 0, 30, tzinfo=UTC), None, None]).dt.convert_time_zone("Europe/Berlin"),
            "utc": pl.Series([datetime(2013, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC), None]),
            "naive": pl.Series([datetime(2013, 1, 1), None, datetime(9999, 12, 31)], dtype=pl.Datetime("ms")),
            "nanos": pl.Series([1, 2, 3], dtype=pl.Int64).cast(pl.Datetime("ns")),
            "day": [date(1, 1, 1), None, date(9999, 12, 31)],
            "clock": [time(23, 59, 59, 999999), None, time(0)],
            "took": pl.Series([timedelta(days=-1), None, timedelta(microseconds=1)], dtype=pl.Duration("us")),
            "bytes": [b"\x00\xff", None, b""],
            "list": pl.Series([[1, None], [], None], dtype=pl.List(pl.Int64)),
            "texts": pl.Series([["a", None], None, []], dtype=pl.List(pl.String)),
            "array": pl.Series([[1.0, 2.0], None, [3.0, 4.0]], dtype=pl.Array(pl.Float64, 2)),
            "struct": [{"a": 2**53 + 1, "b": "x"}, None, {"a": None, "b": "y"}],
            "nested": [[{"a": [1]}], None, []],
            "nothing": pl.Series([None, None, None], dtype=pl.Null),
        }
    )


def again(rows: pl.DataFrame, face: object) -> pl.DataFrame:
    """There and back, as between two steps."""
    return to_polars(from_polars(rows, face))


@pytest.mark.parametrize("face", sorted(FACES))
@pytest.mark.parametrize("column", columns().columns)
def test_a_column_comes_back_as_it_was_or_is_named(column: str, face: str) -> None:
    rows = columns().select(column)
    refused = REFUSED.get(face, set()) | ({"utc"} if face == "numpy.recarray" else set())
    if column in refused:
        with pytest.raises(InputError, match=f"column '{column}'") as told:
            again(rows, FACES[face])
        assert told.value.code == "value-lossy"
        assert told.value.hint
        return
    back = again(rows, FACES[face])
    assert back.schema == rows.schema
    assert frame_digest(back) == frame_digest(rows)


@pytest.mark.parametrize("face", sorted(FACES))
def test_no_row_is_still_a_frame_of_its_types(face: str) -> None:
    held = columns().drop(*REFUSED.get(face, ()), *(("utc",) if face == "numpy.recarray" else ())).clear()
    back = again(held, FACES[face])
    assert (back.schema, back.height) == (held.schema, 0)


@pytest.mark.parametrize("face", sorted(FACES))
def test_the_same_content_is_kept_once_whatever_face_it_came_in(stores: Platform, face: str) -> None:
    rows = pl.DataFrame({"a": [1, 2, 3], "b": [0.5, float("nan"), 1.5], "t": ["x", "", "ü"], "d": [date(2013, 1, 1)] * 3})
    payloads = Payloads(stores)
    first = payloads.save([rows])[0]
    assert payloads.save([payloads.load(first, FACES[face])])[0] == first


def test_the_annotation_decides_what_a_step_receives(stores: Platform) -> None:
    payloads = Payloads(stores)
    kept = payloads.save([pl.DataFrame({"a": [1, 2]})])[0]
    for face in FACES.values():
        assert isinstance(payloads.load(kept, face), face)
        assert isinstance(payloads.load(kept, face | None), face)
    fields = payloads.load(kept, NDArray[np.void])
    assert isinstance(fields, np.ndarray)
    assert fields.dtype.names == ("a",)
    assert isinstance(payloads.load(kept, NDArray[np.int64]), np.ndarray)


# --- pandas ---


def test_pandas_receives_types_that_do_not_depend_on_the_values() -> None:
    names = ["ints", "wide", "floats", "truth", "text", "cat", "enum", "zoned", "naive", "took", "day", "dec", "list", "nothing"]
    rows = columns().select(names)
    with_nulls, without = as_frame(rows, pd.DataFrame), as_frame(rows.clear(), pd.DataFrame)
    told = {name: str(kind) for name, kind in with_nulls.dtypes.items()}
    assert {name: str(kind) for name, kind in without.dtypes.items()} == told
    assert told == {
        "ints": "Int64",
        "wide": "UInt64",
        "floats": "Float64",
        "truth": "boolean",
        "text": "string",
        "cat": "category",
        "enum": "category",
        "zoned": "datetime64[us, Europe/Berlin]",
        "naive": "datetime64[ms]",
        "took": "timedelta64[us]",
        "day": "date32[day][pyarrow]",
        "dec": "decimal128(38, 2)[pyarrow]",
        "list": "large_list<item: int64>[pyarrow]",
        "nothing": "null[pyarrow]",
    }
    assert with_nulls["cat"].cat.categories.tolist() == ["p", "q"]
    assert not with_nulls["cat"].cat.ordered
    assert with_nulls["enum"].cat.categories.tolist() == ["y", "unused", "x'\""]
    assert with_nulls["enum"].cat.ordered


def test_what_pandas_makes_of_a_frame_can_be_worked_with() -> None:
    rows = as_frame(
        pl.DataFrame({"k": ["a", "b", "a"], "n": [1, None, 2**53 + 1], "t": [datetime(2013, 1, 1)] * 3}), pd.DataFrame
    )
    rows["n"] += 1
    rows.loc[1, "n"] = 7
    found = rows.groupby("k", as_index=False).agg(n=("n", "sum"), t=("t", "max")).assign(day=lambda x: x["t"].dt.day)
    assert to_polars(found)["n"].to_list() == [2**53 + 4, 7]


@pytest.mark.parametrize(
    ("column", "kept"),
    [
        (pd.Series([1.5, np.nan, None]), [1.5, "nan", "nan"]),  # plain floats of pandas have no null
        (pd.array([1.5, np.nan, None], dtype="Float64"), [1.5, None, None]),  # pandas itself makes NA of it
        (pd.Series([True, None], dtype="boolean"), [True, None]),
        (pd.Series([True, False]), [True, False]),
        (pd.Series(["a", None, np.nan, pd.NA], dtype=object), ["a", None, None, None]),
        (pd.Series(["a", None], dtype="string[python]"), ["a", None]),
        (pd.Series([1.5, np.nan, None], dtype=object), [1.5, "nan", None]),
        (pd.Series([1, None, 2**62], dtype=object), [1, None, 2**62]),
        (pd.Series([Decimal("1.10"), None], dtype=object), [Decimal("1.10"), None]),
        (pd.Series([date(2013, 1, 1), pd.NaT], dtype=object), [date(2013, 1, 1), None]),
        (pd.Series([[1, None], None, [None], []], dtype=object), [[1, None], None, [None], []]),
        (pd.Series([np.array([1.5, 2.5]), None], dtype=object), [[1.5, 2.5], None]),
        (pd.Series([{"a": 1, "b": None}, {"a": None, "b": "x"}], dtype=object), [{"a": 1, "b": None}, {"a": None, "b": "x"}]),
        (pd.Series([None, None], dtype=object), [None, None]),
        (pd.Series([True, None, False], dtype=object), [True, None, False]),
        (pd.Series([b"\x00", None], dtype=object), [b"\x00", None]),
        (pd.Series([pd.Timestamp("2013-01-01"), pd.NaT]), [datetime(2013, 1, 1), None]),
        (pd.Series(pd.to_datetime(["2013-01-01"])).astype("datetime64[s]"), [datetime(2013, 1, 1)]),
        (pd.Series([pd.Timedelta(days=1), pd.NaT]), [timedelta(days=1), None]),
        (pd.Series(["b", "a", None], dtype="category"), ["b", "a", None]),
        (pd.Series([1, 2], dtype=">i4"), [1, 2]),
        (pd.Series([1, None], dtype="int64[pyarrow]"), [1, None]),
    ],
)
def test_what_a_pandas_step_returns_is_taken_by_its_values(column: Any, kept: list[object]) -> None:
    back = to_polars(pd.DataFrame({"x": column}))["x"].to_list()
    assert ["nan" if isinstance(value, float) and np.isnan(value) else value for value in back] == kept


def test_null_and_nan_are_two_things_and_stay_two(stores: Platform) -> None:
    two, one = pl.DataFrame({"x": [float("nan"), None]}), pl.DataFrame({"x": [None, None]}, schema={"x": pl.Float64})
    given = as_frame(two, pd.DataFrame)
    assert given["x"].isna().tolist() == [False, True]
    assert frame_digest(to_polars(given)) == frame_digest(two) != frame_digest(one)


class Anything:
    """An object of no type that a column can have."""


PERIODS = pd.Series(pd.period_range("2013-01", periods=2, freq="M"))
ZONES = [pd.Timestamp("2013-01-01", tz="UTC"), pd.Timestamp("2013-01-01", tz="Europe/Berlin")]
UNNAMED = timezone(timedelta(hours=2))


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pd.Series([1, "a"], dtype=object), "mixes types"),
        (pd.Series([1, 1.5], dtype=object), "mixes types"),
        (pd.Series([1, np.nan], dtype=object), "mixes types"),
        (pd.Series([True, 1], dtype=object), "mixes types"),
        (pd.Series(["a", b"a"], dtype=object), "mixes types"),
        (pd.Series([date(2013, 1, 1), datetime(2013, 1, 1)], dtype=object), "mixes types"),
        (pd.Series(ZONES, dtype=object), "mixes types"),
        (pd.Series([2**64, 1], dtype=object), "no type that a column can have"),
        (pd.Series([Anything()], dtype=object), "no type that a column can have"),
        (pd.Series([[1, "a"]], dtype=object), "no type that a column can have"),
        (pd.Series([[1, 1.5]], dtype=object), "several types"),
        (pd.Series([{"a": 1}, {"b": 2}], dtype=object), "different fields"),
        (pd.Series([datetime(2013, 1, 1, tzinfo=UNNAMED)]), "has no name"),
        (pd.Series([1 + 2j]), "complex128"),
        (pd.Series([1.5], dtype=np.longdouble), "polars has no"),
        (PERIODS, "extension type"),
        (pd.Series(pd.interval_range(0, 2)), "extension type"),
        (pd.Series(pd.arrays.SparseArray([0, 0, 1])), "sparse"),
        (pd.Series(pd.Categorical([1, 2])), "not texts"),
        (pd.Series(pd.Categorical(["a"], categories=["a", "b"])), "stand in no row"),
        (pd.Series([2**62], dtype="datetime64[s]"), "millisecond"),
    ],
)
def test_what_would_change_is_named_with_what_to_do(column: Any, why: str) -> None:
    with pytest.raises(InputError, match=why) as told:
        to_polars(pd.DataFrame({"fine": range(len(column)), "bad": column}))
    assert "'bad'" in told.value.message
    assert told.value.code == "value-lossy"
    assert told.value.hint


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (pd.DataFrame({"a": [1, 2]}, index=pd.Index([5, 6], name="when")), "'when'"),
        (pd.DataFrame({"a": [1, 2]}, index=pd.RangeIndex(2, name="id")), "'id'"),
        (pd.DataFrame({"a": [1, 2]}, index=["x", "y"]), "'index'"),
        (pd.DataFrame({"a": [1, 2, 3]})[lambda x: x["a"] > 1], "'index'"),
        (pd.DataFrame({"a": [1]}, index=pd.MultiIndex.from_tuples([(0, 1)], names=["p", "q"])), "'p, q'"),
        (pd.DataFrame([[1, 2]], columns=["a", "a"]), "'a'"),
        (pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "x"), ("a", "y")])), "not a text"),
        (pd.DataFrame([[1]]), "not a text"),
        (pd.DataFrame(index=pd.RangeIndex(3)), "3 rows"),
    ],
)
def test_an_index_and_names_that_tell_nothing_apart_are_asked_about(frame: pd.DataFrame, named: str) -> None:
    with pytest.raises(InputError, match=named) as told:
        to_polars(frame)
    assert told.value.hint


def test_a_frame_of_nothing_is_a_frame_of_nothing(stores: Platform) -> None:
    payloads = Payloads(stores)
    kept = payloads.save([pl.DataFrame()])[0]
    assert payloads.save([pd.DataFrame(), pa.table({})]) == [kept, kept]
    given = payloads.load(kept, pd.DataFrame)
    assert isinstance(given, pd.DataFrame)
    assert given.shape == (0, 0)
    with pytest.raises(InputError, match="3 rows"):
        payloads.save([pl.DataFrame(height=3)])


# --- Arrow ---


def test_arrow_is_taken_by_its_values_however_it_is_encoded() -> None:
    table = pa.table(
        {
            "coded": pa.array(["a", "b", "a"]).dictionary_encode(),
            "numbers": pa.array([5, 6, 5]).dictionary_encode(),
            "seconds": pa.array([0, None, 1], pa.timestamp("s", "UTC")),
            "view": pa.array(["x", None, "y"], pa.string_view()),
            "fixed": pa.array([b"ab", None, b"cd"], pa.binary(2)),
        }
    )
    back = to_polars(table)
    assert back.dtypes == [pl.Categorical, pl.Int64, pl.Datetime("ms", "UTC"), pl.String, pl.Binary]
    assert back["numbers"].to_list() == [5, 6, 5]
    parts = pa.concat_tables([table.slice(0, 1), table.slice(1)])
    assert frame_digest(to_polars(parts)) == frame_digest(back)


def test_an_ordered_dictionary_keeps_its_order_in_parts_too() -> None:
    kind = pa.dictionary(pa.int8(), pa.string(), ordered=True)
    parts = [pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), ["low", "high"], ordered=True), pa.array([None], kind)]
    back = to_polars(pa.table({"x": pa.chunked_array(parts, kind)}))
    assert back["x"].dtype == pl.Enum(["low", "high"])
    assert back["x"].to_list() == ["low", None]


@pytest.mark.parametrize(
    "column",
    [
        pa.array([[("a", 1)]], pa.map_(pa.string(), pa.int64())),
        pa.array([86_400_000], pa.date64()),
        pa.array([0], pa.timestamp("us", "+02:00")),
        pa.array([2**62], pa.duration("s")),
        pa.array([[1]], pa.list_(pa.timestamp("s"))),
        pa.array([Decimal("1.1")], pa.decimal256(60, 2)),
        pa.array([Decimal("100")], pa.decimal128(5, -2)),
        pa.array([(1, 2, 3)], pa.month_day_nano_interval()),
        pa.array([b"a" * 16], pa.uuid()),
        pa.array([1], pa.int64()).dictionary_encode().cast(pa.dictionary(pa.int32(), pa.int64(), ordered=True)),
        pa.UnionArray.from_sparse(pa.array([0], pa.int8()), [pa.array([1])]),
        pa.RunEndEncodedArray.from_arrays(pa.array([1], pa.int32()), pa.array([1])),
    ],
    ids=lambda column: str(column.type)[:24],
)
def test_an_arrow_type_that_would_change_is_named(column: pa.Array) -> None:
    with pytest.raises(InputError, match="column 'bad'") as told:
        to_polars(pa.table({"bad": column}))
    assert told.value.hint


def test_arrow_tells_columns_of_one_name_apart_no_better() -> None:
    with pytest.raises(InputError, match="2 columns have this name"):
        to_polars(pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"]))


@pytest.mark.parametrize("face", ["pandas.DataFrame", "pyarrow.Table", "duckdb.DuckDBPyRelation", "numpy.recarray"])
def test_integers_of_128_bits_are_named(face: str) -> None:
    with pytest.raises(InputError, match="column 'huge'"):
        from_polars(pl.DataFrame({"huge": pl.Series([1], dtype=pl.Int128)}), FACES[face])


# --- DuckDB ---


def test_a_relation_is_found_by_its_name_in_sql() -> None:
    rows = from_polars(pl.DataFrame({"k": ["b", "a", "b"], "n": [1, 2, 3]}), duckdb.DuckDBPyRelation)
    other = from_polars(pl.DataFrame({"k": ["a", "b"], "name": ["Ann", "Bob"]}), duckdb.DuckDBPyRelation)
    assert rows is not other
    found = duckdb.sql("select name, sum(n) as n, count(*) as rows from rows join other using (k) group by name order by name")
    back = to_polars(found)
    assert back.schema == {"name": pl.String, "n": pl.Decimal(38, 0), "rows": pl.Int64}
    assert back.rows() == [("Ann", Decimal(2), 1), ("Bob", Decimal(4), 2)]


def test_a_relation_means_the_same_on_every_machine() -> None:
    rows = from_polars(pl.DataFrame({"moment": [datetime(2013, 1, 1, 23, 30, tzinfo=UTC)]}), duckdb.DuckDBPyRelation)
    assert rows is not None
    assert duckdb.sql("select date_trunc('day', moment)::date as day from rows").fetchall() == [(date(2013, 1, 1),)]
    assert duckdb.sql("select current_setting('threads')").fetchall() == [(1,)]
    own = duckdb.connect()
    own.execute("SET TimeZone = 'America/New_York'")
    back = to_polars(
        own.sql("select timestamptz '2013-01-01 00:00:00+00' as moment, [timestamptz '2013-01-01 00:00:00+00'] as list")
    )
    assert back.dtypes == [pl.Datetime("us", "UTC"), pl.List(pl.Datetime("us", "UTC"))]
    assert back["moment"][0] == datetime(2013, 1, 1, tzinfo=UTC)
    own.close()


@pytest.mark.parametrize(
    "column",
    [
        "uuid()",
        "interval 1 month",
        "'101'::bit",
        "map {'a': 1}",
        "timetz '01:02:03+01'",
        "union_value(num := 1)",
        "[uuid()]",
        "{'a': 'x'::enum('x')}",
        "170141183460469231731687303715884105727::hugeint",
        "(100000000000000000000000000000000000000)::hugeint",
    ],
)
def test_a_duckdb_type_that_would_change_is_named(column: str) -> None:
    with pytest.raises(InputError, match="column 'bad'") as told:
        to_polars(duckdb.sql(f"select 1 as fine, {column} as bad"))
    assert told.value.hint


def test_two_columns_of_one_name_in_sql_are_named() -> None:
    joined = duckdb.sql("select 1 as a, 2 as b").project("a, b as a")
    with pytest.raises(InputError, match="'a'"):
        to_polars(joined)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("bad", [1]).cast(pl.Datetime("ms", "UTC")),
        pl.Series("bad", [1.5], dtype=pl.Float16),
        pl.Series("bad", [[1.5]], dtype=pl.List(pl.Float16)),
        pl.Series("bad", [["a"]], dtype=pl.List(pl.Enum(["a"]))),
        pl.Series("bad", [{"a": timedelta(1)}]),
    ],
)
def test_what_duckdb_would_give_back_as_another_type_is_named(column: pl.Series) -> None:
    with pytest.raises(InputError, match="column 'bad'"):
        from_polars(column.to_frame(), duckdb.DuckDBPyRelation)


# --- numpy ---


def test_an_array_with_fields_is_a_frame_and_one_without_is_not(stores: Platform) -> None:
    payloads = Payloads(stores)
    fields = np.array([(1, "ü", "2013-01-01"), (2, "", "NaT")], dtype=[("a", "i8"), ("t", "U3"), ("d", "M8[D]")])
    frame = pl.DataFrame({"a": [1, 2], "t": ["ü", ""], "d": [date(2013, 1, 1), None]})
    kept = payloads.save([fields, fields.view(np.recarray), frame])
    assert len({payload.digest for payload in kept}) == 1
    back = payloads.load(kept[0], NDArray[np.void])
    assert isinstance(back, np.ndarray)
    assert back.tolist() == fields.tolist()
    plain = payloads.save([np.arange(4.0).reshape(2, 2)])[0]
    assert plain.kind == "array"
    assert isinstance(payloads.load(plain, pd.DataFrame), pd.DataFrame)
    with pytest.raises(InputError, match="without"):
        payloads.load(plain, np.recarray)


@pytest.mark.parametrize(
    ("array", "named"),
    [
        (np.zeros(2, dtype=[("bad", "S3")]), "'bad'"),
        (np.zeros(2, dtype=[("bad", "c16")]), "'bad'"),
        (np.zeros(2, dtype=[("bad", "M8[M]")]), "'bad'"),
        (np.zeros(2, dtype=[("bad", "m8[D]")]), "'bad'"),
        (np.zeros(2, dtype=[("bad", "O")]), "'bad'"),
        (np.ma.masked_array([1.0, 2.0], mask=[True, False]), "mask"),
        (np.ma.masked_array(np.zeros(2, dtype=[("a", "i8")]), mask=[True, False]), "mask"),
    ],
)
def test_an_array_that_would_change_is_named(stores: Platform, array: np.ndarray[Any, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        Payloads(stores).save([array])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        (pl.Series("bad", ["a\0"]), "zero characters"),
        (pl.Series("bad", [1, None]), "no nulls"),
        (pl.Series("bad", [datetime(2013, 1, 1, tzinfo=UTC)]), "time zones"),
        (pl.Series("bad", [-(2**63)]).cast(pl.Datetime("us")), "earliest"),
        (pl.Series("bad", [Decimal("1.1")]), "objects"),
    ],
)
def test_a_column_that_no_field_can_hold_is_named(column: pl.Series, why: str) -> None:
    with pytest.raises(InputError, match=why) as told:
        from_polars(column.to_frame(), np.recarray)
    assert "'bad'" in told.value.message


def test_pandas_takes_its_earliest_time_for_none() -> None:
    for kind in (pl.Datetime("us"), pl.Datetime("ns", "UTC"), pl.Duration("ms")):
        with pytest.raises(InputError, match="earliest"):
            from_polars(pl.Series("bad", [-(2**63)]).cast(kind).to_frame(), pd.DataFrame)


# --- all of them ---


def test_what_is_no_frame_is_said() -> None:
    for rows, kind in ((7, pl.DataFrame), (pl.DataFrame({"a": [1]}), dict)):
        with pytest.raises(InputError) as told:
            as_frame(rows, kind)
        assert told.value.code == "frame-kind"


def test_a_library_is_loaded_only_when_an_annotation_asks_for_it() -> None:
    script = (
        "import sys, polars as pl; from werk import as_frame, step; from werk.workflow.frames import from_polars\n"
        "@step('s')\ndef s(rows: pl.DataFrame) -> pl.DataFrame: ...\n"
        "from_polars(pl.DataFrame({'a': [1]}), s.types['rows']); s.returns\n"
        "print(sorted({'pandas', 'duckdb', 'pyarrow'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_missing_library_is_one_error_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "werk.workflow.faces.pandas", raising=False)
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(InputError, match="pandas is not installed") as told:
        from_polars(pl.DataFrame({"a": [1]}), pd.DataFrame)
    assert told.value.code == "library-missing"
    assert "werk[pandas]" in told.value.hint
