"""What docs/proofs holds was written by a proof's command at a commit; whether it still stands, `check` says."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOUND = sorted((ROOT / "docs" / "proofs").glob("*.json"))
BENCHMARKS = [path for path in FOUND if path.stem.startswith("benchmark-")]
RESULTS = [path for path in FOUND if path not in BENCHMARKS]
NAMES = {"kill-engine", "kill-journal", "kill-delta", "leak", "own-data", "double-training"}
FIELDS = {"proof", "says", "held", "commit", "dirty", "command", "seed", "date", "seconds", "machine", "covers", "result"}


def proofs(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "tests.proofs", *words], cwd=ROOT, capture_output=True, text=True, check=False)


def test_every_proof_is_listed_with_a_sentence() -> None:
    lines = proofs("list").stdout.splitlines()
    assert {line.split()[0] for line in lines} == NAMES
    assert all(line.endswith(".") for line in lines)


def test_check_says_something_of_every_proof() -> None:
    said = proofs("check")
    assert {line.split()[0] for line in said.stdout.splitlines()} == NAMES, said.stderr
    assert said.stderr == ""


def test_an_unknown_proof_is_named() -> None:
    assert proofs("kill-everything").returncode == 2


def test_a_result_names_its_commit_its_command_and_what_it_found() -> None:
    for path in RESULTS:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert set(found) >= FIELDS
        assert found["proof"] == path.stem
        assert path.stem in NAMES
        assert re.fullmatch(r"[0-9a-f]{40}", found["commit"])
        assert found["command"].startswith(f"python -m tests.proofs {path.stem}")
        assert found["held"] is True
        assert found["result"]
        assert all((ROOT / covered).exists() for covered in found["covers"])


def test_a_benchmark_names_its_commit_its_command_its_load_and_what_it_measured() -> None:
    for path in BENCHMARKS:
        found = json.loads(path.read_text(encoding="utf-8"))
        assert path.stem == f"benchmark-{found['case']}"
        assert re.fullmatch(r"[0-9a-f]{40}", found["commit"])
        assert found["command"] == f"python -m benchmarks run {found['case']} --proof"
        assert len(found["load_before"]) == len(found["load_after"]) == 3
        assert found["lines"]
        assert all(line["inside"] for line in found["lines"])
