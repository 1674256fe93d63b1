from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.data import Landing, sql, write

Year = tuple[Platform, dict[str, Landing]]


@pytest.fixture(scope="module")
def p(tmp_path_factory: pytest.TempPathFactory, new_platform: Callable[[Path], Platform]) -> Platform:
    """Queries change nothing, so that one store serves them all."""
    p = new_platform(tmp_path_factory.mktemp("queried"))
    write(p, "raw.t", pl.DataFrame({"id": [1, 2], "größe": [1.5, None]}))
    write(p, "raw.t", pl.DataFrame({"id": [3]}), mode="replace")
    return p


def test_a_join_over_two_tables(year: Year) -> None:
    p, _ = year
    query = """SELECT name, count(*) AS flights FROM raw.flights JOIN raw.airlines USING (carrier)
               WHERE tailnum NOT IN (SELECT tailnum FROM raw.planes) GROUP BY ALL ORDER BY 2 DESC LIMIT 2"""
    frames = {name: p.table_store.read(f"raw.{name}") for name in ("flights", "airlines", "planes")}
    flights, airlines, planes = (pl.DataFrame(frame) for frame in frames.values())
    orphans = flights.drop_nulls("tailnum").join(planes, on="tailnum", how="anti").join(airlines, on="carrier")
    expected = orphans.group_by("name").len("flights").sort("flights", descending=True).head(2)
    assert sql(p, query).rows() == expected.rows()


def test_an_old_version_is_read_where_it_is_pinned(p: Platform) -> None:
    assert sql(p, "SELECT id FROM raw.t").rows() == [(3,)]
    assert sql(p, 'SELECT "größe" FROM raw.t WHERE id = 1', {"raw.t": 0}).rows() == [(1.5,)]
    with pytest.raises(InputError, match="no version 9"):
        sql(p, "SELECT 1 FROM raw.t", {"raw.t": 9})


@pytest.mark.parametrize(
    "query",
    [
        'SELECT count(*) FROM "raw"."t"',
        "SELECT count(*) FROM RAW.T",
        "WITH x AS (FROM raw.t) SELECT count(*) FROM x",
        "SELECT (SELECT count(*) FROM raw.t)",
        "SELECT count(*) FROM raw.t AS raw_t JOIN raw.t USING (id)",
    ],
)
def test_a_table_is_found_wherever_it_is_named(p: Platform, query: str) -> None:
    assert sql(p, query).item() == 1


def test_a_description_is_a_query(p: Platform) -> None:
    assert sql(p, "DESCRIBE raw.t")["column_name"].to_list() == ["id"]


def test_an_unknown_table_is_named_with_the_nearest(year: Year) -> None:
    p, _ = year
    with pytest.raises(InputError, match=r"no table 'raw.flihgts'. Did you mean 'raw.flights'"):
        sql(p, "SELECT * FROM raw.flihgts")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_parquet('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM '/etc/passwd.csv'",
        "SELECT * FROM 'http://127.0.0.1:1/x.parquet'",
        "SELECT * FROM raw.t, read_text('/etc/passwd')",
    ],
)
def test_the_machine_is_out_of_reach(p: Platform, query: str) -> None:
    with pytest.raises(InputError, match=r"Permission Error|disabled"):
        sql(p, query)


def test_a_parquet_file_that_could_be_read_is_out_of_reach(p: Platform, tmp_path: Path) -> None:
    pl.DataFrame({"secret": [1]}).write_parquet(tmp_path / "secret.parquet")
    with pytest.raises(InputError, match="Permission Error"):
        sql(p, f"SELECT secret FROM read_parquet('{tmp_path}/secret.parquet')")
    with pytest.raises(InputError, match="Permission Error"):
        sql(p, f"SELECT secret FROM '{tmp_path}/secret.parquet'")


def test_nothing_is_written(p: Platform, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    for query in (
        f"COPY (SELECT 1) TO '{tmp_path}/out.csv'",
        f"ATTACH '{tmp_path}/other.db' AS other",
        f"EXPORT DATABASE '{tmp_path}/out'",
        "SET enable_external_access = true",
        "INSTALL httpfs",
        "DROP VIEW raw.t",
    ):
        with pytest.raises(InputError, match="it is no SELECT"):
            sql(p, query)
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("", "not one statement"),
        ("-- nothing", "not one statement"),
        ("SELECT 1; SELECT 2", "not one statement"),
        ("SELEC 1", "syntax error"),
        ("SELECT nme FROM raw.t", '"nme" not found'),
        ("SELECT CAST('x' AS int)", "Could not convert"),
        ("SELECT 1 AS a, 2 AS a", "more than once"),
        ("SELECT * FROM query", "query does not exist"),
        ("SELECT * FROM p", "p does not exist"),
        ('SELECT * FROM raw."t""; DROP VIEW raw.t"', "is not a table name"),
    ],
)
def test_a_query_that_cannot_be_run_says_why(p: Platform, query: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        sql(p, query)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize(
    ("query", "where", "words"),
    [
        ("select window from raw.w", "line 1, character 15", ['"window"']),
        ('select ok,\n Window, "order" from raw.w', "line 2, character 8", ['"window"']),
        ("select ok, window, order from raw.w", "line 1, character 18", ['"order"', '"window"']),
        ("select 'größe', window from raw.w", "line 1, character 24", ['"window"']),
        ("select user from raw.w where", "", []),
        ("selekt ok from raw.w", "line 1, character 1", []),
        ("select table from journal.things", "line 1, character 8", ['"table"']),
    ],
)
def test_a_column_that_is_a_word_of_sql_is_told_when_the_parser_stops(
    p: Platform, query: str, where: str, words: list[str]
) -> None:
    write(p, "raw.w", pl.DataFrame({"window": [1], "order": [2], "ok": [3]}), mode="replace")
    beside = {"journal.things": lambda: pl.DataFrame({"table": ["t"]}), "journal.never": _never}
    with pytest.raises(InputError) as wrong:
        sql(p, query, beside=beside)
    assert wrong.value.code == "sql-wrong"
    assert where in wrong.value.message
    assert [word for word in words if word not in wrong.value.hint] == []
    assert ("of SQL" in wrong.value.hint) is bool(words)


def _never() -> pl.DataFrame:
    raise AssertionError("no query names it")


def test_a_column_that_is_a_word_of_sql_is_read_in_quotes(p: Platform) -> None:
    write(p, "raw.w", pl.DataFrame({"window": [1]}), mode="replace")
    assert sql(p, 'select "window" from raw.w').rows() == [(1,)]
