"""Between a step's body and the port stand at most four of our own frames."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any, cast

import polars as pl
import pytest

import werk
from werk.adapters.table_store.memory import MemoryTableStore
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.data import PROJECTIONS, Pinned, write
from werk.features import Features, FeatureView
from werk.journal import open_journal

OURS = str(Path(werk.__file__).parent)
WEATHER = FeatureView("weather", entity="origin", table="raw.weather", event_time="at", features=["temp"], ttl=timedelta(hours=3))
DAY = datetime(2013, 7, 1, tzinfo=UTC)


class Watched(MemoryTableStore):
    """The memory store, noting how deep below the step's body it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.depths: list[int] = []

    def read(self, *given: Any, **named: Any) -> Any:
        self._note(inspect.currentframe())
        return super().read(*given, **named)

    def scan(self, *given: Any, **named: Any) -> Any:
        self._note(inspect.currentframe())
        return super().scan(*given, **named)

    def _note(self, asked: FrameType | None) -> None:
        self.depths.append(frames_of_ours(asked.f_back if asked else None))


def frames_of_ours(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None and frame.f_code.co_name != "step_body":
        depth += frame.f_code.co_filename.startswith(OURS)
        frame = frame.f_back
    assert frame is not None, "the step's body is not on the stack"
    return depth


def scans(tables: Pinned) -> pl.LazyFrame:
    return tables.scan("raw.weather")


def indexes(tables: Pinned) -> pl.LazyFrame:
    return tables["raw.weather"]


def joins(tables: Pinned) -> pl.LazyFrame:
    spine = pl.LazyFrame({"origin": ["JFK"], "cutoff": [DAY]})
    return Features(tables).join(spine, WEATHER, at="cutoff")


@pytest.mark.parametrize("ask", [scans, indexes, joins])
def test_a_training_step_is_at_most_four_frames_from_the_store(ask: Callable[[Pinned], pl.LazyFrame], tmp_path: Path) -> None:
    store = Watched()
    missing: Any = None
    ports = dict.fromkeys(("object_store", "key_store", "identity", "meter"), missing)
    journal = open_journal(f"sqlite:///{tmp_path}/journal.db", project="prj_t", actor="act_t", projections=PROJECTIONS)
    actor, project = Actor("act_t", "t", "local"), Project("prj_t", "t", tmp_path)
    bound = {"journal": journal, "table_store": cast("Any", store), "model_format": cast("Any", {})}
    p = Platform(project=project, actor=actor, stage="test", **bound, **ports)
    write(p, "raw.weather", pl.DataFrame({"origin": ["JFK"], "at": [DAY], "temp": [20.5]}))

    def step_body(tables: Pinned) -> pl.DataFrame:
        return ask(tables).collect()

    assert step_body(Pinned(p, {"raw.weather": 0})).height == 1
    journal.close()
    assert store.depths
    assert max(store.depths) <= 4
