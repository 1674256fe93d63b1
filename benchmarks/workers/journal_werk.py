"""Appends, verifies, replays and asks a fresh journal; prints rates as JSON."""

import json
import sys
import tempfile
import time
from pathlib import Path

from werk.core.journal import Column, NewFact, Projection, Upsert
from werk.journal import open_journal
from werk.journal.verify import replay, verify

STEPS = Projection(
    name="steps",
    columns=(Column("subject"), Column("step"), Column("rows", "int")),
    key=("subject",),
    kinds=("step.finished",),
    apply=lambda fact: [Upsert({"subject": fact.subject, **{n: (fact.body or {})[n] for n in ("step", "rows")}})],
    history=True,
)


def facts(start: int, count: int) -> list[NewFact]:
    return [
        NewFact("step.finished", f"subject_{at % 500}", {"step": "training", "rows": at}, "run_1", f"run_1/{at}")
        for at in range(start, start + count)
    ]


def timed(work) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main(single: int, batched: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        journal = open_journal(f"sqlite:///{Path(folder) / 'j.db'}", project="prj_1", actor="act_1", projections=[STEPS])
        journal.append(facts(-1, 1))
        alone = [[fact] for fact in facts(0, single)]
        found = {"append": single / timed(lambda: [journal.append(one) for one in alone])}
        batches = [facts(single + at, 1000) for at in range(0, batched, 1000)]
        found["batch"] = batched / timed(lambda: [journal.append(batch) for batch in batches])
        total = 1 + single + batched
        found["verify"] = total / timed(lambda: _sound(verify(journal)))
        found["replay"] = total / timed(lambda: replay(journal))
        middle = journal.at(total // 2)
        found["as_of"] = 1000 * timed(lambda: middle.rows("steps", {"subject": "subject_7"}))
        found["lineage"] = 1000 * timed(lambda: list(journal.facts(subject="subject_7")))
        journal.close()
    print(json.dumps(found))


def _sound(verification) -> None:
    assert verification.ok, verification.damages[:3]


main(int(sys.argv[1]), int(sys.argv[2]))
