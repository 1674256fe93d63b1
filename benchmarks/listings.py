"""What each listing of `werk` takes at 10,000 runs, and `werk.open()` in a notebook, beside bare SQLite reading the same rows."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Line, Side, child, compared, in_turn, worker

_TARGET = "<= 0.5 s"
# What each shows, as one would ask SQLite for it by hand.
_ASKED = {
    ("runs",): "select run, pipeline, status, started from p_runs order by started desc limit 20",
    ("tables",): 'select "table", max(version), rows from p_table_versions group by "table"',
    ("models",): "select model, version, status, canonical_hash, run from p_versions order by model, version",
    ("deployments",): "select deployment, endpoint, model, version, at from p_deployments order by seq desc",
    ("monitor",): "select window, version, monitor, verdict, sentence from p_monitors order by window, version, monitor",
    ("status",): "select pipeline, max(started) from p_runs group by pipeline",
    ("actor", "list"): "select id, name, proof from p_actors order by seq",
}
_BARE = """
import sqlite3, sys
for row in sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True).execute(sys.argv[2]):
    print(*row)
"""
_OPENED = """
import time
began = time.perf_counter()
import werk
w = werk.open(__import__("sys").argv[1])
print('{"s": %f}' % (time.perf_counter() - began))
"""

_IMPORTED = """
import time
began = time.perf_counter()
import sqlite3
print('{"s": %f}' % (time.perf_counter() - began))
"""


def run(quick: bool) -> list[Line]:
    runs, rounds = (1_000, 3) if quick else (10_000, 9)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "case"
        root.mkdir()
        (root / "werk.toml").write_text('[project]\nname = "delay"\nid = "prj_case"\n')
        home = {"WERK_HOME": f"{folder}/home"}
        worker("listings_fill", root, runs, environment=home)()
        lines = [_listing(words, query, root, home, runs, rounds) for words, query in _ASKED.items()]
        return [*lines, _opened(root, home, runs, rounds)]


def _listing(words: tuple[str, ...], query: str, root: Path, home: dict[str, str], runs: int, rounds: int) -> Line:
    ours: Side = lambda: child([sys.executable, "-m", "werk", *words, "--project", root], what=" ".join(words), environment=home)  # noqa: E731
    bare: Side = lambda: child([sys.executable, "-c", _BARE, root / ".werk" / "journal.db", query], what="sqlite3")  # noqa: E731
    werk, limit = in_turn(rounds, ours, bare)
    return compared(
        "listings",
        f"werk {' '.join(words)}",
        werk,
        limit,
        against="limit",
        unit="s",
        target=_TARGET,
        met=lambda seconds, _: seconds <= 0.5,
        inside=f"the whole process, from its start to its end, at {runs:,} runs of six steps and {runs // 10:,} versions, each "
        "approved, deployed and checked by five monitors; limit: a bare Python that asks SQLite for the same rows",
    )


def _opened(root: Path, home: dict[str, str], runs: int, rounds: int) -> Line:
    ours: Side = lambda: child([sys.executable, "-c", _OPENED, root], what="werk.open()", environment=home)  # noqa: E731
    bare: Side = lambda: child([sys.executable, "-c", _IMPORTED], what="import sqlite3")  # noqa: E731
    werk, limit = in_turn(rounds, ours, bare)
    return compared(
        "listings",
        "werk.open()",
        werk,
        limit,
        against="limit",
        unit="s",
        target=_TARGET,
        met=lambda seconds, _: seconds <= 0.5,
        inside=f"`import werk` and `werk.open()` in a started interpreter, at {runs:,} runs; limit: `import sqlite3`",
        name="s",
    )
