"""Inserts a journal's rows with the bare driver at the same durability: into its tables, or into one without its indexes."""

import os
import sqlite3
import sys

from journal_load import STEPS, batches, rates, shown, spans
from sqlalchemy.engine import make_url

from werk.journal import open_journal
from werk.journal.tables import FACT_COLUMNS

BODY, DIGEST, SALT = '{"rows":1000,"step":"training","v":1}', "0" * 64, b"s" * 16
SAME = os.environ.get("BENCHMARK_TABLES") == "same"
FACT = f"insert into {'facts' if SAME else 'bare'} values ({', '.join('?' * len(FACT_COLUMNS))})"
CLOSE = "update p_steps set valid_to = ? where project = 'prj_1' and subject = ? and valid_from = ?"
OPEN = "insert into p_steps (project, subject, step, rows, seq, valid_from) values ('prj_1', ?, 'training', ?, ?, ?)"


def rows(start: int, count: int) -> list[tuple[str, list[tuple[object, ...]]]]:
    """The statements of one transaction, each with its rows."""
    named = [(at, f"subject_{at % 500}") for at in range(start, start + count)]
    made = [
        (at, "prj_1", at, "act_1", "step.finished", name, "run_1", 1, SALT, BODY, DIGEST, DIGEST, DIGEST, f"run_1/{at}")
        for at, name in named
    ]
    if not SAME:
        return [(FACT, made)]
    opened, closed = [(name, at, at, at) for at, name in named], [(at, name, at - 500) for at, name in named]
    return [(FACT, made), (OPEN, opened), (CLOSE, closed)]


def connected(url: str):
    """A connection and how its driver writes a bound value."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(str(make_url(url).database), isolation_level=None, timeout=60)
        for pragma in ("journal_mode = wal", "synchronous = full"):
            connection.execute(f"pragma {pragma}")
        return connection, "?"
    import psycopg  # only the trials on Postgres have it loaded

    return psycopg.connect(url, autocommit=True), "%s"


def write_all(url, share, single, batched, gate):
    connection, mark = connected(url)
    cursor = connection.cursor()

    def write(statements) -> None:
        cursor.execute("begin immediate" if mark == "?" else "begin")
        for sql, values in statements:
            run = cursor.execute if len(values) == 1 else cursor.executemany
            run(sql.replace("?", mark), values[0] if len(values) == 1 else values)
        cursor.execute("commit")

    found = spans(batches(rows, share, single, batched), write, gate)
    connection.close()
    return found


def main(url: str, processes: int, single: int, batched: int) -> None:
    open_journal(url, project="prj_1", actor="act_1", projections=[STEPS]).close()
    connection, _ = connected(url)
    types = {"seq": "bigint primary key", "at": "bigint", "v": "bigint", "salt": "bytea"}
    columns = ", ".join(f"{name} {types.get(name, 'text')}" for name in FACT_COLUMNS)
    connection.execute(f"create table bare ({columns}, unique (project, dedupe_key))")
    connection.close()
    shown(rates(write_all, url, processes, single, batched))


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
