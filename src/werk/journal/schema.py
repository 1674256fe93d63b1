"""The database's schema number, its random id, and which projections are up to date."""

from __future__ import annotations

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Table, inspect, select

from werk.core.canonical import canonical_json
from werk.core.errors import InputError, Tampered
from werk.core.journal import Fact
from werk.core.nouns import new_id
from werk.journal.database import Database, cursor_of, swallowed
from werk.journal.foreign import check_foreign
from werk.journal.projections import Applier, Replayed, Shape, Shapes
from werk.journal.reading import fact_of
from werk.journal.tables import FACTS, META, METADATA, SCHEMA, shape_of

_FACT_FIELDS = tuple(FACTS.c[name] for name in Fact.__dataclass_fields__)


@dataclass(slots=True)
class State:
    """The journal's id, and the projections as this process last saw them: name to shape, as canonical JSON.

    `stale` are those that a journal which can only be read does not hold as they are declared.
    """

    journal: str
    wanted: str
    seen: str
    stale: frozenset[str] = frozenset()


def opened(database: Database, shapes: Shapes, met: str | None = None) -> State:
    """Make the tables when they are missing, check the schema number, bring the projections up to date.

    Nothing is made where this machine has `met` a journal before: then it is gone, which is not the same as new. On what
    others have put on its tables nothing is written.
    """
    wanted = canonical_json({name: shape_of(shape.projection, shape.upcasts) for name, shape in shapes.by_name.items()})
    database.look()
    found = read_meta(database)
    if not found:
        _check_new(database, met)
        found = created(database)
    check_schema(found)
    _seal_foreign(database, shapes)
    state = State(found["journal"], wanted, found["projections"])
    if database.sealed:
        state.stale = stale(found["projections"], wanted)
    elif found["projections"] != wanted and stale(current_of(found["projections"]), wanted):
        with database.writing() as connection:
            _bring_up(database, connection, shapes, state, keep=True)
    return state


def _seal_foreign(database: Database, shapes: Shapes) -> None:
    if database.sealed is None:
        with database.reading() as connection:
            database.sealed = check_foreign(connection, database.kind, (shape.table for shape in shapes.by_name.values()))


def _check_new(database: Database, met: str | None) -> None:
    if met is not None or table_exists(database, FACTS):
        raise Tampered(
            f"The journal {database.address} {'is gone' if met is None else f'was {met} and is gone'} (table meta is empty).",
            code="journal-gone",
            hint="Restore a backup. Begun anew on purpose? Take its lines out of WERK_HOME/heads/places.jsonl.",
        )
    if database.sealed:
        raise InputError(f"There is no journal at {database.address}.", code="journal-missing", hint="Check the URL.")


def current_of(projections: str) -> str:
    """What meta says of the projections that are up to date, checked to be an object of texts."""
    try:
        found = json.loads(projections)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise Tampered(
            "The journal's list of projections is not the JSON that was written (table meta, key projections).",
            code="journal-damaged",
            hint="Run `werk audit verify`, then restore a backup.",
        )
    return projections


def stale(projections: str, wanted: str) -> frozenset[str]:
    """Those of the wanted projections that are not up to date; all of them when nobody can tell."""
    try:
        current = json.loads(current_of(projections))
    except Tampered:
        current = {}
    return frozenset(name for name, shape in json.loads(wanted).items() if current.get(name) != shape)


def check_schema(found: dict[str, str]) -> None:
    number = check_not_newer(found)
    if number < SCHEMA:
        raise InputError(
            f"The journal has schema {number}, older than {SCHEMA}.",
            code="journal-older",
            hint="Run `werk upgrade`: it keeps a copy of the journal's file as it is.",
        )


def check_not_newer(found: dict[str, str]) -> int:
    """The schema number in meta."""
    if not found["schema"].isdecimal():
        said = f"The journal's schema number is {found['schema']!r}."
        raise Tampered(said, code="journal-damaged", hint="Restore a backup.")
    number = int(found["schema"])
    if number > SCHEMA:
        raise InputError(
            f"The journal has schema {number} and this werk knows {SCHEMA}.", code="journal-newer", hint="Upgrade werk."
        )
    return number


def reconcile(database: Database, connection: Connection, shapes: Shapes, state: State, current: str) -> None:
    """Before facts are written: what this process cannot maintain is marked stale, what others left stale is rebuilt."""
    if current != state.wanted:
        _bring_up(database, connection, shapes, state, keep=False)


def _bring_up(database: Database, connection: Connection, shapes: Shapes, state: State, *, keep: bool) -> None:
    """Rebuild every projection that is stale; forget the ones this process does not know unless `keep`."""
    current = json.loads(current_of(_read(connection)["projections"]))
    wanted = json.loads(state.wanted)
    stale = [shape for name, shape in shapes.by_name.items() if current.get(name) != wanted[name]]
    rebuild(database, connection, stale, fresh=True)
    state.seen = canonical_json({**current, **wanted} if keep else wanted)
    if connection.execute(META.update().where(META.c.key == "projections").values(value=state.seen)).rowcount != 1:
        raise swallowed(META.name)


def rebuild(database: Database, connection: Connection, shapes: list[Shape], *, fresh: bool = False) -> None:
    """Empty these projections (or make their tables anew) and fill them by replaying the facts of every project."""
    if not shapes:
        return
    cursor = cursor_of(connection)
    for shape in shapes:
        if fresh:
            shape.table.drop(connection, checkfirst=True)
            shape.table.create(connection)
        else:
            cursor.execute(f"DELETE FROM p_{shape.name}")
    replayed = replayed_from(connection, shapes)
    applier = Applier(cursor, database.mark)
    for shape in shapes:
        applier.insert(shape, replayed.rows(shape))


def replayed_from(
    connection: Connection, shapes: list[Shape], *, project: str | None = None, until: int | None = None
) -> Replayed:
    """The projections as the facts say they are, optionally of one project or as of a fact."""
    kinds = sorted({kind for shape in shapes for kind in shape.projection.kinds})
    query = select(*_FACT_FIELDS).where(FACTS.c.kind.in_(kinds)).order_by(FACTS.c.seq)
    query = query.where(FACTS.c.project == project) if project is not None else query
    query = query.where(FACTS.c.seq <= until) if until is not None else query
    replayed = Replayed(shapes)
    of_kind = Shapes((shape.projection for shape in shapes), {k: v for shape in shapes for k, v in shape.upcasts.items()})
    for row in connection.execute(query.execution_options(yield_per=2000)):
        replayed.add(of_kind.ops(fact_of(row)))
    return replayed


def read_meta(database: Database) -> dict[str, str]:
    with database.reading() as connection:
        return _read(connection) if inspect(connection).has_table(META.name) else {}


def table_exists(database: Database, table: Table) -> bool:
    with database.reading() as connection:
        return inspect(connection).has_table(table.name)


def _read(connection: Connection) -> dict[str, str]:
    found = {str(key): str(value) for key, value in connection.execute(select(META.c.key, META.c.value))}
    if found and not {"schema", "journal", "projections"} <= found.keys():
        raise Tampered("The journal's meta table is damaged.", code="journal-damaged", hint="Restore a backup.")
    return found


def created(database: Database, journal: str | None = None) -> dict[str, str]:
    """Make the tables; of two processes that try, the second finds what the first one made."""
    with database.writing() as connection:
        METADATA.create_all(connection)
        if not _read(connection):
            start = {"schema": str(SCHEMA), "journal": journal or new_id("jrn"), "projections": "{}"}
            connection.execute(META.insert(), [{"key": key, "value": value} for key, value in start.items()])
        return _read(connection)
