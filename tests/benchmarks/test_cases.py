"""The benchmarks list their cases, write what they found, and say why a side is missing."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
FIELDS = {"case", "metric", "werk", "peer", "limit", "unit", "ratio", "target", "met", "inside"}


def benchmarks(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "benchmarks", *arguments], cwd=ROOT, capture_output=True, text=True, check=False)


def test_list_names_every_case_with_a_sentence() -> None:
    lines = benchmarks("list").stdout.splitlines()
    assert [line.split()[0] for line in lines] == [
        "startup",
        "empty-pipeline",
        "journal",
        "lineage",
        "listings",
        "own-data",
        "realtime",
    ]
    assert all(len(line.split()) > 5 for line in lines)


def test_an_unknown_case_is_refused_with_the_known_ones() -> None:
    refused = benchmarks("run", "startpu")
    assert refused.returncode == 2
    assert "startup" in refused.stderr


def test_a_run_writes_every_field_and_a_ratio_that_follows_from_its_numbers(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert benchmarks("run", "startup", "--quick", "--json", str(out)).returncode == 0
    line = json.loads(out.read_text())[0]
    assert set(line) >= FIELDS
    assert line["ratio"] == line["werk"] / line["limit"]
    assert line["met"] is (line["werk"] - line["limit"] <= 60)


def test_a_proof_says_what_was_found_where_and_how(tmp_path: Path) -> None:
    out = tmp_path / "found.json"
    assert benchmarks("run", "startup", "--quick", "--proof", "--proofs", str(tmp_path), "--json", str(out)).returncode == 0
    proof = json.loads((tmp_path / "benchmark-startup.json").read_text())
    assert proof["lines"] == json.loads(out.read_text())
    head = subprocess.run(["git", "rev-parse", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert proof["commit"] == head.stdout.strip()
    assert proof["command"] == "python -m benchmarks run startup --quick --proof"
    assert isinstance(proof["dirty"], bool)
    assert proof["machine"]["cores"] >= 1
    assert len(proof["load_before"]) == len(proof["load_after"]) == 3


def test_a_failing_side_is_said_and_not_guessed(tmp_path: Path) -> None:
    script = (
        "from benchmarks.measure import NotMeasured, child, not_measured\nimport sys\n"
        "try: child([sys.executable, '-c', 'raise SystemExit(\"no such peer\")'], what='peer')\n"
        "except NotMeasured as why: print(not_measured('c', 'm', 's', '', why).inside)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "not measured: peer failed: no such peer"


def test_what_a_failing_side_said_is_given_however_much_it_was() -> None:
    script = (
        "from benchmarks.measure import NotMeasured, child\nimport sys\n"
        'loud = \'import sys; sys.stderr.write("x\\\\n" * 100_000 + "the reason\\\\n\\\\n"); sys.exit(3)\'\n'
        "for code in (loud, 'raise SystemExit(3)', 'print(\"only here\"); raise SystemExit(3)'):\n"
        "    try: child([sys.executable, '-c', code], what='peer')\n"
        "    except NotMeasured as why: print(why)\n"
    )
    said = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60)
    assert said.stdout.splitlines() == [
        "peer failed: x / x / the reason",
        "peer failed: no message, exit code 3",
        "peer failed: only here",
    ]


def test_the_lineage_worker_runs_on_what_the_journal_tells_of() -> None:
    worker = ROOT / "benchmarks" / "workers" / "lineage.py"
    done = subprocess.run(
        [sys.executable, worker, "20", "2", "50", "2"], capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert set(json.loads(done.stdout)) == {"werk", "bare", "as_of"}
