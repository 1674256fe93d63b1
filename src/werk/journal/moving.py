"""A project that has gone to live in another journal: what stays here is read, and nothing is written to it any more.

The mark is a line of the table meta, which every write looks at in its own transaction: so a process that had opened the journal
before writes nothing after it either, and there are never two living journals of one project.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING

from sqlalchemy import Connection, delete, insert, select, update

from werk.core.canonical import canonical_json
from werk.core.errors import Refused
from werk.core.journal import Head
from werk.core.nouns import to_micros, utc_now
from werk.journal import schema
from werk.journal.database import Database, SqliteDatabase, connect, cursor_of
from werk.journal.tables import FACTS, META

if TYPE_CHECKING:
    from werk.journal.sql import SqlJournal


@dataclass(frozen=True, slots=True)
class Move:
    """To which profile, whose journal lies at `address`; `seq` and `hash` are the head it went with.

    Once `placed`, the journal may be alive there, so that there is no way back.
    """

    to: str
    address: str
    seq: int
    hash: str
    at: int
    placed: bool = False
    whole: bool = False

    @property
    def head(self) -> Head:
        return Head(self.seq, self.hash)


def key_of(project: str) -> str:
    return f"moved/{project}"


def move_of(journal: SqlJournal) -> Move | None:
    """Where the journal's project has gone, or is going; None where it lives here."""
    found = schema.read_meta(journal.database).get(key_of(journal.project))
    return Move(**json.loads(found)) if found else None


def moved(journal: SqlJournal) -> Refused | None:
    """Why nothing is written here any more; None where the project lives here."""
    found = schema.read_meta(journal.database).get(key_of(journal.project))
    return left(found) if found else None


def left(said: str) -> Refused:
    """From the mark as it stands in meta."""
    move = Move(**json.loads(said))
    if move.whole:
        return Refused(
            f"This project has moved to the profile '{move.to}' ({move.address}) at fact {move.seq}.",
            code="project-moved",
            hint=f"Name it: --profile {move.to}, or WERK_PROFILE={move.to}. What is here can still be read.",
        )
    return Refused(
        f"This project is being moved to the profile '{move.to}' ({move.address}).",
        code="project-moving",
        hint=f"Wait until it is there. Was that cut off: werk move --to {move.to} goes on with it.",
    )


def begin(journal: SqlJournal, to: str, address: str) -> Move:
    """Close the project here, at the head it has now. `Refused` while somebody drives one of its runs."""
    with journal.database.writing() as connection:
        if driven := _driven(journal, connection):
            raise Refused(
                f"The run {driven} is being driven, and a move would leave it without its journal.",
                code="move-driven",
                hint="Wait until it has ended, or stop it; `werk resume` goes on with it at the new place.",
            )
        head = journal.head()
        move = Move(to, address, head.seq, head.hash, to_micros(utc_now()))
        connection.execute(insert(META).values(key=key_of(journal.project), value=_line(move)))
    journal.database.sealed = left(_line(move))
    return move


def _driven(journal: SqlJournal, connection: Connection) -> str | None:
    mark, cursor = journal.database.mark, cursor_of(connection)
    sql = f"SELECT run FROM leases WHERE project = {mark} AND until > {mark} ORDER BY run"
    cursor.execute(sql, (journal.project, journal.database.now(cursor)))
    found = cursor.fetchone()
    return str(found[0]) if found else None


def placing(journal: SqlJournal, move: Move) -> Move:
    """From here on the journal may be alive at the other place."""
    return _set(journal, replace(move, placed=True))


def finish(journal: SqlJournal, move: Move) -> Move:
    return _set(journal, replace(move, placed=True, whole=True))


def cancel(journal: SqlJournal) -> Move | None:
    """Open the project here again. `Refused` once its journal may be alive elsewhere."""
    move = move_of(journal)
    if move is None:
        return None
    if move.placed:
        raise Refused(
            f"The journal may be alive in the profile '{move.to}' already, and two would be one too many.",
            code="move-placed",
            hint=f"Finish it: werk move --to {move.to}." if not move.whole else f"Move it back: werk move --profile {move.to}.",
        )
    with _writing(journal) as connection:
        connection.execute(delete(META).where(META.c.key == key_of(journal.project)))
    return move


def _set(journal: SqlJournal, move: Move) -> Move:
    with _writing(journal) as connection:
        connection.execute(update(META).where(META.c.key == key_of(journal.project)).values(value=_line(move)))
    journal.database.sealed = left(_line(move))
    return move


def is_taken(url: str) -> bool:
    """Whether a journal lies there already; an error when the place cannot be asked."""
    database = connect(url)
    try:
        return not _is_missing(database) and bool(schema.read_meta(database))
    finally:
        database.close()


def arrived(url: str, id: str, move: Move) -> bool:
    """Whether the journal `id` lies there with the facts it went with, and perhaps more."""
    database = connect(url)
    try:
        if _is_missing(database) or schema.read_meta(database).get("journal") != id:
            return False
        with database.reading() as connection:
            return connection.execute(select(FACTS.c.hash).where(FACTS.c.seq == move.seq)).scalar() == move.hash
    finally:
        database.close()


def _is_missing(database: Database) -> bool:
    return isinstance(database, SqliteDatabase) and not database.path.exists()


@contextmanager
def _writing(journal: SqlJournal) -> Iterator[Connection]:
    """To the mark, though it closes the journal; what closes it for another reason stays closed."""
    sealed = journal.database.sealed
    if sealed is not None and sealed.code not in ("project-moved", "project-moving"):
        raise sealed
    journal.database.sealed = None
    with journal.database.writing() as connection:
        yield connection


def _line(move: Move) -> str:
    return canonical_json(asdict(move))
