"""Whether every table, column and index is there that a journal is made of."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import Connection, Table, UniqueConstraint, inspect
from sqlalchemy.exc import SAWarning

from werk.core.journal import Damage


def structure_damages(connection: Connection, tables: Iterable[Table]) -> list[Damage]:
    """What is gone; a table of which a damage of kind `table` or `column` is named cannot be read."""
    found = _Found(connection)
    return [damage for table in tables for damage in found.damages(table)]


def unreadable(damages: Iterable[Damage]) -> set[str]:
    return {damage.table for damage in damages if damage.where in ("table", "column")}


class _Found:
    """What the database has, asked for once for all tables."""

    def __init__(self, connection: Connection) -> None:
        seen = inspect(connection)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SAWarning)  # of an index of expressions, which is none of ours
            found, indexes = seen.get_multi_columns(), seen.get_multi_indexes()
            unique, keys = seen.get_multi_unique_constraints(), seen.get_multi_pk_constraint()
        self._columns = {name: {column["name"] for column in columns} for (_, name), columns in found.items()}
        self._indexes = {name: {index["name"] for index in there} for (_, name), there in indexes.items()}
        self._unique = {name: _sets(sets) for (_, name), sets in unique.items()}
        self._keys = {name: _sets([key]) for (_, name), key in keys.items()}

    def damages(self, table: Table) -> Iterator[Damage]:
        name = table.name
        if name not in self._columns:
            yield Damage(name, "table", "", f"The table {name} is gone.")
            return
        for column in table.columns:
            if column.name not in self._columns[name]:
                yield Damage(name, "column", column.name, f"The column {column.name} of the table {name} is gone.")
        yield from self._missing_indexes(table)

    def _missing_indexes(self, table: Table) -> Iterator[Damage]:
        name = table.name
        for index in sorted(str(index.name) for index in table.indexes):
            if index not in self._indexes.get(name, set()):
                yield Damage(name, "index", index, f"The index {index} of the table {name} is gone.")
        there = self._unique.get(name, set()) | self._keys.get(name, set())
        for wanted in sorted(_unique_sets(table) - there):
            said = f"Nothing keeps ({', '.join(wanted)}) of the table {name} unique any more."
            yield Damage(name, "index", ", ".join(wanted), said)


def _unique_sets(table: Table) -> set[tuple[str, ...]]:
    keys = {tuple(sorted(column.name for column in table.primary_key))}
    return keys | {
        tuple(sorted(column.name for column in constraint.columns))
        for constraint in table.constraints
        if isinstance(constraint, UniqueConstraint)
    }


def _sets(constraints: Iterable[Any]) -> set[tuple[str, ...]]:
    names = [one.get("column_names") or one.get("constrained_columns") or () for one in constraints if one]
    return {tuple(sorted(columns)) for columns in names}
