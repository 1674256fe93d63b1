"""One project's facts as JSON lines that anybody can check; of other projects in the same journal only that they are there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import Connection, select

from werk.core.canonical import JSON, canonical_json
from werk.core.journal import Head
from werk.journal.chain import GENESIS
from werk.journal.sql import SqlJournal
from werk.journal.tables import FACTS

_CHUNK = 1000


def export_facts(journal: SqlJournal, target: Path) -> Head:
    """Write `target` from one moment; returns the head it ends with.

    A line has every column of a fact, its salt in hex, its body as the text that was hashed (null when erased); of another
    project's fact it has `seq` and `hash`, so that the chain can still be followed.
    """
    last = Head(0, GENESIS)
    with journal.database.snapshot() as connection, target.open("w", encoding="utf-8", newline="\n") as file:
        for line, head in _lines(connection, journal.project):
            file.write(line + "\n")
            last = head
        file.flush()
        os.fsync(file.fileno())
    return last


def _lines(connection: Connection, project: str) -> Iterator[tuple[str, Head]]:
    rows = connection.execution_options(yield_per=_CHUNK).execute(select(FACTS).order_by(FACTS.c.seq)).mappings()
    for row in rows:
        own = row["project"] == project
        told: dict[str, JSON] = {name: _plain(row[name]) for name in (row if own else ("seq", "hash"))}
        yield canonical_json(told), Head(row["seq"], row["hash"])


def _plain(value: object) -> JSON:
    return value.hex() if isinstance(value, bytes) else value  # type: ignore[return-value]  # a column is a number or a text
