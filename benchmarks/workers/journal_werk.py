"""Appends to a fresh journal, and with one process verifies, replays and asks it; prints rates as JSON."""

import sys
import time

from journal_load import STEPS, batches, facts, rates, shown, spans

from werk.journal import open_journal
from werk.journal.chain import body_hash, fact_hash
from werk.journal.database import cursor_of
from werk.journal.reading import parsed
from werk.journal.verify import replay, stored_facts, verify


def opened(url: str):
    return open_journal(url, project="prj_1", actor="act_1", projections=[STEPS])


def write_all(url, share, single, batched, gate):
    with opened(url) as journal:
        return spans(batches(facts, share, single, batched), journal.append, gate)


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def read(url: str) -> dict[str, float]:
    with opened(url) as journal:
        total = journal.head().seq
        found = {"verify": total / timed(lambda: _sound(verify(journal))), "replay": total / timed(lambda: replay(journal))}
        found["floor"] = floor(journal)
        middle = journal.at(total // 2)
        found["as_of"] = 1000 * timed(lambda: middle.rows("steps", {"subject": "subject_7"}))
        found["subject"] = 1000 * timed(lambda: list(journal.facts(subject="subject_7")))
    return found


def floor(journal) -> float:
    """Facts a second of what no Python can leave out: both hashes and the JSON of each."""
    with journal.database.snapshot() as connection:
        rows = list(stored_facts(cursor_of(connection), journal.database.mark))

    def hashed() -> None:
        for seq, project, at, actor, kind, subject, run, v, salt, body, body_sha256, prev_hash, _, dedupe_key in rows:
            body_hash(salt, body)
            fact_hash(prev_hash, seq, project, at, actor, kind, subject, run, v, body_sha256, dedupe_key)
            parsed(body)

    return len(rows) / timed(hashed)


def _sound(verification) -> None:
    assert verification.ok, verification.damages[:3]


def main(url: str, processes: int, single: int, batched: int) -> None:
    with opened(url) as journal:
        journal.append(facts(0, 1))
    found = rates(write_all, url, processes, single, batched)
    shown({**found, **(read(url) if processes == 1 else {})})


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
