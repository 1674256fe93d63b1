"""DuckDB: a relation of the process's default connection, so that `duckdb.sql("select ... from rows")` finds it by its name.

The connection is set to one thread and to UTC: the same rows give the same sums and the same days on every machine. Order is
SQL's own: end a query with `order by`.
"""

from __future__ import annotations

from typing import Any

import duckdb
import polars as pl

from werk.core.errors import InputError
from werk.workflow.faces import arrow, check_shape, lossy

_TEXT = "Cast it in SQL, such as ::VARCHAR."
_WITHOUT = {
    "uuid": ("a UUID would become a text", _TEXT),
    "bit": ("bits would become bytes", _TEXT),
    "interval": ("polars has no interval of months and days", "Make it a number, such as epoch(...)."),
    "time with time zone": ("polars has no times of day with a zone", "Cast it to TIME."),
    "union": ("polars has no union", "Take one member of it."),
    "map": ("a map would become a list of pairs", "Make it a list of structs: map_entries(...)."),
    "bignum": ("polars has no integers of any size", _TEXT),
    "geometry": ("polars has no geometry", _TEXT),
    "variant": ("polars has no variant", _TEXT),
}
_HUGE = ("hugeint", "uhugeint")
_LIMIT = 10**38  # DuckDB hands a HUGEINT over as a decimal of 38 digits


def to_polars(value: Any) -> pl.DataFrame:
    """The relation's rows, in its order. HUGEINT, which sums of integers are, is a decimal without decimals."""
    check_shape(value.columns, 1)
    for name, kind in zip(value.columns, value.types, strict=True):
        _check(name, kind, False)
    table = value.to_arrow_table()
    columns = zip(value.columns, value.types, strict=True)
    return pl.DataFrame([_taken(name, kind, table[place]) for place, (name, kind) in enumerate(columns)])


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    connection = duckdb.default_connection()
    connection.execute("SET threads = 1; SET TimeZone = 'UTC'")
    for column in frame.iter_columns():
        if problem := _unknown(column.dtype):
            raise lossy(column.name, *problem)
    if not frame.columns:
        raise InputError("DuckDB has no relation without columns.", code="value-lossy", hint="Return at least one column.")
    rows = connection.from_arrow(arrow.from_polars(frame, None)).project(_typed(frame))
    back = to_polars(rows.limit(0)).schema
    for name, kind in frame.schema.items():
        if back[name] != kind:
            raise lossy(name, f"{kind} would come back as {back[name]}", f"Cast it to {back[name]}, or take pl.DataFrame.")
    return rows


def _typed(frame: pl.DataFrame) -> str:
    """The columns as they are, with the list of an `Enum` given back, which Arrow's encoding does not carry to DuckDB."""
    return ", ".join(f"{_name(name)}{_as_enum(kind)} AS {_name(name)}" for name, kind in frame.schema.items())


def _as_enum(kind: pl.DataType) -> str:
    return f"::ENUM({', '.join(map(_text, kind.categories.to_list()))})" if isinstance(kind, pl.Enum) else ""


def _name(text: str) -> str:
    return '"' + text.replace('"', '""') + '"'


def _text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _unknown(kind: pl.DataType) -> tuple[str, str] | None:
    for part in arrow.types_in(kind):
        if isinstance(part, pl.Duration):
            return "DuckDB's intervals count months and days", "Make it a number: .dt.total_microseconds()."
        if isinstance(part, pl.Categorical):
            return "DuckDB has no categories without a list", "Cast it to String or to an Enum."
        if isinstance(part, pl.Datetime) and part.time_zone not in (None, "UTC"):
            return "DuckDB keeps the instant, not the zone", 'Convert it to UTC: .dt.convert_time_zone("UTC").'
        if part == pl.Float16:
            return "DuckDB has no Float16", "Cast it to Float32."
    return None


def _check(name: str, kind: Any, below: bool) -> None:
    if problem := _WITHOUT.get(kind.id):
        raise lossy(name, *problem)
    if below and kind.id in ("enum", *_HUGE):
        raise lossy(name, f"{kind.id.upper()} inside another type would become one of Arrow's", "Cast it in SQL first.")
    if kind.id in ("list", "array", "struct"):
        for part in (part for _, part in kind.children if hasattr(part, "id")):
            _check(name, part, True)


def _taken(name: str, kind: Any, column: Any) -> pl.Series:
    made = arrow.column_to_polars(name, column)
    if kind.id == "enum":
        return made.cast(pl.Enum(kind.children[0][1]))
    if kind.id in _HUGE and (made.cast(pl.Int128).abs() >= _LIMIT).any():
        raise lossy(name, "it has integers of more than 38 digits", _TEXT)
    return made.cast(_in_utc(made.dtype))


def _in_utc(kind: Any) -> Any:
    """DuckDB keeps instants; the zone they are shown in is the connection's."""
    if isinstance(kind, pl.Datetime):
        return pl.Datetime(kind.time_unit, "UTC" if kind.time_zone else None)
    if isinstance(kind, pl.List):
        return pl.List(_in_utc(kind.inner))
    if isinstance(kind, pl.Array):
        return pl.Array(_in_utc(kind.inner), kind.size)
    if isinstance(kind, pl.Struct):
        return pl.Struct({field.name: _in_utc(field.dtype) for field in kind.fields})
    return kind
