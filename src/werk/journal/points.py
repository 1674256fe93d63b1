"""Metric points of runs: many small numbers, kept beside the chain and covered by a digest in it."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from werk.core.journal import Point
from werk.journal.database import Database, check_took, cursor_of
from werk.journal.tables import POINTS


def add_points(database: Database, project: str, points: Sequence[Point]) -> None:
    m = database.mark
    sql = f"INSERT INTO points (project, run, name, step, value, at) VALUES ({m}, {m}, {m}, {m}, {m}, {m})"
    rows = [(project, point.run, point.name, point.step, _stored(point.value), point.at) for point in points]
    if rows:
        with database.writing(ordered=False) as connection:
            cursor = cursor_of(connection)
            cursor.executemany(sql, rows)
            check_took(cursor, len(rows), POINTS.name)


def points(database: Database, project: str, run: str, name: str | None = None) -> list[Point]:
    """By name and step, then in the order in which they were added."""
    table = POINTS.c
    query = select(table.run, table.name, table.step, table.value, table.at).where(table.project == project, table.run == run)
    query = query.where(table.name == name) if name is not None else query
    with database.reading() as connection:
        found = connection.execute(query.order_by(table.name, table.step, table.id)).all()
    return [Point(row.run, row.name, row.step, _read(row.value), row.at) for row in found]


def _stored(value: float) -> float | None:
    return None if value != value else float(value)  # SQLite turns NaN into NULL by itself; Postgres is made to agree


def _read(value: float | None) -> float:
    return float("nan") if value is None else value
