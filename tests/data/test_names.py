"""What a table may not be called, each with its own sentence; nothing is written under such a name."""

import unicodedata

import polars as pl
import pytest

from werk.core.errors import InputError
from werk.core.platform import Platform
from werk.data import land, scan, write

ROWS = pl.DataFrame({"a": [1]})
ACCENT = "raw.caf\u00e9"


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("raw.t_quarantine", "holds the refused rows of another table"),
        ("journal.runs", "'journal' is a schema of `werk sql` itself"),
        ("information_schema.tables", "is a schema of `werk sql` itself"),
        ("temp.t", "is a schema of `werk sql` itself"),
        ("raw.con", "Windows keeps 'con' for a device"),
        ("lpt1.t", "Windows keeps 'lpt1' for a device"),
        ("raw." + "t" * 81, "longer than 80 characters"),
        ("raw." + "t" * 260, "longer than 80 characters"),
        ("raw.t/u", "is not a table name"),
        ("raw...", "is not a table name"),
        ("raw.../t", "is not a table name"),
        ("raw.t\n", "is not a table name"),
        ("raw.T", "is not a table name"),
        (unicodedata.normalize("NFC", ACCENT), "is not a table name"),
        (unicodedata.normalize("NFD", ACCENT), "is not a table name"),
        ("raw.\u0440ows", "is not a table name"),  # a letter that only looks like a p
    ],
)
def test_a_name_is_refused_whoever_writes(p: Platform, name: str, says: str) -> None:
    for attempt in (lambda: land(p, name, ROWS), lambda: write(p, name, ROWS)):
        with pytest.raises(InputError) as refused:
            attempt()
        assert says in refused.value.message
        assert len(refused.value.message) < 130
        assert refused.value.hint
    assert p.table_store.tables() == []
    assert p.journal.head().seq == 0


def test_the_longest_name_has_room_for_its_quarantine(p: Platform) -> None:
    name = "z" * 80 + "." + "t" * 80
    write(p, name, ROWS)
    assert scan(p, name).collect().rows() == [(1,)]
    p.table_store.write(f"{name}_quarantine", ROWS)


@pytest.mark.parametrize("name", ["raw." + "t" * 300, "raw." + "t" * 101])
def test_a_name_too_long_is_a_sentence_for_readers_too(p: Platform, name: str) -> None:
    with pytest.raises(InputError, match="is not a table name"):
        scan(p, name)
