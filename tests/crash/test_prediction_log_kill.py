"""A prediction that was answered is in the log, whatever happens to the server next."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

from werk.adapters.model_format.memory import LinearToy, MemoryFormat
from werk.core.canonical import sha256_hex
from werk.core.errors import Tampered
from werk.models.compiled import Model, canonical_hash, model_json
from werk.serving.manifest import Manifest, place, write_manifest
from werk.serving.prediction_log import PredictionLog, read_log


def deploy_toy(directory: Path) -> None:
    model = Model(LinearToy(0.5, (2.0,)), "memory", ("x",), {}, "y", "regression", ("id",))
    files = {"model.bin": MemoryFormat().dump(model.estimator), "model.json": model_json(model)}
    for name, data in files.items():
        place(directory / "packages/toy" / name, data)
    sums = {name: sha256_hex(data) for name, data in files.items()}
    write_manifest(directory, Manifest("toy", "dep_1", "toy", 1, canonical_hash(MemoryFormat(), model), "packages/toy", sums))


def killed_under_load(directory: Path, after_s: float) -> list[str]:
    """The ids callers had received when the server was killed with -9."""
    command = [sys.executable, "-m", "werk.serving.server", str(directory), "--no-token"]
    server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    where = urlsplit(server.stdout.readline().strip())
    acknowledged: list[str] = []

    def load() -> None:
        connection = HTTPConnection(str(where.hostname), where.port, timeout=10)
        try:
            while True:
                connection.request("POST", "/invocations", b'{"instances": [[1.0], [2.0], [3.0]]}')
                acknowledged.extend(json.loads(connection.getresponse().read())["prediction_ids"])
        except (HTTPException, OSError, ValueError):
            connection.close()  # the server is gone, mid-answer perhaps: nothing was acknowledged

    callers = [threading.Thread(target=load) for _ in range(4)]
    for caller in callers:
        caller.start()
    time.sleep(after_s)
    server.kill()
    server.wait()
    for caller in callers:
        caller.join()
    server.stdout.close()
    return acknowledged


def test_every_acknowledged_prediction_survives_kill_9(tmp_path: Path) -> None:
    deploy_toy(tmp_path)
    acknowledged = [id for delay in np.linspace(0.2, 0.6, 3) for id in killed_under_load(tmp_path, float(delay))]
    logged = [line["id"] for line in read_log(tmp_path / "predictions")]
    assert len(acknowledged) > 100
    assert set(acknowledged) <= set(logged)
    assert len(logged) == len(set(logged))


def test_a_torn_last_line_is_left_out_and_never_continued(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append(b'{"id":"a"}\n')
    log.close()
    [segment] = tmp_path.glob("*.jsonl")
    with segment.open("ab") as file:
        file.write(b'{"id":"to')
    after = PredictionLog(tmp_path)
    after.append(b'{"id":"b"}\n')
    after.close()
    assert [line["id"] for line in read_log(tmp_path)] == ["a", "b"]


def test_a_damaged_line_inside_is_not_taken_for_a_torn_one(tmp_path: Path) -> None:
    (tmp_path / "1.jsonl").write_bytes(b'{"id":"a"}\n{"id":\n{"id":"c"}\n')
    with pytest.raises(Tampered, match=r"Line 2 of 1\.jsonl"):
        list(read_log(tmp_path))


def test_segments_roll_over_at_their_size(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, segment_bytes=100)
    for at in range(30):
        log.append(b'{"id":%d}\n' % at)
    log.close()
    assert [line["id"] for line in read_log(tmp_path)] == list(range(30))
    assert len(list(tmp_path.glob("*.jsonl"))) > 2
    assert all(os.stat(segment).st_size <= 100 for segment in tmp_path.glob("*.jsonl"))


def test_a_short_write_starts_a_fresh_segment(tmp_path: Path) -> None:
    """The file size limit cuts a write in the middle, as a full disk would."""
    script = (
        "import resource, sys; from pathlib import Path; from werk.serving.prediction_log import PredictionLog\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (50, 50))\n"
        "log = PredictionLog(Path(sys.argv[1]))\n"
        'for at in range(20): log.append(b\'{"id":%d, "pad":"xxxxx"}\\n\' % at)\n'
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=True)
    assert [line["id"] for line in read_log(tmp_path)] == list(range(20))
