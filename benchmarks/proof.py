"""What a benchmark found, with the commit, the command and the machine it was found on, as a file in docs/proofs."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.measure import Line

ROOT = Path(__file__).parents[1]
PROOFS = ROOT / "docs" / "proofs"


def began(case: str, *, quick: bool) -> dict[str, object]:
    """Everything but the result, taken before the case runs."""
    return {
        "case": case,
        "command": f"python -m benchmarks run {case}{' --quick' if quick else ''} --proof",
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": {"cpu": _cpu(), "cores": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
        "load_before": _load(),
    }


def written(folder: Path, case: str, begun: dict[str, object], lines: Sequence[Line]) -> Path:
    path = folder / f"benchmark-{case}.json"
    folder.mkdir(parents=True, exist_ok=True)
    proof = {**begun, "load_after": _load(), "lines": [asdict(line) for line in lines]}
    path.write_text(json.dumps(proof, indent=1) + "\n", encoding="utf-8")
    return path


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _cpu() -> str:
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.is_file() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.processor())


def _load() -> list[float] | None:
    """Over 1, 5 and 15 minutes; None where the system does not say."""
    return [round(value, 2) for value in os.getloadavg()] if hasattr(os, "getloadavg") else None
