"""Tables and their versions, read from the facts about them."""

from __future__ import annotations

from collections.abc import Iterable

from werk.core.journal import Change, Column, Fact, Projection, Upsert

_NUMBERS = ("version", "rows", "rows_in", "quarantined")
_TEXTS = ("zone", "operation", "quarantine", "contract_sha256", "owner")
_TREES = ("source", "schema", "checks", "notes")
_COLUMNS = (
    Column("table"),
    *(Column(name, "int") for name in _NUMBERS),
    *(Column(name) for name in _TEXTS),
    *(Column(name, "json") for name in _TREES),
    Column("run"),
    Column("at", "int"),
)


def _written(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert(
        {"table": fact.subject, **{n: body.get(n) for n in (*_NUMBERS, *_TEXTS, *_TREES)}, "run": fact.run, "at": fact.at}
    )


PROJECTIONS = (
    Projection("tables", _COLUMNS, ("table",), ("table.written",), _written),
    Projection("table_versions", _COLUMNS, ("table", "version"), ("table.written",), _written, index=(("run",),)),
)
