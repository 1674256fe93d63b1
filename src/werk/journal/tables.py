"""The journal's tables: facts and what stands beside them, and one table per projection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, MetaData, Table, Text, UniqueConstraint, text
from sqlalchemy.types import TypeEngine

from werk.core.canonical import digest_of
from werk.core.errors import InputError
from werk.core.journal import ColumnType, Projection

SCHEMA = 1

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
_RESERVED = frozenset({"project", "seq", "valid_from", "valid_to"})


# Every database compares text by bytes, so that order and equality are the same on each.
TEXT = Text().with_variant(Text(collation="C"), "postgresql")
INT = BigInteger().with_variant(Integer(), "sqlite")
REAL = Float(53)

_TYPES: dict[ColumnType, TypeEngine[Any]] = {"text": TEXT, "int": INT, "real": REAL, "json": TEXT, "bool": INT}

METADATA = MetaData()
_WITH_RUN = text("run is not null")

FACTS = Table(
    "facts",
    METADATA,
    Column("seq", INT, primary_key=True, autoincrement=False),
    Column("project", TEXT, nullable=False),
    Column("at", INT, nullable=False),
    Column("actor", TEXT, nullable=False),
    Column("kind", TEXT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("run", TEXT),
    Column("v", INT, nullable=False),
    Column("salt", LargeBinary),
    Column("body", TEXT),
    Column("body_sha256", TEXT, nullable=False),
    Column("prev_hash", TEXT, nullable=False),
    Column("hash", TEXT, nullable=False),
    Column("dedupe_key", TEXT),
    UniqueConstraint("project", "dedupe_key"),
    Index("facts_by_kind", "project", "kind", "seq"),
    Index("facts_by_subject", "project", "subject", "seq"),
    Index(
        "facts_by_run", "project", "run", "seq", sqlite_where=text("run is not null"), postgresql_where=text("run is not null")
    ),
    Index("facts_by_time", "at"),
)

META = Table("meta", METADATA, Column("key", TEXT, primary_key=True), Column("value", TEXT, nullable=False))

LEASES = Table(
    "leases",
    METADATA,
    Column("project", TEXT, primary_key=True),
    Column("run", TEXT, primary_key=True),
    Column("owner", TEXT, nullable=False),
    Column("token", INT, nullable=False),
    Column("until", INT, nullable=False),
)

POINTS = Table(
    "points",
    METADATA,
    Column("id", INT, primary_key=True, autoincrement=True),
    Column("project", TEXT, nullable=False),
    Column("run", TEXT, nullable=False),
    Column("name", TEXT, nullable=False),
    Column("step", INT, nullable=False),
    Column("value", REAL),
    Column("at", INT, nullable=False),
    Index("points_by_run", "project", "run", "name", "step"),
)

FACT_COLUMNS: tuple[str, ...] = tuple(column.name for column in FACTS.columns)


@cache
def projection_table(projection: Projection) -> Table:
    """The table `p_<name>`: project and key first, then the columns, then the last fact that touched the row.

    One object a declaration: SQLAlchemy takes milliseconds to make one, and keeps what it has compiled for it.
    """
    checked(projection)
    history = ("valid_from",) if projection.history else ()
    types = {column.name: _TYPES[column.type] for column in projection.columns}
    keyed = [Column(name, types[name], primary_key=True) for name in projection.key]
    plain = [Column(name, type_) for name, type_ in types.items() if name not in projection.key]
    spans = [Column(name, INT, primary_key=name in history, autoincrement=False) for name in ("valid_from", "valid_to")]
    table = Table(
        f"p_{projection.name}",
        MetaData(),
        Column("project", TEXT, primary_key=True),
        *keyed,
        *plain,
        Column("seq", INT, nullable=False),
        *(spans if projection.history else ()),
    )
    for number, names in enumerate(projection.index):
        Index(f"p_{projection.name}_{number}", table.c.project, *(table.c[name] for name in names))
    return table


def checked(projection: Projection) -> None:
    """Refuse a declaration that cannot become a table (`InputError`)."""
    names = [column.name for column in projection.columns]
    wrong = [name for name in (projection.name, *names) if not _NAME.fullmatch(name) or name in _RESERVED]
    loose = [name for names_ in (projection.key, *projection.index) for name in names_ if name not in names]
    if wrong or loose or not projection.key or len(set(names)) < len(names):
        raise InputError(
            f"The projection '{projection.name}' is not well formed: {(wrong + loose + ['key or columns'])[0]!r}.",
            code="projection-malformed",
            hint="Names are lower-case words; key and index name declared columns; project, seq and valid_* are the journal's.",
        )


def shape_of(projection: Projection, upcasts: Mapping[str, Iterable[int]]) -> str:
    """A digest of everything declared but `apply`: when it changes, the table is rebuilt.

    `upcasts` are, by kind, the versions of bodies that are read as later ones.
    """
    columns = [[column.name, column.type] for column in projection.columns]
    kinds, index = sorted(projection.kinds), [list(names) for names in projection.index]
    read = [[kind, *sorted(versions)] for kind, versions in sorted(upcasts.items())]
    declared = [projection.name, columns, list(projection.key), kinds, projection.history, index]
    return digest_of([*declared, read] if read else declared)
