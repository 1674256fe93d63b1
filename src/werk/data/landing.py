"""Source rows become a raw table: those that break a required rule go to quarantine, with the rule's name."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import polars as pl

from werk.core.canonical import JSON, sha256_hex
from werk.core.errors import InputError, Refused
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.data import csv_text
from werk.data.contracts import Contract, Rule, Severity, conform, marks
from werk.data.names import PREDICTIONS, QUARANTINE, check_table
from werk.data.tables import latest, scan
from werk.data.versions import catch_up, commit, known

RULE = "_rule"

_READERS: Mapping[str, Callable[[str, bytes], pl.DataFrame]] = {
    ".parquet": lambda _, data: pl.read_parquet(data),
    ".csv": csv_text.read,
    ".jsonl": lambda _, data: pl.read_ndjson(data),
}


@dataclass(frozen=True, slots=True)
class Check:
    """One rule over one landing: `broken` of `rows` break it."""

    rule: str
    column: str
    severity: Severity
    broken: int
    rows: int
    sentence: str


@dataclass(frozen=True, slots=True)
class Landing:
    """rows_in == rows_landed + rows_quarantined. `unchanged`: source and contract were landed before, nothing was written."""

    table: str
    version: int
    rows_in: int
    rows_landed: int
    rows_quarantined: int
    quarantine: Snapshot | None
    checks: tuple[Check, ...]
    unchanged: bool
    sha256: str


def land(p: Platform, table: str, source: Path | pl.DataFrame, *, contract: Contract | None = None) -> Landing:
    """Replace the table by the source's good rows. Landing the same source under the same contract again changes nothing."""
    check_table(table)
    _check_landed(p, table)
    if contract is not None and contract.table != table:
        raise InputError(
            f"The contract is for {contract.table}, not {table}.", code="contract-table", hint="Name the table it is for."
        )
    frame, origin = _read(source)
    notes = {"source_sha256": str(origin["sha256"]), "contract_sha256": contract.sha256 if contract else ""}
    notes["references"] = ",".join(f"{name}@{latest(p, name)}" for name in (contract.references if contract else ()))
    notes["project"] = p.project.id  # a commit of somebody else is never taken for one's own
    for written in (table, f"{table}{QUARANTINE}"):
        catch_up(p, written)
    before = _landed(p, table, notes)
    if before is not None:
        return before
    good, bad, checks = _judged(p, contract, frame)
    _check_some_good(table, good, bad, checks)
    held = _quarantine(p, table, bad, notes)
    body = _body(table, good, held, checks, len(frame), origin, contract, notes)
    version = commit(p, table, good, body, notes=notes)
    return Landing(table, version, len(frame), len(good), len(bad), held, checks, False, notes["source_sha256"])


def _check_some_good(table: str, good: pl.DataFrame, bad: pl.DataFrame, checks: Sequence[Check]) -> None:
    """A delivery that is bad from its first row to its last replaces nothing: it would empty the table."""
    if len(good) or not len(bad):
        return
    broken = ", ".join(f"{check.rule} ({check.broken:,})" for check in checks if check.severity == "required" and check.broken)
    raise Refused(
        f"Every one of the {len(bad):,} rows for {table} breaks a required rule: {broken}. Nothing was landed.",
        code="rows-all-broken",
        hint="Have the source mended and land it again, or change the rules in the contract.",
    )


def _check_landed(p: Platform, table: str) -> None:
    """A table is landed or written by steps, never both: rows of a file would pass for what a step has made."""
    made = p.journal.rows("table_versions", {"table": table, "operation": ["append", "replace"]}, limit=1)
    if table == PREDICTIONS or made:
        hint = "Land the file under another name, in the zone raw."
        raise InputError(f"'{table}' is written by steps, so no file can be landed there.", code="table-of-steps", hint=hint)


def read_file(source: Path) -> tuple[pl.DataFrame, str]:
    """The rows of a Parquet, CSV or JSON-lines file, and its name with the hash of its bytes."""
    frame, origin = _read(source)
    return frame, f"{origin['name']}#{str(origin['sha256'])[:12]}"


def _read(source: Path | pl.DataFrame) -> tuple[pl.DataFrame, dict[str, JSON]]:
    if isinstance(source, pl.DataFrame):
        data = source.write_ipc(None).getvalue()
        return source, {"name": "frame", "sha256": sha256_hex(data), "size_bytes": len(data)}
    data = _bytes(source)
    return _parsed(source, data), {"name": _told(source.name), "sha256": sha256_hex(data), "size_bytes": len(data)}


def _bytes(source: Path) -> bytes:
    """All of a file at once, as it was before and after: half of one and half of the next is nobody's file."""
    try:
        before = _regular(source)
        data = source.read_bytes()
        after = source.stat()
    except FileNotFoundError:
        raise InputError(f"There is no file {source}.", code="source-missing", hint="Check its path.") from None
    except OSError as closed:
        raise InputError(f"{source} cannot be read: {closed.strerror}.", code="source-unreadable", hint="Check it.") from None
    if _identity(before) != _identity(after):
        hint = "Land it again when whoever writes it is done."
        raise InputError(f"{source} changed while it was read.", code="source-changing", hint=hint)
    return data


def _regular(source: Path) -> os.stat_result:
    """A pipe or a device would be waited for, or read for ever."""
    found = source.stat()
    if not stat.S_ISREG(found.st_mode):
        kind = "a folder" if stat.S_ISDIR(found.st_mode) else "a pipe, a socket or a device"
        raise InputError(f"{source} is no file but {kind}.", code="source-unreadable", hint="Give a regular file.")
    return found


