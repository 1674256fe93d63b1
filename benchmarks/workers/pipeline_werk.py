"""Runs of seven empty steps on the journal engine; prints milliseconds a step as JSON."""

import json
import statistics
import sys
import tempfile
import time
from pathlib import Path

from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.journal import open_journal
from werk.workflow import Engine, pipeline, step
from werk.workflow.facts import PROJECTIONS


@step("empty")
def empty(value: int) -> int:
    return value


@pipeline
def seven(value: int):
    for _ in range(7):
        value = empty(value)


def main(runs: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        journal = open_journal(f"sqlite:///{root / 'j.db'}", project="prj_1", actor="act_1", projections=PROJECTIONS)
        p = Platform(
            project=Project("prj_1", "bench", Path(__file__).parent),
            actor=Actor("act_1", "bench", "local"),
            stage="dev",
            journal=journal,
            table_store=None,
            object_store=build("object_store", "file", {"path": root / "objects"}),
            key_store=None,
            identity=None,
            model_format={},
            meter=build("meter", "process", {}),
        )
        engine = Engine(p, {})
        took = [_one(engine, at) for at in range(runs + 2)][2:]
        journal.close()
    print(json.dumps({"ms_per_step": 1000 * statistics.median(took) / 7}))


def _one(engine: Engine, at: int) -> float:
    began = time.perf_counter()
    run = engine.start(seven, {"value": at}, pins={}, code={}, environment={}, fresh=True)
    assert engine.drive(seven, run) == "finished"
    return time.perf_counter() - began


main(int(sys.argv[1]))
