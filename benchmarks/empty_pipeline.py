"""Seven empty durable steps beside raw DBOS and Prefect: what the platform itself costs."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.measure import Line, NotMeasured, Trial, alone, child, compared, in_turn, not_measured, peer_python, worker

_INSIDE = (
    "a warm process: start and drive one run of seven empty steps, divided by seven; median over the runs. "
    "werk: journal and its projections at synchronous FULL. {other}"
)
_PEERS: dict[str, tuple[tuple[str, ...], str, str, Callable[[float, float], bool]]] = {
    "dbos": (
        ("dbos==3.4.0",),
        "DBOS: its own SQLite system database at synchronous FULL.",
        "<= 1.5x raw DBOS per step",
        lambda werk, other: werk <= 1.5 * other,
    ),
    "prefect": (
        ("prefect==3.8.8", "fastapi<0.150"),
        "Prefect: its in-process server and SQLite database, seven tasks in a flow.",
        "<= 0.1x Prefect per step",
        lambda werk, other: werk <= 0.1 * other,
    ),
}

_PROJECT = {
    "werk.toml": '[project]\nname = "empty"\nid = "prj_empty"\n',
    "pipelines.py": """from werk import pipeline, step


@step("empty")
def empty(value: int) -> int:
    return value


@pipeline
def seven(value: int = 1):
    for _ in range(7):
        value = empty(value)
""",
}


def run(quick: bool) -> list[Line]:
    runs = 10 if quick else 60
    return [*(_beside(name, runs, *peer) for name, peer in _PEERS.items()), _called(3 if quick else 9)]


def _called(rounds: int) -> Line:
    """The whole command, as a person waits for it."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "empty"
        root.mkdir()
        for name, text in _PROJECT.items():
            (root / name).write_text(text)
        command = [sys.executable, "-m", "werk.app.cli", "run", "seven", "--fresh", "--project", root]
        call = lambda: child(command, what="werk run", environment={"WERK_HOME": f"{folder}/home"})  # noqa: E731
        call()  # the first makes the journal
        [trials] = in_turn(rounds, call)
    return alone(
        "empty-pipeline",
        "werk run",
        trials,
        None,
        unit="s",
        target="< 3 s",
        met=lambda seconds: seconds < 3,
        inside="the whole process of `werk run --fresh` of seven empty steps, from start to end: code and environment captured, "
        "everything recorded at synchronous FULL; the journal is there already",
    )


def _beside(name: str, runs: int, packages: Sequence[str], said: str, target: str, met: Callable[[float, float], bool]) -> Line:
    metric = f"step beside {name}"
    try:
        ours, others = _measured(name, runs, peer_python(name, packages))
    except NotMeasured as why:
        return not_measured("empty-pipeline", metric, "ms/step", target, why)
    against = "limit" if name == "dbos" else "peer"
    return compared(
        "empty-pipeline",
        metric,
        ours,
        others,
        against=against,
        unit="ms/step",
        target=target,
        met=met,
        inside=_INSIDE.format(other=said),
        name="ms_per_step",
    )


def _measured(name: str, runs: int, python: Path) -> list[list[Trial]]:
    return in_turn(3, worker("pipeline_werk", runs), worker(f"pipeline_{name}", min(runs, 20), python=python))
