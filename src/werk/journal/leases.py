"""Who may write a run's facts: a row per run whose token only ever rises."""

from __future__ import annotations

from collections.abc import Sequence

from werk.core.errors import Lost
from werk.core.journal import Lease
from werk.journal.database import Cursor, Database, cursor_of


def claim(database: Database, project: str, run: str, owner: str, ttl_s: float) -> Lease | None:
    """Take the run if nobody holds it or its lease has expired by the database's clock; None when it is held."""
    m = database.mark
    sql = (
        f"INSERT INTO leases (project, run, owner, token, until) VALUES ({m}, {m}, {m}, 1, {m}) "
        "ON CONFLICT (project, run) DO UPDATE SET owner = excluded.owner, token = leases.token + 1, until = excluded.until "
        f"WHERE leases.until <= {m} RETURNING token"
    )
    with database.writing(ordered=False) as connection:
        cursor = cursor_of(connection)
        now = database.now(cursor)
        cursor.execute(sql, (project, run, owner, now + _micros(ttl_s), now))
        won = cursor.fetchone()
    return Lease(run, owner, int(won[0])) if won else None


def renew(database: Database, project: str, lease: Lease, ttl_s: float) -> bool:
    """Hold the run longer; False when it was released or somebody took it over."""
    m = database.mark
    sql = f"UPDATE leases SET until = {m} WHERE project = {m} AND run = {m} AND owner = {m} AND token = {m}"
    with database.writing(ordered=False) as connection:
        cursor = cursor_of(connection)
        until = database.now(cursor) + _micros(ttl_s)
        cursor.execute(sql, (until, project, lease.run, lease.owner, lease.token))
        return cursor.rowcount == 1


def release(database: Database, project: str, lease: Lease) -> None:
    """Let the run go. The row stays, so that a later claim still raises the token."""
    m = database.mark
    sql = f"UPDATE leases SET until = 0, owner = '' WHERE project = {m} AND run = {m} AND owner = {m} AND token = {m}"
    with database.writing(ordered=False) as connection:
        cursor_of(connection).execute(sql, (project, lease.run, lease.owner, lease.token))


def held(database: Database, project: str, runs: Sequence[str]) -> list[str]:
    """Those of the runs that somebody holds right now."""
    if not runs:
        return []
    m = database.mark
    sql = f"SELECT run FROM leases WHERE project = {m} AND until > {m} AND run IN ({', '.join([m] * len(runs))}) ORDER BY run"
    with database.reading() as connection:
        cursor = cursor_of(connection)
        cursor.execute(sql, (project, database.now(cursor), *runs))
        return [str(run) for (run,) in cursor.fetchall()]


def silent(database: Database, project: str, runs: Sequence[str]) -> list[str]:
    """Those of the runs whose holder's lease has ended by the database's clock.

    A run that was let go, or never taken, is not among them.
    """
    if not runs:
        return []
    m = database.mark
    among = ", ".join([m] * len(runs))
    sql = f"SELECT run FROM leases WHERE project = {m} AND owner <> '' AND until <= {m} AND run IN ({among}) ORDER BY run"
    with database.reading() as connection:
        cursor = cursor_of(connection)
        cursor.execute(sql, (project, database.now(cursor), *runs))
        return [str(run) for (run,) in cursor.fetchall()]


def untaken(database: Database, project: str, runs: Sequence[str]) -> list[str]:
    """Those of the runs that nobody has ever claimed."""
    m = database.mark
    sql = f"SELECT run FROM leases WHERE project = {m} AND run IN ({', '.join([m] * len(runs)) or 'NULL'})"
    with database.reading() as connection:
        cursor = cursor_of(connection)
        cursor.execute(sql, (project, *runs))
        taken = {str(run) for (run,) in cursor.fetchall()}
    return [run for run in runs if run not in taken]


def fence(database: Database, cursor: Cursor, project: str, lease: Lease) -> None:
    """Raise `Lost` unless the token is still the newest; until commit nobody can take the run."""
    mark = database.mark
    cursor.execute(f"SELECT token FROM leases WHERE project = {mark} AND run = {mark}{database.fence}", (project, lease.run))
    row = cursor.fetchone()
    if row is None or row[0] != lease.token:
        raise Lost(
            f"The run '{lease.run}' was taken over by another worker.",
            code="lease-lost",
            hint="Nothing was written; the other worker goes on.",
        )


def _micros(ttl_s: float) -> int:
    return round(ttl_s * 1_000_000)
