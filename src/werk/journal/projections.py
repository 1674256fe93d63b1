"""From a fact to the rows it changes: the same changes go to SQL when appended and to dicts when replayed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import islice
from typing import Literal, NamedTuple

from sqlalchemy import Table

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import InputError, unknown
from werk.core.journal import ColumnType, Delete, Fact, Projection, Row, Update, Upsert
from werk.journal.database import Cursor, Values, check_took, swallowed
from werk.journal.tables import projection_table
from werk.journal.upcasts import NONE, Upcasts, upcast

Stored = str | int | float | None
Key = tuple[Stored, ...]
Verb = Literal["upsert", "update", "delete"]

_CHUNK = 100  # keys asked for in one statement


class Op(NamedTuple):
    """One change in stored form: `key` is project and key columns, `values` the other columns."""

    shape: Shape
    verb: Verb
    key: Key
    values: dict[str, Stored]
    seq: int


class Shape:
    """A projection with its table: how its values are stored and read back."""

    def __init__(self, projection: Projection, upcasts: Upcasts = NONE) -> None:
        self.projection = projection
        self.upcasts = {kind: upcasts[kind] for kind in projection.kinds if kind in upcasts}
        self.name, self.history = projection.name, projection.history
        self.table: Table = projection_table(projection)
        self.types: dict[str, ColumnType] = {column.name: column.type for column in projection.columns}
        self._stores = {column.name: _STORES[column.type] for column in projection.columns}
        self.key = projection.key
        self.key_columns = ("project", *projection.key)
        self.columns: tuple[str, ...] = tuple(column.name for column in self.table.columns)
        self.identity = (*self.key_columns, "valid_from") if self.history else self.key_columns

    def ops(self, fact: Fact) -> Iterator[Op]:
        """What `fact` changes; a malformed change is an `InputError` naming the projection."""
        for change in self.projection.apply(upcast(fact, self.upcasts)):
            match change:
                case Upsert(row):
                    yield self._upsert(fact, row)
                case Update(key, values):
                    yield Op(self, "update", self._keyed(fact, key, values), self._stored(values), fact.seq)
                case Delete(key):
                    yield Op(self, "delete", self._keyed(fact, key, {}), {}, fact.seq)

    def _upsert(self, fact: Fact, row: Mapping[str, JSON]) -> Op:
        values = self._stored(row)
        key = (fact.project, *[values.pop(name, None) for name in self.key])
        return Op(self, "upsert", self._whole(fact, key), values, fact.seq)

    def _keyed(self, fact: Fact, key: Mapping[str, JSON], values: Mapping[str, JSON]) -> Key:
        wrong = [name for name in key if name not in self.key] + [name for name in values if name in self.key]
        if wrong:
            raise self._malformed(f"fact '{fact.kind}' gives no full key ({wrong[0]})")
        return self._whole(fact, (fact.project, *[self.stored(name, key.get(name)) for name in self.key]))

    def _whole(self, fact: Fact, key: Key) -> Key:
        if None in key:
            raise self._malformed(f"fact '{fact.kind}' gives no full key ({self.key_columns[key.index(None)]})")
        return key

    def _stored(self, values: Mapping[str, JSON]) -> dict[str, Stored]:
        try:
            stores = self._stores
            return {name: stores[name](value) for name, value in values.items()}
        except (KeyError, _Unfit):  # once more, slower, with the name of the one that does not fit
            return {name: self.stored(name, value) for name, value in values.items()}

    def stored(self, column: str, value: JSON) -> Stored:
        """A value as its column stores it: JSON as canonical text, bool as 0 or 1."""
        try:
            return self._stores[column](value)
        except KeyError:
            raise unknown(f"column of {self.name}", column, self.types, code="column-unknown") from None
        except _Unfit:
            what = f"the {self.types[column]} column '{column}' cannot hold a {type(value).__name__} like this one"
            raise self._malformed(what) from None

    def read(self, stored: Sequence[object], columns: Sequence[str]) -> Row:
        """A stored row, which has these columns, as its reader sees it."""
        return {name: self._value(name, value) for name, value in zip(columns, stored, strict=True) if name != "project"}

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


class _Unfit(Exception):
    """A value that its column cannot hold."""


def _text(value: JSON) -> Stored:
    if value is None or (isinstance(value, str) and "\x00" not in value):
        return value
    raise _Unfit


def _int(value: JSON) -> Stored:
    if value is None or (isinstance(value, int) and not isinstance(value, bool) and -(2**63) <= value < 2**63):
        return value
    raise _Unfit


def _real(value: JSON) -> Stored:
    if value is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < float("inf"):
        return float(value)
    raise _Unfit


def _bool(value: JSON) -> Stored:
    if value is None or isinstance(value, bool):
        return None if value is None else int(value)
    raise _Unfit


def _json(value: JSON) -> Stored:
    return None if value is None else canonical_json(value)


_STORES: dict[ColumnType, Callable[[JSON], Stored]] = {"text": _text, "int": _int, "real": _real, "bool": _bool, "json": _json}


class Shapes:
    """All projections a process knows, by name and by the kinds of fact they are read from."""

    def __init__(self, projections: Iterable[Projection], upcasts: Upcasts = NONE) -> None:
        self.upcasts = upcasts
        self.by_name: dict[str, Shape] = {}
        self.by_kind: dict[str, list[Shape]] = {}
        for projection in projections:
            if projection.name in self.by_name:
                raise InputError(f"Two projections are called '{projection.name}'.", code="projection-malformed")
            shape = self.by_name[projection.name] = Shape(projection, upcasts)
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
            yield (*key, *map(row.get, names))


class Applier:
    """Writes changes to a database: what has the same statement goes in one call."""

    def __init__(self, cursor: Cursor, mark: str) -> None:
        self._cursor, self._mark = cursor, mark

    def apply(self, ops: Sequence[Op]) -> None:
        for batch in _batches((op for op in ops if not op.shape.history), self._mark):
            self._run(batch.sql, batch.rows)
            if batch.rows and self._cursor.rowcount != len(batch.rows):
                self._check_missed(batch)
        for shape in dict.fromkeys(op.shape for op in ops if op.shape.history):
            self._apply_history(shape, [op for op in ops if op.shape is shape])

    def insert(self, shape: Shape, rows: Iterable[tuple[Stored, ...]]) -> None:
        """Whole rows in table order, as a replay gives them."""
        sql, left = _insert(shape.name, shape.columns, self._mark), iter(rows)
        while page := list(islice(left, 5000)):
            self._run(sql, page)
            check_took(self._cursor, len(page), shape.table.name)

    def _check_missed(self, batch: Batch) -> None:
        """A row that is not there is neither changed nor deleted, which is right; one that is there as it was is not."""
        shape, size = batch.shape, len(batch.shape.key_columns)
        older = f" AND seq < {self._mark}" if batch.verb == "update" else ""
        sql = f"SELECT 1 FROM {shape.table.name} WHERE {_where(shape.key_columns, self._mark)}{older}"
        for row in batch.rows:
            key, seq = tuple(row[-size:]), tuple(row[-size - 1 : -size]) if older else ()
            if batch.verb == "upsert" or self._finds(sql, (*key, *seq)):
                raise swallowed(shape.table.name)

    def _finds(self, sql: str, values: Values) -> bool:
        self._cursor.execute(sql, values)
        return self._cursor.fetchone() is not None

    def _run(self, sql: str, rows: Sequence[Values]) -> None:
        if len(rows) == 1:
            self._cursor.execute(sql, rows[0])
        elif rows:
            self._cursor.executemany(sql, rows)

    def _apply_history(self, shape: Shape, ops: Sequence[Op]) -> None:
        """The open rows of these keys are replayed on in memory, and what that made of them is written back."""
        replayed, size = Replayed([shape]), len(shape.key_columns)
        opened = self._open_rows(shape, list(dict.fromkeys(op.key for op in ops)))
        there = {(*key, row["valid_from"]) for key, row in opened.items()}
        replayed.current[shape.name] = opened
        replayed.add(ops)
        rows = [((*row[:size], row[-2]), row) for row in replayed.rows(shape)]  # the last two columns are valid_from, valid_to
        closed = [(row[-1], *identity) for identity, row in rows if identity in there and row[-1] is not None]
        if closed:
            self._run(_update(shape.name, ("valid_to",), shape.identity, self._mark), closed)
            check_took(self._cursor, len(closed), shape.table.name)
        self.insert(shape, (row for identity, row in rows if identity not in there))

    def _open_rows(self, shape: Shape, keys: Sequence[Key]) -> dict[Key, dict[str, Stored]]:
        names, size = shape.columns[len(shape.key_columns) :], len(shape.key_columns)
        found: dict[Key, dict[str, Stored]] = {}
        for start in range(0, len(keys), _CHUNK):
            chunk = keys[start : start + _CHUNK]
            self._cursor.execute(
                _select_open(shape.name, shape.columns, size, len(chunk), self._mark),
                [value for key in chunk for value in (*key, *key)],
            )
            found.update((tuple(row[:size]), dict(zip(names, row[size:], strict=True))) for row in self._cursor.fetchall())
        return found


class Batch(NamedTuple):
    """The rows of one statement."""

    sql: str
    shape: Shape
    verb: Verb
    rows: list[Values]


def _batches(ops: Iterable[Op], mark: str) -> list[Batch]:
    """The changes of projections without history by statement; those of one row stay in their order."""
    batches: list[Batch] = []
    newest: dict[str, int] = {}  # of a statement: its last batch
    reached: dict[tuple[str, Key], int] = {}  # of a row: the batch of its last change
    for op in ops:
        sql, row = _statement(op.shape.name, op.verb, op.shape.key_columns, tuple(op.values), mark), (op.shape.name, op.key)
        at = newest.get(sql, -1)
        if at < reached.get(row, 0):
            at = newest[sql] = len(batches)
            batches.append(Batch(sql, op.shape, op.verb, []))
        batches[at].rows.append(_bound(op))
        reached[row] = at
    return batches


def _bound(op: Op) -> Values:
    """The values of an op in the order of the marks of its statement."""
    if op.verb == "delete":
        return op.key
    return (*op.key, *op.values.values(), op.seq) if op.verb == "upsert" else (*op.values.values(), op.seq, *op.key)


@lru_cache(4096)
def _statement(name: str, verb: Verb, keys: tuple[str, ...], values: tuple[str, ...], mark: str) -> str:
    """The SQL of a change to a projection without history."""
    if verb == "delete":
        return f"DELETE FROM p_{name} WHERE {_where(keys, mark)}"
    if verb == "update":
        return _update(name, (*values, "seq"), keys, mark)
    sets = ", ".join(f'"{column}" = excluded."{column}"' for column in (*values, "seq"))
    return f"{_insert(name, (*keys, *values, 'seq'), mark)} ON CONFLICT ({_names(keys)}) DO UPDATE SET {sets}"


@lru_cache(512)
def _select_open(name: str, columns: tuple[str, ...], size: int, count: int, mark: str) -> str:
    # A list of row values would be shorter, and makes SQLite read the whole table. An open row is its key's newest: asked for
    # by the end of the primary key, it is found in one step, however many versions the key has had.
    newest = f"valid_from = (SELECT max(valid_from) FROM p_{name} WHERE {_where(columns[:size], mark)})"
    anyone = " OR ".join([f"({_where(columns[:size], mark)} AND {newest})"] * count)
    return f"SELECT {_names(columns)} FROM p_{name} WHERE ({anyone}) AND valid_to IS NULL"


def _update(name: str, values: Iterable[str], keys: Iterable[str], mark: str) -> str:
    sets = ", ".join(f'"{column}" = {mark}' for column in values)
    return f"UPDATE p_{name} SET {sets} WHERE {_where(keys, mark)}"


def _insert(name: str, columns: Sequence[str], mark: str) -> str:
    return f"INSERT INTO p_{name} ({_names(columns)}) VALUES ({', '.join([mark] * len(columns))})"


def _where(names: Iterable[str], mark: str) -> str:
    return " AND ".join(f'"{name}" = {mark}' for name in names)


def _names(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
