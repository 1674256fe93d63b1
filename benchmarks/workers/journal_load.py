"""The load that both sides of the journal's case write, and how one or several processes write it."""

import json
import multiprocessing
import time

from werk.core.journal import Column, NewFact, Projection, Upsert

STEPS = Projection(
    name="steps",
    columns=(Column("subject"), Column("step"), Column("rows", "int")),
    key=("subject",),
    kinds=("step.finished",),
    apply=lambda fact: [Upsert({"subject": fact.subject, **{n: (fact.body or {})[n] for n in ("step", "rows")}})],
    history=True,
)
SHARE = 10_000_000


def facts(start: int, count: int) -> list[NewFact]:
    return [
        NewFact("step.finished", f"subject_{at % 500}", {"step": "training", "rows": at}, "run_1", f"run_1/{at}")
        for at in range(start, start + count)
    ]


def batches(make, share: int, single: int, batched: int) -> dict[str, list]:
    """What one process writes, made before the clock starts: facts alone, then a thousand in a transaction."""
    first = share * SHARE + 1
    return {
        "append": [make(first + at, 1) for at in range(single)],
        "batch": [make(first + single + at, 1000) for at in range(0, batched, 1000)],
    }


def rates(write_all, url: str, processes: int, single: int, batched: int) -> dict[str, float]:
    """Rows a second of `write_all(url, share, single, batched, gate)`, which yields a span of time for every metric."""
    if processes == 1:
        spans = [write_all(url, 0, single, batched, lambda: None)]
    else:
        spans = _spread(write_all, url, processes, single // processes, batched // processes)
    return {
        name: processes * count / (max(span[name][1] for span in spans) - min(span[name][0] for span in spans))
        for name, count in (("append", single // processes), ("batch", batched // processes))
    }


def _spread(write_all, url: str, processes: int, single: int, batched: int) -> list[dict[str, tuple[float, float]]]:
    context = multiprocessing.get_context("spawn")
    barrier, said = context.Barrier(processes), context.Queue()
    given = [(write_all, url, share, single, batched, barrier, said) for share in range(processes)]
    children = [context.Process(target=_share, args=one) for one in given]
    for child in children:
        child.start()
    spans = [said.get(timeout=600) for _ in children]
    for child in children:
        child.join()
    return spans


def _share(write_all, url, share, single, batched, barrier, said) -> None:
    said.put(write_all(url, share, single, batched, barrier.wait))


def spans(work: dict[str, list], write, gate) -> dict[str, tuple[float, float]]:
    found = {}
    for name, parts in work.items():
        gate()
        began = time.perf_counter()
        for part in parts:
            write(part)
        found[name] = (began, time.perf_counter())
    return found


def shown(found: dict[str, float]) -> None:
    print(json.dumps(found))
