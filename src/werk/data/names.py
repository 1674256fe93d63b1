"""What a table may be called: a name every file system and every query takes, and that nothing else has."""

from __future__ import annotations

import re

from werk.core.errors import InputError

QUARANTINE = "_quarantine"
LONGEST = 80
# Whoever asks a prediction for its lineage must be able to rely on it: nothing but batch inference writes there.
PREDICTIONS = "product.predictions"
_PART = re.compile(r"[a-z][a-z0-9_-]*")
# Windows takes these for devices, whatever the folder.
_DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})
# `werk sql` has tables of its own there, and DuckDB has.
_SCHEMAS = frozenset({"journal", "information_schema", "pg_catalog", "system", "temp", "memory"})


def check_table(table: str) -> str:
    """The name of a table somebody writes: zone.table, lower-case ASCII, so that no two differ in case or accents only."""
    zone, _, name = table.partition(".")
    if not _PART.fullmatch(zone) or not _PART.fullmatch(name):
        raise InputError(f"'{_short(table)}' is not a table name.", code="name-malformed", hint=_HOW)
    if max(len(zone), len(name)) > LONGEST:
        raise InputError(
            f"The table name '{_short(table)}' is longer than {LONGEST} characters.", code="name-malformed", hint=_HOW
        )
    for device in sorted(_DEVICES & {zone, name}):
        raise _reserved(table, f"Windows keeps '{device}' for a device")
    if zone in _SCHEMAS:
        raise _reserved(table, f"'{zone}' is a schema of `werk sql` itself")
    if name.endswith(QUARANTINE):
        raise _reserved(table, f"what ends in '{QUARANTINE}' holds the refused rows of another table")
    return table


_HOW = f"Write zone.table, e.g. raw.flights: letters a-z, digits, '-' and '_', each part at most {LONGEST} characters."


def _reserved(table: str, why: str) -> InputError:
    return InputError(f"'{table}' cannot be a table: {why}.", code="name-reserved", hint="Choose another name.")


def _short(table: str) -> str:
    return table if len(table) <= 60 else f"{table[:60]}..."
