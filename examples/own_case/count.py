"""python count.py: what one writes, types and decides for the same task, hand-assembled and with werk."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
MARKS = {"hand_assembled": "# decided", "werk": "# check this"}
HISTORY = "UID,Type,Air temperature [K],Torque [Nm],Machine failure\n"


@dataclass(frozen=True, slots=True)
class Counted:
    files: int
    lines: int
    decisions: int


def counted(files: Iterable[Path], mark: str) -> Counted:
    """Lines that say something: neither empty nor only a comment."""
    said = [path.read_text(encoding="utf-8").splitlines() for path in files]
    code = [line for lines in said for line in lines if line.strip() and not line.strip().startswith("#")]
    return Counted(len(said), len(code), sum(mark in line for lines in said for line in lines))


def written(side: str) -> list[Path]:
    """The files that somebody writes; the script that runs them is counted as commands."""
    return [path for path in sorted((HERE / side).rglob("*")) if path.is_file() and _kept(path) and path.name != "run.sh"]


def _kept(path: Path) -> bool:
    return path.suffix in {".py", ".yaml", ".json", ".toml", ".txt"} and "state" not in path.parts


def commands(side: str) -> int:
    """The lines of run.sh that start a tool of the stack, once each way."""
    tools = ("werk ", "python ", "(cd feature_repo && feast ", "uvicorn ", "token=$(werk ", "WERK_TOKEN=$token werk ")
    return sum(line.startswith(tools) for line in (HERE / side / "run.sh").read_text(encoding="utf-8").splitlines())


def proposed(folder: Path) -> list[Path]:
    """What `werk init --from` writes for a table of such columns, yours from then on."""
    rows = [f"{at},{'LMH'[at % 3]},{290 + at % 17},{40 + at % 29},{int(at % 29 > 25)}" for at in range(300)]
    (folder / "history.csv").write_text(HISTORY + "\n".join(rows), encoding="utf-8")
    init = [sys.executable, "-m", "werk.app.cli", "init", "machine-failure", "--from", "history.csv"]
    subprocess.run([*init, "--target", "Machine failure", "--key", "UID"], cwd=folder, check=True, capture_output=True)
    return [path for path in sorted((folder / "machine-failure").rglob("*")) if path.is_file() and _kept(path)]


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        by_werk = counted(proposed(Path(folder)), MARKS["werk"])
    by_hand, typed = (counted(written(side), MARKS[side]) for side in ("hand_assembled", "werk"))
    print(f"{'':24} hand-assembled   werk")
    print(f"{'files written':24} {by_hand.files:14}   {typed.files:4}")
    print(f"{'lines written':24} {by_hand.lines:14}   {typed.lines:4}   {typed.lines / by_hand.lines:.0%}")
    print(f"{'commands':24} {commands('hand_assembled'):14}   {commands('werk'):4}")
    print(f"{'decisions':24} {by_hand.decisions:14}   {by_werk.decisions:4}   proposed, to be checked")
    print(f"{'lines proposed':24} {0:14}   {by_werk.lines:4}   in {by_werk.files} files, yours to change")


if __name__ == "__main__":
    main()
