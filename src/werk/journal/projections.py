"""From a fact to the rows it changes: the same changes go to SQL when appended and to dicts when replayed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from sqlalchemy import Table

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import InputError, unknown
from werk.core.journal import ColumnType, Delete, Fact, Projection, Row, Update, Upsert
from werk.journal.database import Cursor
from werk.journal.tables import projection_table

Stored = str | int | float | None
Key = tuple[Stored, ...]


class Op(NamedTuple):
    """One change in stored form: `key` is project and key columns, `values` the other columns."""

    shape: Shape
    verb: Literal["upsert", "update", "delete"]
    key: Key
    values: dict[str, Stored]
    seq: int


class Shape:
    """A projection with its table: how its values are stored and read back."""

    def __init__(self, projection: Projection) -> None:
        self.projection = projection
        self.name, self.history = projection.name, projection.history
        self.table: Table = projection_table(projection)
        self.types: dict[str, ColumnType] = {column.name: column.type for column in projection.columns}
        self.key = projection.key
        self.key_columns = ("project", *projection.key)
        self.columns: tuple[str, ...] = tuple(column.name for column in self.table.columns)
        self.identity = (*self.key_columns, "valid_from") if self.history else self.key_columns

    def ops(self, fact: Fact) -> Iterator[Op]:
        """What `fact` changes; a malformed change is an `InputError` naming the projection."""
        for change in self.projection.apply(fact):
            match change:
                case Upsert(row):
                    yield self._op("upsert", fact, row, {name: row[name] for name in row if name not in self.key})
                case Update(key, values):
                    yield self._op("update", fact, key, values)
                case Delete(key):
                    yield self._op("delete", fact, key, {})

    def _op(
        self, verb: Literal["upsert", "update", "delete"], fact: Fact, key: Mapping[str, JSON], values: Mapping[str, JSON]
    ) -> Op:
        missing = [name for name in self.key if key.get(name) is None]
        extra = [name for name in key if verb != "upsert" and name not in self.key] + [n for n in values if n in self.key]
        if missing or extra:
            raise self._malformed(f"fact '{fact.kind}' gives no full key ({(missing + extra)[0]})")
        keyed = (fact.project, *(self.stored(name, key[name]) for name in self.key))
        return Op(self, verb, keyed, {name: self.stored(name, value) for name, value in values.items()}, fact.seq)

    def stored(self, column: str, value: JSON) -> Stored:
        """A value as its column stores it: JSON as canonical text, bool as 0 or 1."""
        type_ = self.types.get(column)
        if value is None and type_:
            return None
        match type_, value:
            case "text", str() if "\x00" not in value:
                return value
            case ("int", int()) if not isinstance(value, bool) and -(2**63) <= value < 2**63:
                return value
            case ("real", int() | float()) if not isinstance(value, bool) and abs(value) < float("inf"):
                return float(value)
            case "bool", bool():
                return int(value)
            case "json", _:
                return canonical_json(value)
            case None, _:
                raise unknown(f"column of {self.name}", column, self.types, code="column-unknown")
        raise self._malformed(f"the {type_} column '{column}' cannot hold a {type(value).__name__} like this one")

    def read(self, stored: Sequence[object]) -> Row:
        """A stored row (in table order) as its reader sees it."""
        return {name: self._value(name, value) for name, value in zip(self.columns, stored, strict=True) if name != "project"}

    def _value(self, column: str, value: object) -> JSON:
        type_ = self.types.get(column)
        if value is None or type_ not in ("json", "bool"):
            return value  # type: ignore[return-value]  # the driver gives str, int, float or None
        return json.loads(str(value)) if type_ == "json" else bool(value)

    def _malformed(self, why: str) -> InputError:
        return InputError(
            f"The projection '{self.name}' cannot be written: {why}.",
            code="projection-malformed",
            hint="Its `apply` must give the full key and values of the declared types.",
        )


class Shapes:
    """All projections a process knows, by name and by the kinds of fact they are read from."""

    def __init__(self, projections: Iterable[Projection]) -> None:
        self.by_name: dict[str, Shape] = {}
        self.by_kind: dict[str, list[Shape]] = {}
        for projection in projections:
            if projection.name in self.by_name:
                raise InputError(f"Two projections are called '{projection.name}'.", code="projection-malformed")
            shape = self.by_name[projection.name] = Shape(projection)
            for kind in dict.fromkeys(projection.kinds):
                self.by_kind.setdefault(kind, []).append(shape)

    def __getitem__(self, name: str) -> Shape:
        if name not in self.by_name:
            raise unknown("projection", name, self.by_name, code="projection-unknown")
        return self.by_name[name]

    def ops(self, fact: Fact) -> list[Op]:
        if fact.body is None:
            return []
        return [op for shape in self.by_kind.get(fact.kind, ()) for op in shape.ops(fact)]


class Replayed:
    """The rows of projections in memory, built fact by fact."""

    def __init__(self, shapes: Iterable[Shape]) -> None:
        self.current: dict[str, dict[Key, dict[str, Stored]]] = {shape.name: {} for shape in shapes}
        self.closed: dict[str, list[tuple[Key, dict[str, Stored]]]] = {name: [] for name in self.current}

    def add(self, ops: Iterable[Op]) -> None:
        for op in ops:
            rows = self.current[op.shape.name]
            old = rows.get(op.key)
            if old is None and op.verb != "upsert":
                continue
            if op.verb == "delete":
                self._close(op, rows.pop(op.key))
            elif old is not None and (not op.shape.history or old["valid_from"] == op.seq):
                old.update(op.values, seq=op.seq)
            else:
                rows[op.key] = self._opened(op, old)

    def _opened(self, op: Op, old: dict[str, Stored] | None) -> dict[str, Stored]:
        if old is not None:
            self._close(op, old)
        spans = {"valid_from": op.seq, "valid_to": None} if op.shape.history else {}
        return {**(old or {}), **op.values, "seq": op.seq, **spans}

    def _close(self, op: Op, old: dict[str, Stored]) -> None:
        if op.shape.history and old["valid_from"] != op.seq:
            self.closed[op.shape.name].append((op.key, {**old, "valid_to": op.seq}))

    def rows(self, shape: Shape) -> Iterator[tuple[Stored, ...]]:
        """Stored rows in table order, closed ones first."""
        names = shape.columns[len(shape.key_columns) :]
        for key, row in (*self.closed[shape.name], *self.current[shape.name].items()):
            yield (*key, *(row.get(name) for name in names))


class Applier:
    """Writes changes to a database; neighbours with the same statement go in one call."""

    def __init__(self, cursor: Cursor, mark: str) -> None:
        self._cursor, self._mark = cursor, mark
        self._sql = ""
        self._batch: list[tuple[Stored, ...]] = []

    def apply(self, ops: Iterable[Op]) -> None:
        for op in ops:
            if op.shape.history:
                self._flush()
                self._apply_history(op)
            else:
                self._later(*_statement(op, self._mark))
        self._flush()

    def insert(self, shape: Shape, rows: Iterable[tuple[Stored, ...]]) -> None:
        """Whole rows in table order, as a replay gives them."""
        sql = _insert(shape, shape.columns, self._mark)
        for row in rows:
            self._later(sql, row)
        self._flush()

    def _later(self, sql: str, values: tuple[Stored, ...]) -> None:
        if sql != self._sql or len(self._batch) >= 5000:
            self._flush()
            self._sql = sql
        self._batch.append(values)

    def _flush(self) -> None:
        if len(self._batch) == 1:
            self._cursor.execute(self._sql, self._batch[0])
        elif self._batch:
            self._cursor.executemany(self._sql, self._batch)
        self._batch = []

    def _apply_history(self, op: Op) -> None:
        old = self._open_row(op)
        if old is None and op.verb != "upsert":
            return
        if old is not None and old["valid_from"] == op.seq:
            self._change(op, "DELETE" if op.verb == "delete" else "UPDATE")
            return
        if old is not None:
            self._change(op._replace(values={"valid_to": op.seq}, seq=int(str(old["seq"]))), "UPDATE")
        if op.verb != "delete":
            row = {**(old or {}), **op.values, "seq": op.seq, "valid_from": op.seq, "valid_to": None}
            names = op.shape.columns[len(op.key) :]
            self._cursor.execute(_insert(op.shape, op.shape.columns, self._mark), (*op.key, *(row.get(n) for n in names)))

    def _open_row(self, op: Op) -> dict[str, Stored] | None:
        names = op.shape.columns[len(op.key) :]
        where = _where(op.shape.key_columns, self._mark)
        self._cursor.execute(f"SELECT {_names(names)} FROM p_{op.shape.name} WHERE {where} AND valid_to IS NULL", op.key)
        row = self._cursor.fetchone()
        return None if row is None else dict(zip(names, row, strict=True))

    def _change(self, op: Op, verb: Literal["UPDATE", "DELETE"]) -> None:
        where = f"{_where(op.shape.key_columns, self._mark)} AND valid_to IS NULL"
        values = {**op.values, "seq": op.seq}
        sets = ", ".join(f'"{name}" = {self._mark}' for name in values)
        if verb == "DELETE":
            self._cursor.execute(f"DELETE FROM p_{op.shape.name} WHERE {where}", op.key)
        else:
            self._cursor.execute(f"UPDATE p_{op.shape.name} SET {sets} WHERE {where}", (*values.values(), *op.key))


def _statement(op: Op, mark: str) -> tuple[str, tuple[Stored, ...]]:
    """The SQL of a change to a projection without history."""
    keys = op.shape.key_columns
    values = {**op.values, "seq": op.seq}
    if op.verb == "delete":
        return f"DELETE FROM p_{op.shape.name} WHERE {_where(keys, mark)}", op.key
    if op.verb == "update":
        sets = ", ".join(f'"{name}" = {mark}' for name in values)
        return f"UPDATE p_{op.shape.name} SET {sets} WHERE {_where(keys, mark)}", (*values.values(), *op.key)
    sets = ", ".join(f'"{name}" = excluded."{name}"' for name in values)
    insert = _insert(op.shape, (*keys, *values), mark)
    return f"{insert} ON CONFLICT ({_names(keys)}) DO UPDATE SET {sets}", (*op.key, *values.values())


def _insert(shape: Shape, columns: Sequence[str], mark: str) -> str:
    return f"INSERT INTO p_{shape.name} ({_names(columns)}) VALUES ({', '.join([mark] * len(columns))})"


def _where(names: Iterable[str], mark: str) -> str:
    return " AND ".join(f'"{name}" = {mark}' for name in names)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
