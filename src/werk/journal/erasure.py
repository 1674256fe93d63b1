"""Take a body out of the journal and leave the chain whole."""

from __future__ import annotations

from sqlalchemy import select, update

from werk.core.errors import InputError
from werk.core.journal import Fact, NewFact
from werk.journal import schema
from werk.journal.database import swallowed
from werk.journal.sql import SqlJournal
from werk.journal.tables import FACTS
from werk.journal.verify import ERASED


def erase_body(journal: SqlJournal, seq: int, reason: str) -> Fact:
    """Erase body and salt of the project's fact `seq` and rebuild what was read from it, in one transaction.

    Returns the fact `body.erased` that names it. A body already erased is not erased twice: the first such fact returns.
    """
    with journal.database_write() as (connection, writer):
        this = (FACTS.c.project == journal.project) & (FACTS.c.seq == seq)
        kind = connection.execute(select(FACTS.c.kind).where(this)).scalar()
        if kind is None or kind == ERASED:
            raise InputError(
                f"There is no fact {seq} whose body can be erased.", code="seq-unknown", hint="Look it up with `facts()`."
            )
        [fact] = writer.append([NewFact(ERASED, str(seq), {"seq": seq, "reason": reason}, dedupe_key=f"{ERASED}/{seq}")])
        if connection.execute(update(FACTS).where(this).values(body=None, salt=None)).rowcount != 1:
            raise swallowed(FACTS.name)
        schema.rebuild(journal.database, connection, journal.shapes.by_kind.get(kind, []))
    journal.database.scrub()
    return fact
