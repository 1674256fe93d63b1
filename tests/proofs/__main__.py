"""Slow proofs, each by one command, in full.

`python -m tests.proofs list` names them, `python -m tests.proofs NAME...` runs them and writes docs/proofs/NAME.json,
`python -m tests.proofs check` says which results still stand: nothing they cover has changed since.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
RESULTS = Path("docs") / "proofs"
CORE = ("src/werk/core", "tests/conftest.py")


@dataclass(frozen=True, slots=True)
class Proof:
    """`size` is what makes the sample that always runs the whole proof; `covers` are the rooms it speaks about."""

    says: str
    tests: tuple[str, ...]
    size: Mapping[str, str]
    covers: tuple[str, ...]


PROOFS: Mapping[str, Proof] = {
    "kill-engine": Proof(
        "500 kills at random moments of a run, on SQLite and on Postgres, with one and with two workers: nothing is lost, "
        "nothing doubled, nothing finished is done again.",
        ("tests/crash/test_engine.py",),
        {"WERK_KILLS": "500"},
        (
            *CORE,
            "src/werk/workflow",
            "src/werk/journal",
            "src/werk/adapters/object_store/file.py",
            "tests/crash/engine_worker.py",
        ),
    ),
    "kill-journal": Proof(
        "200 kills of a writer on SQLite and on Postgres: no acknowledged fact is lost, no append is halved, the chain verifies.",
        ("tests/crash/test_journal_crash.py",),
        {"WERK_KILLS": "200"},
        (*CORE, "src/werk/journal"),
    ),
    "kill-delta": Proof(
        "100 kills of a table's writer: every version that can be seen is the whole of one write.",
        ("tests/crash/test_delta_writer.py",),
        {"WERK_KILLS": "100"},
        (*CORE, "src/werk/adapters/table_store"),
    ),
    "leak": Proof(
        "A cutoff on every day of the flights' year: no feature changes with what was known only later.",
        ("tests/features/test_flights_leak_sweep.py", "tests/features/test_flights_leak.py"),
        {"WERK_CUTOFFS": "363"},
        (*CORE, "src/werk/features", "src/werk/templates/flights"),
    ),
    "own-data": Proof(
        "Files nobody wrote werk for, from `werk init` to an approved model that answers, is watched and rebuilt: no code, at "
        "most 10 commands. With WERK_DATA also AI4I 2020 and the employment of Massachusetts (the test says where they lie).",
        ("tests/app/test_own_journeys.py",),
        {},
        (*CORE, "src/werk/app/own", "src/werk/templates/tabular", "src/werk/models", "src/werk/pipelines"),
    ),
    "double-training": Proof(
        "20 trainings in processes of their own, each with another hash seed and another order of rows, give one hash a trainer.",
        ("tests/models/test_double_training.py",),
        {"WERK_TRAININGS": "20"},
        (*CORE, "src/werk/models", "src/werk/adapters/model_format"),
    ),
}


def main(words: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(words)
    match given.names:
        case ["list"]:
            print("\n".join(f"{name:16}{proof.says}" for name, proof in PROOFS.items()))
            return 0
        case ["check"]:
            return max([_check(name) for name in PROOFS])
        case names:
            return max([_run(name, PROOFS[name], given.seed) for name in names])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.proofs", description=__doc__)
    parser.add_argument("names", nargs="+", choices=["list", "check", *PROOFS], metavar="list | check | NAME...")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32), help="draw the same moments again")
    return parser


def _run(name: str, proof: Proof, seed: int) -> int:
    print(f"{name}: {proof.says} (seed {seed})", flush=True)
    commit, dirty = _git("rev-parse", "HEAD"), bool(_git("status", "--porcelain", "--", "src", "tests", "pyproject.toml"))
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        report = Path(place) / "report.xml"
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-n",
            "0",
            "-p",
            "no:randomly",
            "-o",
            "junit_family=legacy",
            f"--junitxml={report}",
        ]
        command += proof.tests
        code = subprocess.run(command, cwd=ROOT, env={**os.environ, **proof.size, "WERK_SEED": str(seed)}, check=False).returncode
        tests = _tests(report)
    if not tests:
        print(f"{name}: cut off with {code} before it found anything; nothing was written", flush=True)
        return 1
    held = code == 0 and all(test["outcome"] == "passed" for test in tests)
    written: dict[str, Any] = {
        "proof": name,
        "says": proof.says,
        "held": held,
        "commit": commit,
        "dirty": dirty,
        "command": f"python -m tests.proofs {name} --seed {seed}",
        "size": dict(proof.size),
        "seed": seed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(time.monotonic() - began),
        "machine": _machine(),
        "covers": [*proof.covers, *proof.tests],
        "result": tests,
    }
    target = ROOT / RESULTS / f"{name}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")
    print(f"{name}: {'held' if held else 'DID NOT HOLD'} in {written['seconds']} s; {RESULTS / target.name} written", flush=True)
    return 0 if held else 1


def _tests(report: Path) -> list[dict[str, Any]]:
    """Each test with its outcome and what it counted."""
    if not report.is_file():
        return []
    return [_test(case) for case in ET.parse(report).iter("testcase")]


def _test(case: ET.Element) -> dict[str, Any]:
    bad = next((child.tag for child in case if child.tag in ("failure", "error", "skipped")), None)
    counted = {item.get("name", ""): _number(item.get("value", "")) for item in case.iter("property")}
    seconds = round(float(case.get("time", "0")), 1)
    return {"test": case.get("name"), "outcome": bad or "passed", "seconds": seconds, **counted}


def _number(text: str) -> int | str:
    return int(text) if text.isdigit() else text


def _machine() -> dict[str, object]:
    kind = f"{platform.system()} {platform.machine()}"
    return {"system": kind, "python": platform.python_version(), "cores": os.cpu_count()}


def _check(name: str) -> int:
    """0 when the recorded result held and nothing it covers has changed since, in the work tree either."""
    path = ROOT / RESULTS / f"{name}.json"
    if not path.is_file():
        return _said(name, "was not run yet")
    found = json.loads(path.read_text(encoding="utf-8"))
    if not found["held"]:
        return _said(name, f"did not hold at {found['commit'][:12]}")
    if found["dirty"]:
        return _said(name, f"ran on uncommitted changes beside {found['commit'][:12]}")
    changed = _changed(found["commit"], found["covers"])
    if changed is None:
        return _said(name, f"ran on {found['commit'][:12]}, which this checkout does not have")
    if changed:
        return _said(name, f"is older than {', '.join(changed[:4])}{' ...' if len(changed) > 4 else ''}")
    print(f"{name:16}stands: nothing it covers has changed since {found['commit'][:12]} ({found['date'][:10]})")
    return 0


def _said(name: str, what: str) -> int:
    print(f"{name:16}{what}: python -m tests.proofs {name}")
    return 1


def _changed(commit: str, covers: Sequence[str]) -> list[str] | None:
    done = subprocess.run(
        ["git", "diff", "--name-only", commit, "--", *covers], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return None if done.returncode else done.stdout.split()


def _git(*words: str) -> str:
    return subprocess.run(["git", *words], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
