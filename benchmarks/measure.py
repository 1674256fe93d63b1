"""Runs both sides in turn, each trial in its own process, and puts their medians side by side."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

WORKERS = Path(__file__).parent / "workers"
CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "werk-benchmarks"


class NotMeasured(Exception):
    """Why a side could not be measured: said in the report instead of a number."""


@dataclass(frozen=True, slots=True)
class Line:
    """One comparison. `peer` is another product, `limit` what the machine gives without us; spreads are max - min."""

    case: str
    metric: str
    werk: float | None
    peer: float | None
    limit: float | None
    unit: str
    ratio: float | None
    target: str
    met: bool | None
    inside: str
    werk_spread: float | None = None
    other_spread: float | None = None
    werk_peak_mb: float | None = None
    other_peak_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    values: dict[str, float]
    wall_s: float
    peak_mb: float


Side = Callable[[], Trial]


def child(command: Sequence[str | Path], *, what: str = "", environment: Mapping[str, str] | None = None) -> Trial:
    """One process: the numbers of its last line of output (a JSON object), its wall time and its peak memory."""
    began = time.perf_counter()
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(environment or {})},
    )
    out, err = process.communicate() if os.name == "nt" else _read(process)
    wall = time.perf_counter() - began
    if process.returncode:
        raise NotMeasured(f"{what or Path(str(command[-1])).name} failed: {_last_words(err, out, process.returncode)}")
    *_, line = out.strip().splitlines() or [""]
    values = json.loads(line) if line.startswith("{") else {}
    return Trial(values, wall, _PEAK_MB.pop(process.pid, 0.0))


def _last_words(err: str, out: str, code: int) -> str:
    """The end of what it said, on stderr if it did: an error's own line may be empty, and the one before it tells."""
    said = [line.strip() for line in (err.strip() or out.strip()).splitlines() if line.strip()]
    return " / ".join(said[-3:])[-600:] or f"no message, exit code {code}"


_PEAK_MB: dict[int, float] = {}


def _read(process: subprocess.Popen[str]) -> tuple[str, str]:
    """Like `communicate`, but waits with `wait4`, which alone tells this child's peak memory."""
    assert process.stdout
    assert process.stderr
    told: list[str] = []
    listener = threading.Thread(target=lambda pipe: told.append(pipe.read()), args=(process.stderr,))
    listener.start()  # a child that says much on stderr would wait for somebody to read it
    out = process.stdout.read()
    listener.join()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    _PEAK_MB[process.pid] = usage.ru_maxrss / 1024
    process.stdout.close()
    process.stderr.close()
    return out, told[0]


def worker(
    name: str, *arguments: object, python: Path | str = sys.executable, environment: Mapping[str, str] | None = None
) -> Side:
    command = [python, WORKERS / f"{name}.py", *map(str, arguments)]
    return lambda: child(command, what=name, environment=environment)


def in_turn(rounds: int, *sides: Side) -> list[list[Trial]]:
    """`rounds` trials of every side, one after the other in every round, so that a slow minute hits all of them."""
    found: list[list[Trial]] = [[] for _ in sides]
    for _ in range(rounds):
        for trials, side in zip(found, sides, strict=True):
            trials.append(side())
    return found


def median(trials: Sequence[Trial], name: str | None = None) -> float:
    return statistics.median(_values(trials, name))


def spread(trials: Sequence[Trial], name: str | None = None) -> float:
    values = _values(trials, name)
    return max(values) - min(values)


def _values(trials: Sequence[Trial], name: str | None) -> list[float]:
    return [trial.wall_s if name is None else trial.values[name] for trial in trials]


def peak(trials: Sequence[Trial]) -> float:
    return max(trial.peak_mb for trial in trials)


def compared(
    case: str,
    metric: str,
    ours: Sequence[Trial],
    others: Sequence[Trial],
    *,
    against: str,
    unit: str,
    target: str,
    met: Callable[[float, float], bool] | None,
    inside: str,
    name: str | None = None,
    scale: float = 1.0,
) -> Line:
    """`against` is `peer` or `limit`; `met(werk, other)` decides; the ratio is werk over the other."""
    werk, other = median(ours, name) * scale, median(others, name) * scale
    return Line(
        case=case,
        metric=metric,
        werk=werk,
        peer=other if against == "peer" else None,
        limit=other if against == "limit" else None,
        unit=unit,
        ratio=werk / other if other else None,
        target=target,
        met=met(werk, other) if met else None,
        inside=inside,
        werk_spread=spread(ours, name) * scale,
        other_spread=spread(others, name) * scale,
        werk_peak_mb=peak(ours),
        other_peak_mb=peak(others),
    )


def alone(
    case: str,
    metric: str,
    trials: Sequence[Trial],
    name: str | None,
    *,
    unit: str,
    inside: str,
    target: str = "none",
    met: Callable[[float], bool] | None = None,
) -> Line:
    """A figure that is held against a number, or against nothing."""
    value = median(trials, name)
    return Line(
        case=case,
        metric=metric,
        werk=value,
        peer=None,
        limit=None,
        unit=unit,
        ratio=None,
        target=target,
        met=met(value) if met else None,
        inside=inside,
        werk_spread=spread(trials, name),
        werk_peak_mb=peak(trials),
    )


def not_measured(case: str, metric: str, unit: str, target: str, why: object) -> Line:
    return Line(case, metric, None, None, None, unit, None, target, None, f"not measured: {why}")


def peer_python(name: str, packages: Sequence[str]) -> Path:
    """The Python of a peer's own environment, built once in the cache; raises `NotMeasured` when it cannot be installed."""
    home = CACHE / name
    python = home / "bin" / "python"
    wanted = "\n".join(packages)
    if (home / "installed").is_file() and (home / "installed").read_text() == wanted:
        return python
    shutil.rmtree(home, ignore_errors=True)
    for command in _install(home, python, packages):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=900, check=False)
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise NotMeasured(f"{name} could not be installed: {last[:200]}")
    (home / "installed").write_text(wanted)
    return python


def _install(home: Path, python: Path, packages: Sequence[str]) -> list[list[str | Path]]:
    uv = shutil.which("uv")
    if uv:
        return [[uv, "venv", "--python", sys.executable, home], [uv, "pip", "install", "--python", python, *packages]]
    return [[sys.executable, "-m", "venv", home], [python, "-m", "pip", "install", "--quiet", *packages]]
