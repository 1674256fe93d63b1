"""Which scored windows hold rows that the version had been trained on: of those its answers prove nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import polars as pl

from werk import models
from werk.core.canonical import JSON
from werk.core.journal import Row
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.core.spec import FromStep, Spec
from werk.pipelines.champion import SCORING, scored_in, trained_on

Scored = tuple[str, str]


def trained_rows(p: Platform, model: str) -> dict[Scored, int]:
    """By version and window how many of the rows it was trained on; what is no longer kept cannot be told and is left out."""
    batches = p.journal.rows("predictions_written", {"model": model}, order=("version",))
    found: dict[Scored, int] = {}
    for version in p.journal.rows("versions", {"model": model}):
        mine = [row for row in batches if row["model_version"] == version["version"] and _shares(row, version)]
        for row, count in _counted(p, version, mine) if mine and _is_whole(p, version["run"]) else ():
            found.setdefault((str(version["version"]), str(row["window"])), count)
    return {where: count for where, count in found.items() if count}


def _shares(batch: Row, version: Row) -> bool:
    """Rows of different tables are different rows, whatever their keys."""
    return bool(_tables(str(batch["input_snapshot"]).split()) & _tables(cast("list[str]", version["snapshots"])))


def _tables(snapshots: list[str]) -> set[str]:
    return {Snapshot.parse(text).table for text in snapshots}


def _counted(p: Platform, version: Row, batches: list[Row]) -> Iterator[tuple[Row, int]]:
    key = list(models.load_package(p, str(version["package_key"])).key)
    learnt = trained_on(p, str(version["run"]), key)
    for row in batches if learnt is not None else ():
        scored = scored_in(p, str(row["run"]), key) if _is_whole(p, row["run"]) else None
        if scored is not None:
            yield row, _common(scored, cast("pl.DataFrame", learnt), key)


def _is_whole(p: Platform, run: JSON) -> bool:
    """Whether nothing of what its steps gave each other was erased from the journal."""
    [row] = p.journal.rows("runs", {"run": run})
    ended = {step["step"] for step in p.journal.rows("steps", {"run": run}) if step["outputs"]}
    nodes = Spec.from_json(cast("dict[str, Any]", row["spec"])).nodes if row["spec"] else ()
    asked = [node for node in nodes if node.id in ended or node.fn == SCORING]
    return bool(asked) and all(
        source.node in ended for node in asked for source in node.inputs.values() if isinstance(source, FromStep)
    )


def _common(scored: pl.DataFrame, learnt: pl.DataFrame, key: list[str]) -> int:
    return len(scored.join(learnt, on=key, how="semi", nulls_equal=True)) if scored.schema == learnt.schema else 0
