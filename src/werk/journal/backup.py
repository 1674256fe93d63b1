"""A journal as plain files: one JSON line per fact and point, readable without werk, restored into either kind of database."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from werk.core.canonical import canonical_json
from werk.core.errors import InputError, Tampered
from werk.core.journal import Head
from werk.journal import lines, places
from werk.journal.chain import GENESIS
from werk.journal.database import connect
from werk.journal.heads import heads_file, signed_in
from werk.journal.schema import created
from werk.journal.sql import SqlJournal
from werk.journal.tables import FACTS, POINTS, SCHEMA

_CHUNK = 1000
_FILES: tuple[tuple[str, Table], ...] = (("facts.jsonl", FACTS), ("points.jsonl", POINTS))


def backup(journal: SqlJournal, target_dir: Path) -> Head:
    """Write every project's facts and points, and the signed heads, from one moment; returns the head backed up.

    Leases and projections are left out: the first end with their holders, the second are replayed.
    """
    if target_dir.exists() and any(target_dir.iterdir()):
        raise InputError(f"The folder {target_dir} is not empty.", code="backup-exists", hint="Name a new folder.")
    target_dir.mkdir(parents=True, exist_ok=True)
    with journal.database.snapshot() as connection:
        for name, table in _FILES:
            _write_lines(target_dir / name, _lines(connection, table))
        head = _last(connection)
    _copy_heads(signed_in(journal), heads_file(target_dir / "heads", journal.id), head.seq)
    # Written last: a folder without it is an unfinished backup.
    about = {"schema": SCHEMA, "journal": journal.id, "seq": head.seq, "hash": head.hash}
    _write_lines(target_dir / "journal.json", [canonical_json(about)])
    return head


def restore(
    target_dir: Path, url: str, *, heads_dir: Path | None = None, project: str | None = None, address: str | None = None
) -> Head:
    """Fill an empty database from a backup, all hashes kept; the next `open_journal` replays the projections.

    A database that holds exactly this backup is left as it is: a restore that was killed is tried again. With `project` it is
    remembered in `heads_dir` that this journal lies here from now on, or at the `address` to which it will be moved.
    """
    about = _about(target_dir)
    database = connect(url)
    try:
        meta = created(database, str(about["journal"]))
        with database.writing() as connection:
            there = _last(connection)
            if meta["journal"] == about["journal"] and there == Head(about["seq"], about["hash"]):
                return there
            if meta["journal"] != about["journal"] or there.seq:
                raise InputError("There is already a journal at this URL.", code="journal-exists", hint="Use an empty one.")
            for name, table in _FILES:
                _load(connection, table, target_dir / name)
            head = _last(connection)
            if head != Head(about["seq"], about["hash"]):
                raise Tampered("The backup's facts do not end where it says.", code="backup-damaged", hint="Use another backup.")
    finally:
        database.close()
    if heads_dir is not None:
        _place(target_dir, heads_dir, str(about["journal"]), project, address or database.address, head)
    return head


def _place(target_dir: Path, heads_dir: Path, journal: str, project: str | None, address: str, head: Head) -> None:
    """The heads of the backup count at the new place; a living copy of the journal keeps its own."""
    target = heads_file(heads_dir, journal)
    target = heads_dir / places.own_name(journal, address) if target.exists() else target
    _copy_heads(heads_file(target_dir / "heads", journal), target, head.seq)
    if project is not None:
        places.restored(heads_dir, address, project, journal, target.name, head)


def _last(connection: Connection) -> Head:
    last = connection.execute(select(FACTS.c.seq, FACTS.c.hash).order_by(FACTS.c.seq.desc()).limit(1)).first()
    return Head(last.seq, last.hash) if last else Head(0, GENESIS)


def _about(target_dir: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = json.loads((target_dir / "journal.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as wrong:
        raise InputError(
            f"There is no complete backup in {target_dir}.", code="backup-unknown", hint="Name the folder `backup` wrote."
        ) from wrong
    if about["schema"] != SCHEMA:
        raise InputError(
            f"The backup has schema {about['schema']}, known is {SCHEMA}.", code="journal-newer", hint="Upgrade werk."
        )
    return about


def _lines(connection: Connection, table: Table) -> Iterator[str]:
    order = next(iter(table.primary_key.columns))
    rows = connection.execution_options(yield_per=_CHUNK).execute(select(table).order_by(order)).mappings()
    for row in rows:
        yield canonical_json({name: value.hex() if isinstance(value, bytes) else value for name, value in row.items()})


def _load(connection: Connection, table: Table, path: Path) -> None:
    with path.open(encoding="utf-8", newline="\n") as file:
        rows = map(_row, file)
        while chunk := list(islice(rows, _CHUNK)):
            connection.execute(insert(table), chunk)


def _row(line: str) -> dict[str, Any]:
    row: dict[str, Any] = json.loads(line)
    if row.get("salt") is not None:
        row["salt"] = bytes.fromhex(row["salt"])
    row.pop("id", None)
    return row


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(line + "\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())


def _copy_heads(source: Path | None, target: Path, seq: int) -> None:
    """Only heads of facts that are in the backup: a later one, signed while it was made, would look like a cut tail."""
    if source is not None and source.exists():
        target.parent.mkdir(parents=True, exist_ok=True)
        _write_lines(target, [line for line in lines.read(source) if _within(lines.fields(line), seq)])


def _within(head: Mapping[str, object], seq: int) -> bool:
    found = head.get("seq")
    return isinstance(found, int) and found <= seq
