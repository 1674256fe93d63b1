"""How long `import werk` and `werk --help` keep a person waiting, beside a bare Python."""

from __future__ import annotations

import sys

from benchmarks.measure import Line, NotMeasured, child, compared, in_turn, not_measured

_HELP = "import sys; sys.argv = ['werk', '--help']; from werk.app.cli import main; main()"


def run(quick: bool) -> list[Line]:
    rounds = 5 if quick else 15
    python = sys.executable
    bare, imported = in_turn(rounds, lambda: child([python, "-c", "pass"]), lambda: child([python, "-c", "import werk"]))
    inside = "wall time of a whole process, from its start to its end"
    lines = [
        compared(
            "startup",
            "import werk",
            imported,
            bare,
            against="limit",
            unit="ms",
            scale=1000,
            target="<= 60 ms over bare python",
            met=lambda werk, limit: werk - limit <= 60,
            inside=inside,
        )
    ]
    try:
        bare, helped = in_turn(
            rounds, lambda: child([python, "-c", "pass"]), lambda: child([python, "-c", _HELP], what="werk --help")
        )
    except NotMeasured as why:
        return [*lines, not_measured("startup", "werk --help", "ms", "<= 250 ms", why)]
    line = compared(
        "startup",
        "werk --help",
        helped,
        bare,
        against="limit",
        unit="ms",
        scale=1000,
        target="<= 250 ms",
        met=lambda werk, _: werk <= 250,
        inside=inside,
    )
    return [*lines, line]
