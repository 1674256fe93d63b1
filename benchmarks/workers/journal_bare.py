"""Inserts rows of a fact's size into bare SQLite, with the same durability and unique key; prints rates as JSON."""

import json
import sqlite3
import sys
import tempfile
import time
from pathlib import Path

TABLE = """create table facts (seq integer primary key, project text, at integer, actor text, kind text, subject text, run text,
  body text, body_sha256 text, prev_hash text, hash text, dedupe_key text, unique (project, dedupe_key))"""
INSERT = "insert into facts values (?, 'prj_1', ?, 'act_1', 'step.finished', ?, 'run_1', ?, ?, ?, ?, ?)"


def rows(start: int, count: int) -> list[tuple[object, ...]]:
    digest = "0" * 64
    body = '{"rows":1000,"step":"training","v":1}'
    return [(at, at, f"subject_{at % 500}", body, digest, digest, digest, f"run_1/{at}") for at in range(start, start + count)]


def rate(connection: sqlite3.Connection, batches: list[list[tuple[object, ...]]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        connection.execute("begin immediate")
        connection.executemany(INSERT, batch)
        connection.execute("commit")
    return sum(map(len, batches)) / (time.perf_counter() - began)


def main(single: int, batched: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        connection = sqlite3.connect(Path(folder) / "bare.db", isolation_level=None)
        for pragma in ("journal_mode = wal", "synchronous = full"):
            connection.execute(f"pragma {pragma}")
        connection.execute(TABLE)
        found = {"append": rate(connection, [[row] for row in rows(1, single)])}
        found["batch"] = rate(connection, [rows(1 + single + at, 1000) for at in range(0, batched, 1000)])
        connection.close()
    print(json.dumps(found))


main(int(sys.argv[1]), int(sys.argv[2]))
