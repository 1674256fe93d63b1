"""Runs of seven empty DBOS steps in one workflow; prints milliseconds a step as JSON."""

import json
import os
import statistics
import sys
import tempfile
import time

from dbos import DBOS
from sqlalchemy import Engine, event


@event.listens_for(Engine, "connect")
def _durable(connection, _record):
    connection.execute("pragma synchronous = full")


@DBOS.step()
def empty(value: int) -> int:
    return value


@DBOS.workflow()
def seven(value: int) -> int:
    for _ in range(7):
        value = empty(value)
    return value


def _one(at: int) -> float:
    began = time.perf_counter()
    assert seven(at) == at
    return time.perf_counter() - began


with tempfile.TemporaryDirectory() as folder:
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{folder}/dbos.db", "log_level": "ERROR"})
    DBOS.launch()
    took = [_one(at) for at in range(int(sys.argv[1]) + 2)][2:]
    print(json.dumps({"ms_per_step": 1000 * statistics.median(took) / 7}), flush=True)
    os._exit(0)  # its background threads take seconds to end, and are not what is measured
