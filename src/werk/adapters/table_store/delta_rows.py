"""What Delta Lake makes of rows: the types it keeps, what a commit says of itself, and whether the files are whole."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast
from urllib.parse import unquote

import polars as pl
from deltalake import CommitProperties, DeltaTable, Transaction

from werk.adapters.table_store.delta import NOTE, damaged
from werk.core.errors import InputError

_STORED_AS: dict[pl.DataType, pl.DataType] = {
    pl.UInt8(): pl.Int16(),
    pl.UInt16(): pl.Int32(),
    pl.UInt32(): pl.Int64(),
}
_KEPT_AS = (
    pl.Boolean,
    pl.Int8,
    pl.Int16,
    pl.Int32,
    pl.Int64,
    pl.Float32,
    pl.Float64,
    pl.Decimal,
    pl.String,
    pl.Binary,
    pl.Date,
)


class LocalTable(DeltaTable):
    """Names its files as the disk does: the library writes `a b` as `a%20b`, which no reader of ours could open."""

    def file_uris(self, *given: Any, **named: Any) -> list[str]:
        written = self.table_uri.removeprefix("file://").rstrip("/")
        return [unquote(written) + uri.removeprefix(written) for uri in super().file_uris(*given, **named)]


def storable(table: str, frame: pl.DataFrame) -> pl.DataFrame:
    if not frame.width:
        raise InputError(f"The rows for '{table}' have no columns.", code="columns-missing", hint="Give at least one column.")
    seen: dict[str, str] = {}
    for name in frame.columns:
        if (twin := seen.setdefault(name.lower(), name)) != name:
            raise InputError(
                f"Columns '{twin}' and '{name}' differ in case only, which Delta takes for one.",
                code="column-ambiguous",
                hint="Rename one of them.",
            )
    return frame.cast({name: _stored_as(name, dtype) for name, dtype in frame.schema.items()})


def _stored_as(name: str, dtype: pl.DataType) -> pl.DataType:
    """What Delta reads back for the type; one it would lose, cast silently or cannot hold is an `InputError`."""
    match dtype:
        case pl.Datetime():
            return pl.Datetime("us", "UTC" if dtype.time_zone else None)
        case pl.List() | pl.Array():
            return pl.List(_stored_as(name, cast("pl.DataType", dtype.inner)))
        case pl.Struct():
            return pl.Struct({part.name: _stored_as(name, cast("pl.DataType", part.dtype)) for part in dtype.fields})
        case pl.Categorical() | pl.Enum():
            return pl.String()
        case _ if dtype in _STORED_AS or isinstance(dtype, _KEPT_AS):
            return _STORED_AS.get(dtype, dtype)
    raise InputError(
        f"Column '{name}' is {dtype}, which Delta lacks.", code="type-unstorable", hint="Cast it, to Int64 or String perhaps."
    )


def check_fits(table: str, frame: pl.DataFrame, present: DeltaTable) -> None:
    stored = pl.scan_delta(present).collect_schema()
    for name in [*stored, *frame.columns]:
        had, given = stored.get(name), frame.schema.get(name)
        if had != given:
            raise InputError(
                f"Column '{name}' of '{table}' is {had or 'absent'} and the new rows have {given or 'no such column'}.",
                code="schema-mismatch",
                hint="Cast or rename the column, or replace the table.",
            )


def properties(once: tuple[str, int] | None, notes: Mapping[str, str] | None) -> CommitProperties:
    return CommitProperties(
        custom_metadata={f"{NOTE}{k}": v for k, v in (notes or {}).items()},
        # Delta's own retry would commit on a snapshot whose app transactions nobody compared.
        max_commit_retries=0,
        app_transactions=[Transaction(*once)] if once else None,
    )


def check_whole(table: str, folder: str, present: DeltaTable) -> None:
    """Every file as long as the log says: reading a cut one would end in a panic of the reader, not in an error."""
    added = pl.DataFrame(present.get_add_actions())
    for path, size in added.select("path", "size_bytes").iter_rows():
        file = Path(folder, unquote(path))
        found = file.stat().st_size if file.exists() else None
        if found != size:
            raise damaged(table, f"{file.name} has {found} of {size} bytes" if found is not None else f"{file.name} is gone")
