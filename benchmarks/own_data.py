"""From a CSV of 10,000 rows to the first approved model by `werk`, beside a bare script that fits and measures the same model."""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

from benchmarks.measure import Line, compared, in_turn, worker

_HEADER = (
    "UID,Product ID,Type,Air temperature [K],Process temperature [K],Rotational speed [rpm],Torque [Nm],Tool wear [min],"
    "Machine failure"
)
_ROWS = 10_000


def run(quick: bool) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "machines.csv"
        of = _write(source)
        environment = {"WERK_HOME": f"{folder}/home"}
        sides = [worker(name, source, environment=environment) for name in ("own_data_werk", "own_data_bare")]
        werk, limit = in_turn(2 if quick else 5, *sides)
        return [
            compared(
                "own-data",
                "init to approved",
                werk,
                limit,
                against="limit",
                unit="s",
                target="<= 60 s",
                met=lambda seconds, _: seconds <= 60,
                inside=f"six processes of werk (init, ingest, run training, actor add, approve, which deploys, models) on "
                f"{_ROWS:,} rows of {of}; limit: one process that reads the file, fits LightGBM with the same parameters and "
                "measures its AUC",
            )
        ]


def _write(source: Path) -> str:
    """AI4I 2020 where `WERK_DATA` names its folder, else rows drawn in its form."""
    real = Path(os.environ.get("WERK_DATA", "")) / "ai4i2020" / "ai4i2020.csv"
    if real.is_file():
        source.write_bytes(real.read_bytes())
        return "AI4I 2020"
    draw = random.Random(7)
    source.write_text("\n".join([_HEADER, *(_part(draw, at) for at in range(_ROWS))]) + "\n", encoding="utf-8")
    return "drawn parts in the form of AI4I 2020"


def _part(draw: random.Random, at: int) -> str:
    torque, wear, kind = draw.gauss(40, 10), draw.randrange(250), draw.choice("LLLMMH")
    numbers = (f"{draw.gauss(300, 2):.1f}", f"{draw.gauss(310, 1.5):.1f}", draw.randrange(1200, 2500), f"{torque:.1f}", wear)
    return ",".join(map(str, (at, f"{kind}{at}", kind, *numbers, int(torque * wear > 9000))))
