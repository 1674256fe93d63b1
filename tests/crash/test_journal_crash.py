"""Writers are killed or crowd each other; nothing acknowledged is lost, nothing is doubled, nobody starves."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from werk.core.journal import Change, Column, Fact, Projection, Upsert
from werk.journal import SqlJournal, open_journal, replay, verify

_WRITER = """
import sys, time
from werk.core.journal import Column, NewFact, Projection, Upsert
from werk.journal import open_journal
P = Projection("counts", (Column("name"), Column("n", "int")), ("name",), ("counted",),
               lambda fact: [Upsert({"name": fact.subject, "n": fact.body["n"]})])
url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
journal = open_journal(url, project="p", actor="a", projections=[P])
print("ready", flush=True)
slowest = 0.0
for n in range(count):
    begun = time.perf_counter()
    journal.append([NewFact("counted", name, {"n": n, "half": h}, dedupe_key=f"{name}/{n}/{h}") for h in (0, 1)])
    slowest = max(slowest, time.perf_counter() - begun)
    print(n, flush=True)
print("slowest", slowest, flush=True)
journal.close()
"""


def _apply(fact: Fact) -> list[Change]:
    assert fact.body is not None
    return [Upsert({"name": fact.subject, "n": fact.body["n"]})]


KILLS = int(os.environ.get("WERK_KILLS", "3"))
SEED = int(os.environ.get("WERK_SEED", str(random.SystemRandom().randrange(2**32))))
COUNTS = Projection("counts", (Column("name"), Column("n", "int")), ("name",), ("counted",), _apply)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


def _start(url: str, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", _WRITER, url, name, str(count)], stdout=subprocess.PIPE, text=True)


def _opened(url: str) -> SqlJournal:
    return open_journal(url, project="p", actor="a", projections=[COUNTS])


def test_kill_9_loses_nothing_acknowledged_and_halves_nothing(url: str, record_property: Callable[[str, object], None]) -> None:
    print(f"WERK_SEED={SEED}, {KILLS} kills")
    chance, lost, halved = random.Random(f"{SEED}/{url[:6]}"), 0, 0
    _opened(url).close()
    for attempt in range(KILLS):
        acknowledged = _killed(url, f"w{attempt}", chance.uniform(0.02, 0.3))
        with _opened(url) as journal:
            kept = sum(1 for fact in journal.facts(subject=f"w{attempt}") if fact.body)
            lost += kept < 2 * acknowledged
            halved += kept % 2
            assert kept <= 2 * acknowledged + 2
            if attempt % 10 == 0 or attempt == KILLS - 1:  # hashing everything again takes longer each time
                assert verify(journal).ok
                assert replay(journal)["counts"] == journal.rows("counts")
    for name, value in {"kills": KILLS, "lost": lost, "halved": halved}.items():
        record_property(name, value)
    assert (lost, halved) == (0, 0), f"WERK_SEED={SEED}"


def _killed(url: str, name: str, after_s: float) -> int:
    """How many appends a writer had been told of when it was killed."""
    writer = _start(url, name, 100_000)
    assert writer.stdout is not None
    assert writer.stdout.readline() == "ready\n"
    time.sleep(after_s)
    writer.kill()
    acknowledged = len(writer.stdout.read().splitlines())
    writer.stdout.close()
    writer.wait()
    return acknowledged


def test_four_processes_write_at_once_and_none_is_refused_or_starves(url: str) -> None:
    _opened(url).close()
    writers = [_start(url, f"w{number}", 60) for number in range(4)]
    outputs = [writer.communicate(timeout=120)[0].splitlines() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 4
    slowest = [float(lines[-1].split()[1]) for lines in outputs]
    assert max(slowest) < 5.0, slowest
    with _opened(url) as journal:
        assert [fact.seq for fact in journal.facts()] == list(range(1, 4 * 60 * 2 + 1))
        assert [row["n"] for row in journal.rows("counts")] == [59] * 4
        assert verify(journal).ok
