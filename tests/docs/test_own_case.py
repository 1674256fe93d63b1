"""The comparison of one task done twice is counted from the files, and the way with werk runs."""

from __future__ import annotations

import os
import random
import runpy
import socket
import subprocess
import sys
from pathlib import Path

CASE = Path(__file__).parents[2] / "examples" / "own_case"
NUMBERS = ("Air temperature [K]", "Process temperature [K]", "Rotational speed [rpm]", "Torque [Nm]", "Tool wear [min]")
HEADER = ",".join(["UID", "Product ID", "Type", *NUMBERS, "Machine failure"]) + "\n"


def test_werk_needs_at_most_a_quarter_of_the_lines_and_ten_commands() -> None:
    names = runpy.run_path(str(CASE / "count.py"))
    by_hand, typed = (names["counted"](names["written"](side), names["MARKS"][side]) for side in ("hand_assembled", "werk"))
    assert 0 < typed.lines <= by_hand.lines / 4
    assert 0 < typed.files < by_hand.files
    assert 3 < names["commands"]("werk") <= 10


def test_the_page_shows_what_the_count_prints() -> None:
    command = [sys.executable, str(CASE / "count.py")]
    said = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    assert f"\n{said}```\n" in (CASE / "README.md").read_text(encoding="utf-8")


def test_the_way_with_werk_runs_as_it_is_written(tmp_path: Path) -> None:
    draw = random.Random(7)
    for name, count in (("history", 900), ("next", 300)):
        (tmp_path / f"{name}.csv").write_text(HEADER + "".join(_part(draw, at) for at in range(count)), encoding="utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment |= {"WERK_HOME": str(tmp_path / "home"), "PORT": port, "PATH": path}
    command = ["bash", str(CASE / "werk" / "run.sh"), "history.csv", "next.csv", "."]
    said = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert said.returncode == 0, said.stdout + said.stderr
    assert '"predictions":[' in said.stdout.replace(" ", "")
    assert "model quality" in said.stdout


def _part(draw: random.Random, at: int) -> str:
    torque, wear = draw.gauss(40, 10), draw.randrange(250)
    fails = int(torque * wear > 9000)
    kind = draw.choice("LLLMMH")
    numbers = (f"{draw.gauss(300, 2):.1f}", f"{draw.gauss(310, 1.5):.1f}", draw.randrange(1200, 2500), f"{torque:.1f}", wear)
    return ",".join(map(str, (at, f"{kind}{at}", kind, *numbers, fails))) + "\n"
