"""Which versions of a table the journal tells of, and how a commit becomes one: in order, and never somebody else's.

A commit carries in its notes what its fact will say. So whoever writes next can tell of one whose writer was killed before it
could, and facts come in the order of versions. What others have put into the store is never told of, and nothing is built on it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, cast

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import Refused
from werk.core.journal import NewFact
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.ports.table_store import TableVersion
from werk.data import contents
from werk.data.names import QUARANTINE

if TYPE_CHECKING:
    import polars as pl

APPEND = "append"
_PROJECT, _FACT = "project", "fact"


def told(p: Platform, table: str, limit: int | None = None) -> list[int]:
    """The versions in the journal, newest first; a quarantine's are told by the landings of its table."""
    own = p.journal.rows("table_versions", {"table": table}, order=("-version",), limit=limit)
    if own or not table.endswith(QUARANTINE):
        return [cast("int", row["version"]) for row in own]
    landings = p.journal.rows("table_versions", {"table": table.removesuffix(QUARANTINE)}, order=("-version",))
    held = [Snapshot.parse(str(row["quarantine"])).version for row in landings if row["quarantine"]]
    return held[:limit]


def known(p: Platform, table: str) -> int | None:
    """The newest version that this project's journal tells of and its store has.

    None for what somebody else put into the store, and for a commit that nobody has told of yet.
    """
    present = p.table_store.version(table)
    if present is None:
        return None
    newest = told(p, table, limit=1)
    if newest and newest[0] > present:  # the store was set back
        newest = [version for version in told(p, table) if version <= present]
    return newest[0] if newest else None


def commit(
    p: Platform,
    table: str,
    frame: pl.DataFrame,
    body: Mapping[str, JSON],
    *,
    once: tuple[str, int] | None = None,
    notes: Mapping[str, str],
    run: str | None = None,
) -> int:
    """Write a version and tell of it; the body's operation says whether it builds on the version before.

    With `once`, a commit that a set-back has taken out of the table counts as never made.
    """
    mode: Literal["append", "replace"] = "append" if body["operation"] == APPEND else "replace"
    check_sequel(p, table, builds=mode == APPEND)
    noted = {**notes, _PROJECT: p.project.id, _FACT: canonical_json({"run": run, "body": body})}
    version = p.table_store.write(table, frame, mode=mode, once=once, notes=noted)
    stray = catch_up(p, table)
    if p.journal.rows("table_versions", {"table": table, "version": version}):
        return version
    if stray is not None and version > max(told(p, table, limit=1), default=-1):
        raise _overtaken(p, table, stray)
    again = (f"{once[0]}/again@{version}", once[1]) if once else None
    return commit(p, table, frame, body, once=again, notes=notes, run=run)


def check_sequel(p: Platform, table: str, *, builds: bool) -> None:
    """`Refused` where a new version would not follow the newest one the journal tells of; one that replaces all may."""
    stray = catch_up(p, table)
    if not builds:
        return
    if stray is not None:
        raise _overtaken(p, table, stray)
    for newest in told(p, table, limit=1):
        contents.check_added(p, Snapshot(table, newest))


def catch_up(p: Platform, table: str) -> int | None:
    """Tell of this project's commits that nobody has told of; not of an append to rows of others.

    Returns the newest version of somebody else that nothing of ours has replaced since. `Refused` when the store lacks versions
    that the journal tells of.
    """
    newest, present, stray = max(told(p, table, limit=1), default=-1), p.table_store.version(table), None
    if present is None or present <= newest:
        _check_not_behind(table, present, newest)
        return None
    entries = {entry.version: entry for entry in p.table_store.history(table, after=newest)}
    for version in range(newest + 1, max([present, *entries]) + 1):
        entry = entries.get(version)
        if entry is None:  # it says nothing of itself any more, so it is nobody's
            stray = version
        elif not _is_own(p, entry):
            stray = stray if contents.is_vacuum(entry) else entry.version
        elif stray is None or _said(entry)["operation"] != APPEND:
            _tell(p, entry, newest)
            newest, stray = entry.version, None
    return stray


def _is_own(p: Platform, entry: TableVersion) -> bool:
    return entry.notes.get(_PROJECT) == p.project.id and _FACT in entry.notes


def _said(entry: TableVersion) -> dict[str, JSON]:
    return cast("dict[str, JSON]", json.loads(entry.notes[_FACT])["body"])


def _tell(p: Platform, entry: TableVersion, before: int) -> None:
    """Whoever comes first: the fact of a version is one, and all would say the same."""
    body = _said(entry)
    base = before if body["operation"] == APPEND and before >= 0 else None
    body |= {"version": entry.version, contents.OWN: contents.recorded(p, entry.table, entry.version, base=base)}
    if body["quarantine"]:
        held = Snapshot.parse(str(body["quarantine"]))
        body[contents.HELD] = contents.recorded(p, held.table, held.version)
    run, key = cast("str | None", json.loads(entry.notes[_FACT])["run"]), f"table/{entry.table}@{entry.version}"
    p.journal.append([NewFact("table.written", entry.table, body, run, key)])


def _check_not_behind(table: str, present: int | None, newest: int) -> None:
    if newest < 0 or present == newest:
        return
    found = "nothing of it" if present is None else f"only {table}@{present}"
    raise Refused(
        f"The journal tells of {table}@{newest}, the store has {found}: a number would be given twice.",
        code="store-behind",
        hint="Bring the store's newest state back, or restore a backup: werk restore BACKUP FOLDER.",
    )


def _overtaken(p: Platform, table: str, stray: int) -> Refused:
    own = told(p, table, limit=1)
    said = f"{table}@{own[0]} is the newest this project wrote" if own else "this project has written nothing there"
    hint = f"Take it out of the table: werk tables --set-back {table}." if own else "Move its folder out of the store."
    return Refused(
        f"Somebody else has written {table}@{stray} and {said}: nothing is added to rows of others.",
        code="store-overtaken",
        hint=hint,
    )
