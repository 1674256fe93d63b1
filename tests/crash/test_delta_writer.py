"""A killed writer of a Delta table leaves the version before it, whole, and nothing else to be seen."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from werk.adapters.table_store.delta import DeltaTableStore

ROWS = 400_000
KILLS = int(os.environ.get("WERK_KILLS", "2"))
SEED = int(os.environ.get("WERK_SEED", str(random.SystemRandom().randrange(2**32))))
# Random numbers do not compress, so that a file takes long enough to be written for the kill to meet it.
WRITER = f"""
import sys, numpy, polars
from werk.adapters.table_store.delta import DeltaTableStore
store = DeltaTableStore(sys.argv[1])
noise = numpy.random.default_rng(0).random({ROWS})
print("ready", flush=True)
for n in range(1, 1000):
    frame = polars.DataFrame({{"n": [n] * {ROWS}, "noise": noise}})
    print(store.write("raw.t", frame, mode=sys.argv[2], once=("writer", n)), flush=True)
"""

LIMIT_BYTES = 1_000_000
ENDED_AT_A_BYTE = f"""
import resource, signal
resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
resource.setrlimit(resource.RLIMIT_FSIZE, ({LIMIT_BYTES}, resource.RLIM_INFINITY))
signal.signal(signal.SIGXFSZ, signal.SIG_DFL)  # Python ignores it otherwise
"""


def _parts(lake: Path) -> int:
    return len(list(lake.glob("raw/t/*.parquet*")))


def _commits(lake: Path) -> int:
    return len(list(lake.glob("raw/t/_delta_log/*.json")))


def _killed_when(lake: Path, mode: str, seen: Callable[[], bool]) -> list[int]:
    """The versions the writer had been told of when it was killed with -9, at the first moment `seen` was true."""
    with _writer(lake, mode) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        while not seen():
            assert writer.poll() is None, "the writer ended by itself"
            time.sleep(0.0002)
        writer.kill()
        told, _ = writer.communicate()
    return [int(line) for line in told.split()]


@contextmanager
def _writer(lake: Path, mode: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", WRITER, str(lake), mode]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        try:
            yield writer
        finally:
            writer.kill()


def test_killed_in_its_first_file_it_leaves_no_table(tmp_path: Path) -> None:
    """The kernel ends it at the byte that goes beyond the limit, with a signal that it cannot act on: no clock is in this."""
    command = [sys.executable, "-c", f"{ENDED_AT_A_BYTE}{WRITER}", str(tmp_path), "append"]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGXFSZ, "ready\n")
    assert [file.stat().st_size for file in tmp_path.rglob("raw/t/*.parquet*")] == [LIMIT_BYTES]
    assert _commits(tmp_path) == 0
    store = DeltaTableStore(tmp_path)
    assert (store.tables(), store.version("raw.t")) == ([], None)
    assert store.write("raw.t", pl.DataFrame({"n": [7]})) == 0
    assert pl.DataFrame(store.read("raw.t")).rows() == [(7,)]


def test_killed_between_its_file_and_its_commit_it_leaves_the_version_before(tmp_path: Path) -> None:
    told = _killed_when(tmp_path, "replace", lambda: _parts(tmp_path) > _commits(tmp_path) >= 2)
    _holds_whole_versions(DeltaTableStore(tmp_path), told)


def test_killed_as_it_commits_it_leaves_a_whole_version(tmp_path: Path) -> None:
    told = _killed_when(tmp_path, "replace", lambda: _commits(tmp_path) >= 3)
    _holds_whole_versions(DeltaTableStore(tmp_path), told)


def test_killed_at_any_moment_it_leaves_whole_versions(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    print(f"WERK_SEED={SEED}, {KILLS} kills")
    chance, versions = random.Random(SEED), 0
    for number in range(KILLS):
        lake = tmp_path / str(number)
        told = _killed_when(lake, "replace", _later(chance.uniform(0.0, 0.4)))
        store = DeltaTableStore(lake)
        if store.version("raw.t") is None:
            assert told == []
        else:
            _holds_whole_versions(store, told)
        versions += len(told)
        shutil.rmtree(lake, ignore_errors=True)  # killed early, the writer has made none
    record_property("kills", KILLS)
    record_property("whole versions", versions)


def _later(wait_s: float) -> Callable[[], bool]:
    """True once that long has passed since it was first asked."""
    asked: list[float] = []

    def over() -> bool:
        asked.append(time.monotonic())
        return asked[-1] - asked[0] >= wait_s

    return over


def _holds_whole_versions(store: DeltaTableStore, told: list[int]) -> None:
    """Every version is the whole of one write; what the writer was told is there, and at most the write in hand beyond it."""
    version = store.version("raw.t")
    assert version is not None
    assert told == list(range(len(told)))
    assert version + 1 - len(told) in (0, 1)
    for at in range(version + 1):
        values = store.scan("raw.t", at).select(pl.len(), pl.col("n").min(), pl.col("n").max().alias("high")).collect()
        assert values.row(0) == (ROWS, at + 1, at + 1)
    assert store.write("raw.t", pl.DataFrame({"n": [0]}), mode="replace", once=("writer", version + 1)) == version
    assert store.write("raw.t", pl.DataFrame({"n": [0]}), mode="replace", once=("writer", version + 2)) == version + 1
