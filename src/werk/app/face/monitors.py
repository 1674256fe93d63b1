"""What the monitors said: a table of windows, in a notebook as a timeline."""

from __future__ import annotations

from typing import Any

from werk.app.answers import Answer
from werk.app.face.html import block, mark, table
from werk.app.face.shown import Listing


class Monitors(Listing):
    """A row for each verdict: model, version, window, monitor, verdict, sentence, values."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer.rows or (), answer.columns, answer.text)

    def _repr_html_(self) -> str:
        monitors = list(dict.fromkeys(str(row["monitor"]) for row in self))
        lines: dict[tuple[str, str], dict[str, Any]] = {}
        for row in self:
            of = f"{row['model']}:{row['version']}"
            line = lines.setdefault((str(row["window"]), of), {"window": row["window"], "model": of})
            line[str(row["monitor"])] = mark(row["verdict"], str(row["sentence"]))
        about = f"{len(lines)} window{'' if len(lines) == 1 else 's'}"
        return block("monitors", about, table(list(lines.values()), ("window", "model", *monitors)))
