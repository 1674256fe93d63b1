"""`python -m benchmarks list` names the cases; `run CASE... [--quick] [--json FILE] [--proof]` runs them.

`--proof` writes docs/proofs/benchmark-CASE.json: what was found, of which commit, on which machine and how busy it was."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks import empty_pipeline, journal, lineage, listings, own_data, realtime, startup
from benchmarks.measure import Line, NotMeasured, not_measured
from benchmarks.proof import PROOFS, began, written

CASES: dict[str, Callable[[bool], list[Line]]] = {
    "startup": startup.run,
    "empty-pipeline": empty_pipeline.run,
    "journal": journal.run,
    "lineage": lineage.run,
    "listings": listings.run,
    "own-data": own_data.run,
    "realtime": realtime.run,
}


def main(arguments: Sequence[str] | None = None) -> int:
    given = _parser().parse_args(arguments)
    if given.command == "list":
        for name, case in CASES.items():
            print(f"{name:16}{(sys.modules[case.__module__].__doc__ or '').splitlines()[0]}")
        return 0
    lines = [line for name in given.cases for line in _one(name, given)]
    if given.json:
        given.json.write_text(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="name the cases")
    run = commands.add_parser("run", help="run cases side by side with their peers and limits")
    run.add_argument("cases", nargs="+", choices=list(CASES), metavar="CASE")
    run.add_argument("--quick", action="store_true", help="shrink the work, not the comparison")
    run.add_argument("--json", type=Path, metavar="FILE")
    run.add_argument("--proof", action="store_true", help="write docs/proofs/benchmark-CASE.json")
    run.add_argument("--proofs", type=Path, default=PROOFS, metavar="FOLDER", help="another folder for --proof")
    return parser


def _one(name: str, given: argparse.Namespace) -> list[Line]:
    if not given.proof:
        return _run(name, given.quick)
    begun = began(name, quick=given.quick)  # before the case: its own load, and its own files, are not the machine's
    lines = _run(name, given.quick)
    print(f"written: {written(given.proofs, name, begun, lines)}")
    return lines


def _run(name: str, quick: bool) -> list[Line]:
    try:
        lines = CASES[name](quick)
    except NotMeasured as why:
        lines = [not_measured(name, "all", "", "", why)]
    for line in lines:
        print(_shown(line), flush=True)
    return lines


def _shown(line: Line) -> str:
    head = f"{line.case} / {line.metric}"
    if line.werk is None:
        return f"{head}: {line.inside}"
    other = f"peer {line.peer:.4g}" if line.peer is not None else f"limit {line.limit:.4g}" if line.limit is not None else "alone"
    verdict = {True: "met", False: "MISSED", None: "no target"}[line.met]
    shown = [
        f"{head}: werk {line.werk:.4g} (spread {line.werk_spread or 0:.2g}) {line.unit}",
        f"{other} (spread {line.other_spread or 0:.2g})",
    ]
    shown.append(f"ratio {line.ratio:.3g}" if line.ratio is not None else "no ratio")
    shown.append(f"peak {line.werk_peak_mb or 0:.0f} / {line.other_peak_mb or 0:.0f} MB")
    shown.append(f"target {line.target}: {verdict}")
    return f"{', '.join(shown)}\n    inside: {line.inside}"


if __name__ == "__main__":
    raise SystemExit(main())