def _identity(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


def _told(name: str) -> str:
    """A file name of another encoding as text: bytes that are no UTF-8 are written \\xff."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _parsed(source: Path, data: bytes) -> pl.DataFrame:
    kind = source.suffix.lower()
    if kind not in _READERS:
        raise InputError(
            f"{source.name} is none of the known kinds.", code="source-kind", hint=f"Give a file ending in {', '.join(_READERS)}."
        )
    if not data or data.isspace():
        raise InputError(f"{source.name} is empty.", code="source-empty", hint="Ask for it again from whoever writes it.")
    try:
        return _READERS[kind](source.name, data)
    except (pl.exceptions.PolarsError, OSError) as damaged:
        first = str(damaged).splitlines()[0]
        raise InputError(
            f"{source.name} cannot be read as {source.suffix[1:]}: {first}.",
            code="source-damaged",
            hint="Fetch it again: it may be cut.",
        ) from None


def _judged(p: Platform, contract: Contract | None, frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame, tuple[Check, ...]]:
    """Good rows, bad rows with the names of the required rules they break, and what every rule found: one pass."""
    if contract is None:
        return frame, frame.clear().with_columns(pl.lit("").alias(RULE)), ()
    if RULE in frame.columns:
        raise InputError(
            f"The data has a column '{RULE}', the quarantine's own.", code="column-reserved", hint="Rename it in the source."
        )
    typed = conform(contract, frame)
    others = {name: scan(p, name).collect() for name in contract.references}
    marked = marks(contract, typed, others)
    checks = tuple(
        Check(
            rule.name,
            rule.columns[0],
            rule.severity,
            (n := int(marked[str(at)].sum())),
            len(frame),
            _sentence(rule.name, n, len(frame)) + _nameless(rule, typed),
        )
        for at, rule in enumerate(contract.rules)
        if not rule.implied or marked[str(at)].any()
    )
    names = [pl.when(pl.col(str(at))).then(pl.lit(r.name)) for at, r in enumerate(contract.rules) if r.severity == "required"]
    if not names:
        return typed, typed.clear().with_columns(pl.lit("").alias(RULE)), checks
    why = marked.select(pl.concat_str(names, separator="; ", ignore_nulls=True).alias(RULE))
    rows = typed.with_columns(why[RULE])
    return rows.filter(pl.col(RULE) == "").drop(RULE), rows.filter(pl.col(RULE) != ""), checks


def _sentence(rule: str, broken_rows: int, rows: int) -> str:
    share = f" ({100 * broken_rows / rows:.1f} %)" if rows else ""
    return f"{rule}: {broken_rows:,} of {rows:,} rows break it{share}" if broken_rows else f"{rule}: all {rows:,} rows keep it"


def _nameless(rule: Rule, frame: pl.DataFrame) -> str:
    """Of the rows that refer to nothing there is, those that name nothing: a gap in them, not in the table they refer to."""
    n = frame[rule.columns[0]].null_count() if rule.kind == "reference" else 0
    return f", {n:,} of them name{'s' if n == 1 else ''} nothing" if n else ""


def _quarantine(p: Platform, table: str, bad: pl.DataFrame, notes: Mapping[str, str]) -> Snapshot | None:
    name = f"{table}{QUARANTINE}"
    if bad.is_empty() and known(p, name) is None:
        return None
    return Snapshot(name, _held(p, name, bad, notes))


def _held(p: Platform, table: str, frame: pl.DataFrame, notes: Mapping[str, str]) -> int:
    """Committed once: after a kill before the landing's own commit the next try finds its own version."""
    version = p.table_store.version(table)
    if version is not None and p.table_store.history(table, after=version - 1)[-1].notes == dict(notes):
        return version
    return p.table_store.write(table, frame, mode="replace", notes=notes)


def _body(
    table: str,
    good: pl.DataFrame,
    held: Snapshot | None,
    checks: Sequence[Check],
    rows_in: int,
    origin: Mapping[str, JSON],
    contract: Contract | None,
    notes: Mapping[str, str],
) -> dict[str, JSON]:
    return {
        "table": table,
        "zone": table.partition(".")[0],
        "operation": "land",
        "rows": len(good),
        "rows_in": rows_in,
        "quarantined": rows_in - len(good),
        "quarantine": str(held) if held else None,
        "source": dict(origin),
        "schema": {name: str(dtype) for name, dtype in good.schema.items()},
        "contract_sha256": contract.sha256 if contract else None,
        "owner": contract.owner if contract else None,
        "checks": [asdict(check) for check in checks],
        "notes": dict(notes),
    }


def _landed(p: Platform, table: str, notes: Mapping[str, str]) -> Landing | None:
    newest = known(p, table)
    rows = p.journal.rows("table_versions", {"table": table}, order=("-version",), limit=1)
    if not rows or rows[0]["notes"] != dict(notes) or rows[0]["version"] != newest:
        return None
    row: dict[str, object] = dict(rows[0])
    held, checks = row["quarantine"], row["checks"]
    assert isinstance(checks, list)
    counts = [row[name] for name in ("version", "rows_in", "rows", "quarantined")]
    version, rows_in, landed, quarantined = (int(str(count)) for count in counts)
    snapshot = Snapshot.parse(str(held)) if held else None
    found = tuple(Check(**check) for check in checks)
    return Landing(table, version, rows_in, landed, quarantined, snapshot, found, True, notes["source_sha256"])
