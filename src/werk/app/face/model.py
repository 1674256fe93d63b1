"""One model version: what it was judged by, what it says of rows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import polars as pl

from werk import registry
from werk.app.commands import verdicts
from werk.app.commands.predict import asked
from werk.app.commands.show import version_record
from werk.app.face.frame import Frame
from werk.app.face.html import block, verbatim, word
from werk.app.face.project import Project
from werk.app.face.shown import Record
from werk.core.errors import InputError
from werk.pipelines.story.markup import Html, tag
from werk.workflow.frames import to_polars
from werk.workflow.types import frame_kind

WIDE, LINE = 420, 24


class Model:
    """`name`, `version`, `status`, `aliases`, `run` and `evaluation` of a registered version."""

    def __init__(self, project: Project, name: str) -> None:
        self._project = project
        with project.session() as session:
            self._mv = registry.resolve(session.p, name if "@" in name or ":" in name else f"{name}@champion")
            self.record = version_record(session, session.p.journal, self._mv)
        self.name, self.version = self._mv.model, self._mv.version

    @property
    def status(self) -> str:
        """pending, approved, rejected or retired."""
        return str(self.record["status"])

    @property
    def aliases(self) -> list[str]:
        return cast("list[str]", self.record["aliases"])

    @property
    def run(self) -> str:
        """The run that trained it."""
        return str(self.record["run"])

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """Metrics with intervals, the gate's rules, golden points, behaviour tests; empty when they were erased."""
        return cast("Mapping[str, Any]", self.record["evaluation"] or {})

    def predict(self, rows: object) -> Frame:
        """Score rows: a frame (polars, pandas, Arrow), a list of mappings, a file's path or a table's name.

        They need the model's key and features. The lake is left as it is; for a batch that is kept, start the pipeline.
        """
        with self._project.session() as session:
            scored = asked(session, self._mv, rows if isinstance(rows, str) else _frame(rows))
        return Frame(scored.drop("model", "version", "canonical_hash", "input_snapshot"), f"scored by {self}\n")

    def lineage(self) -> Record:
        return self._project.lineage(str(self))

    def approve(self, comment: str = "") -> Model:
        """Approve it as whoever this process is, or the holder of WERK_TOKEN; its trainer may be refused (a second actor)."""
        self._project.ask("models.approve", version=str(self), comment=comment)
        return Model(self._project, str(self))

    def __str__(self) -> str:
        return str(self._mv)

    def __repr__(self) -> str:
        names = f" ({', '.join(self.aliases)})" if self.aliases else ""
        return "\n".join([f"{self}  {self.status}{names}", *(verdicts.whole(self.evaluation) if self.evaluation else ())])

    def _repr_html_(self) -> str:
        names = f", {', '.join(self.aliases)}" if self.aliases else ""
        return block(str(self), _short(str(self.record["canonical_hash"])), tag("div", word(self.status), names), *self._judged())

    def _judged(self) -> Iterator[Html]:
        if self.evaluation:
            yield bars(cast("Mapping[str, Any]", self.evaluation["metrics"]))
            yield tag("details", tag("summary", "the gate"), verbatim("\n".join(verdicts.whole(self.evaluation))))


def _short(identity: str) -> str:
    """Its form and twelve digits: `lightgbm:1eb094494149`."""
    form, _, digest = identity.rpartition(":")
    return f"{form.rpartition(':')[2]}:{digest[:12]}"


def bars(metrics: Mapping[str, Any]) -> Html:
    """Every metric between 0 and 1 on one scale, with its interval."""
    found = [(name, entry) for name, entry in metrics.items() if isinstance(entry, Mapping) and _unit(entry.get("value"))]
    lines = [part for at, (name, entry) in enumerate(found) for part in _bar(name, entry, at * LINE)]
    height = len(found) * LINE + 22
    ends = [_words(180, height - 5, "0", "start"), _words(180 + WIDE, height - 5, "1", "end")]
    axis = tag("line", x1=180, x2=180 + WIDE, y1=height - 18, y2=height - 18, class_="line")
    said = ", ".join(f"{name} {entry['value']:.3f}" for name, entry in found)
    return tag("svg", tag("title", said), *lines, axis, *ends, viewBox=f"0 0 700 {height}", width=700, role="img")


def _bar(name: str, entry: Mapping[str, Any], y: int) -> Iterator[Html]:
    value, low, high = (entry.get(key) for key in ("value", "low", "high"))
    yield _words(170, y + 16, name, "end")
    yield tag("rect", x=180, y=y + 6, width=f"{WIDE * float(value or 0):.1f}", height=12, opacity="0.35")
    if _unit(low) and _unit(high):
        x1, x2 = (180 + WIDE * float(cast("float", end)) for end in (low, high))
        yield tag(
            "path", d=f"M{x1:.1f} {y + 8} v8 M{x1:.1f} {y + 12} H{x2:.1f} M{x2:.1f} {y + 8} v8", class_="line", stroke_width="1.5"
        )
    yield _words(190 + WIDE, y + 16, f"{value:.3f}", "start")


def _unit(value: object) -> bool:
    return isinstance(value, int | float) and 0 <= value <= 1


def _words(x: float, y: float, said: str, anchor: str) -> Html:
    return tag("text", said, x=f"{x:g}", y=f"{y:g}", text_anchor=anchor)


def _frame(rows: object) -> pl.DataFrame:
    if frame_kind(type(rows)):
        return to_polars(rows)
    if isinstance(rows, Frame):
        return rows.to_polars()
    if isinstance(rows, Sequence) and rows and all(isinstance(row, Mapping) for row in rows):
        return pl.from_dicts([dict(row) for row in rows], infer_schema_length=None)
    hint = "Give a frame of polars, pandas or Arrow, a list of mappings, a file's path or a table's name."
    raise InputError(f"Rows to score cannot be a {type(rows).__name__}.", code="rows-kind", hint=hint)
