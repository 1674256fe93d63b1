"""A fault in a CSV file is named with its line and a way to mend it; a file that can be read is read as before."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.data import read_file

HEAD = b"a,b\n"
MANY = HEAD + b"1,2\n" * 150


def _file(tmp_path: Path, data: bytes) -> Path:
    file = tmp_path / "t.csv"
    file.write_bytes(data)
    return file


@pytest.mark.parametrize(
    ("data", "code", "says", "hint"),
    [
        (b"", "source-empty", "t.csv is empty", "writes"),
        (b"\n \n", "source-empty", "t.csv is empty", "writes"),
        (b"a,b\n1,x\n2,\xe9\n", "source-encoding", "line 3 is not UTF-8 (byte 0xe9)", "Save it as UTF-8"),
        (b"\xe4,b\n1,2\n", "source-encoding", "line 1 is not UTF-8 (byte 0xe4)", "Save it as UTF-8"),
        (HEAD + b"1,x\n" * 9000 + b"1,\xe9\n", "source-encoding", "line 9,002 is not UTF-8", "Save it as UTF-8"),
        ("a,b\n1,2\n".encode("utf-16"), "source-encoding", "line 1 is not UTF-8 (byte 0xff)", "Save it as UTF-8"),
        (b"a,b\n1,2\n1,2,3\n", "source-ragged", "line 3 has 3 cells, the header 2", "double quotes"),
        (MANY + b"\n1,2,3\n", "source-ragged", "line 153 has 3 cells, the header 2", "double quotes"),
        (b'a,b\n"x\ny",2\n1,2,3\n', "source-ragged", "line 4 has 3 cells", "double quotes"),
        (b'a,b\n1,2\n1,"x\n2,3\n', "source-quotes", "a quote is opened and never closed after line 2", "Close"),
        (b"UID;x y\n1;2\n", "source-separator", "t.csv is separated by ';', not by commas", "commas"),
        (b"a;b\n1,5;2\n1,6;3\n", "source-separator", "by ';'", "points"),
        (b"a;b\n1,5;2,5\n", "source-separator", "by ';'", "points"),
        (b"a;b (x, y)\n1,5;2,5\n", "source-separator", "by ';'", "points"),
        (b"a;b\n", "source-separator", "by ';'", "points"),
        (b"\xef\xbb\xbfa\tb\r\n1\t2\r\n", "source-separator", "by tabs", "commas"),
        (b"a|b\n1|2\n", "source-separator", "by '|'", "commas"),
        (b"a,b,a\n1,2,3\n", "column-twice", "two columns named 'a'", "own name"),
        (b"\xef\xbb\xbfa,a\n1,2\n", "column-twice", "two columns named 'a'", "own name"),
        (b'\n"a,b","a,b"\n1,2\n', "column-twice", "two columns named 'a,b'", "own name"),
        (b"a,b,,\n1,2,,\n", "column-twice", "two columns named ''", "own name"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(tmp_path: Path, data: bytes, code: str, says: str, hint: str) -> None:
    with pytest.raises(InputError) as caught:
        read_file(_file(tmp_path, data))
    assert (caught.value.code, says in caught.value.message, hint in caught.value.hint) == (code, True, True), caught.value


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"a\n1\n2\n", {"a": [1, 2]}),
        (b"a;b\n1\n2\n", {"a;b": [1, 2]}),
        (b'"a;b"\n"x;y"\n', {"a;b": ["x;y"]}),
        (b'a,b\n"x;y",1\n', {"a": ["x;y"], "b": [1]}),
        (b"a;c,b;c\n1;2,3;4\n", {"a;c": ["1;2"], "b;c": ["3;4"]}),
        (b"a,b\n1\n", {"a": [1], "b": [None]}),
        (b"a,a_duplicated_0\n1,2\n", {"a": [1], "a_duplicated_0": [2]}),
        (b"\xef\xbb\xbfa,b\r\n1,\xc3\xa9\r\n", {"a": [1], "b": ["é"]}),
        (gzip.compress(b"a,b\n1,2\n", mtime=0), {"a": [1], "b": [2]}),
        (b'a,b\n1,"' + b"x" * 200_000 + b'"\n', {"a": [1], "b": ["x" * 200_000]}),
        (b"a,b\n", {"a": [], "b": []}),
    ],
)
def test_what_can_be_read_is(tmp_path: Path, data: bytes, columns: dict[str, list[object]]) -> None:
    frame, _ = read_file(_file(tmp_path, data))
    assert frame.to_dict(as_series=False) == columns


@pytest.mark.parametrize("cell", ["nan", "NaN", "NAN", "inf", "-inf", "Infinity", "+INF"])
def test_what_is_not_finite_is_a_number_however_it_is_spelled(tmp_path: Path, cell: str) -> None:
    frame, _ = read_file(_file(tmp_path, f"a,b\n1,x\n{cell},{cell}\n2.5,y\n".encode()))
    assert frame.schema == {"a": pl.Float64, "b": pl.String}
    assert frame["a"].is_finite().to_list() == [True, False, True]


def test_a_word_that_looks_like_no_number_stays_one_where_nothing_else_is(tmp_path: Path) -> None:
    frame, _ = read_file(_file(tmp_path, b"a,b\nnan,nan\nnan,\n"))
    assert frame.to_dict(as_series=False) == {"a": ["nan"] * 2, "b": ["nan", None]}


@pytest.mark.parametrize(("cell", "dtype"), [(b"1.5", pl.Float64), (b"NaN", pl.Float64), (b"abc", pl.String)])
def test_a_late_row_of_another_type_counts_like_an_early_one(tmp_path: Path, cell: bytes, dtype: pl.DataType) -> None:
    early, _ = read_file(_file(tmp_path, HEAD + b"1," + cell + b"\n" + b"1,2\n" * 150))
    late, _ = read_file(_file(tmp_path, MANY + b"1," + cell + b"\n"))
    assert (early.schema, late.schema) == ({"a": pl.Int64, "b": dtype},) * 2
