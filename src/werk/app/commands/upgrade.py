"""The journal of an earlier werk, brought to this one."""

from __future__ import annotations

import sys
from pathlib import Path

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.proof import verdict
from werk.app.settings import find_root, load_settings
from werk.app.wiring import opened
from werk.journal.tables import SCHEMA


def upgrade(project: Path | None, profile: str | None) -> Answer:
    """What was raised is opened, which replays every projection, and verified."""
    url = load_settings(find_root((project or Path.cwd()).resolve()), profile).journal_url
    number = journal.schema_number(url)
    if number is None or number == SCHEMA:
        return _nothing_to_do(number)
    print(f"raising the journal from schema {number} to {SCHEMA}; its facts stay as they are", file=sys.stderr)
    copy = journal.upgrade(url)
    kept = f"as it was: {copy}" if copy else "no copy: on PostgreSQL all was one transaction"
    print(f"  {kept}", file=sys.stderr)  # said before the check, which may find damage
    with opened(project, profile) as session:
        found = verdict(journal.verify(session.journal))
    record = {**(found.record or {}), "from": number, "to": SCHEMA, "copy": str(copy) if copy else None}
    text = f"the journal has schema {SCHEMA}; {kept}\n{found.text}"
    return Answer(record=record, text=text, exit_code=found.exit_code)


def _nothing_to_do(number: int | None) -> Answer:
    why = "there is no journal yet" if number is None else f"the journal has schema {number}, the one this werk writes"
    record = {"from": number, "to": number, "copy": None}
    return Answer(record=record, text=f"nothing to do: {why}\n  `werk audit verify` checks the whole record")
