"""Runs of seven empty Prefect tasks in one flow; prints milliseconds a step as JSON."""

import json
import os
import statistics
import sys
import tempfile
import time

home = tempfile.mkdtemp()
os.environ.update(
    PREFECT_HOME=home,
    PREFECT_LOGGING_LEVEL="ERROR",
    PREFECT_SERVER_ANALYTICS_ENABLED="false",
    PREFECT_SERVER_ALLOW_EPHEMERAL_MODE="true",
    PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="120",
    DO_NOT_TRACK="1",
)

from prefect import flow, task  # noqa: E402  (its settings are read on import)


@task
def empty(value: int) -> int:
    return value


@flow
def seven(value: int) -> int:
    for _ in range(7):
        value = empty(value)
    return value


def _one(at: int) -> float:
    began = time.perf_counter()
    assert seven(at) == at
    return time.perf_counter() - began


took = [_one(at) for at in range(int(sys.argv[1]) + 1)][1:]
print(json.dumps({"ms_per_step": 1000 * statistics.median(took) / 7}), flush=True)
