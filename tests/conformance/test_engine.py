"""The journal as engine, on both databases a journal lives in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from werk.core.nouns import Actor, Project, new_id
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.core.ports.engine import Progress
from werk.journal import SqlJournal, open_journal
from werk.testing.engine import EngineSuite, Place
from werk.workflow import PROJECTIONS
from werk.workflow.engine import Engine


@dataclass(frozen=True, slots=True)
class JournalBench:
    journal: SqlJournal
    platform: Platform

    def engine(self, *, lease_s: float = 30.0, progress: Callable[[Progress], None] | None = None) -> Engine:
        return Engine(self.platform, {}, lease_s=lease_s, progress=progress)

    def close(self) -> None:
        self.journal.close()


def opened(folder: Path, url: str, project: str) -> JournalBench:
    journal = open_journal(url, project=project, actor="act_suite", projections=PROJECTIONS)
    unused: Any = None
    store: Any = build("object_store", "file", {"path": folder.parent / "objects"})
    meter: Any = build("meter", "process", {})
    platform = Platform(
        project=Project(project, "suite", folder),
        actor=Actor("act_suite", "suite", "local"),
        stage="test",
        journal=journal,
        table_store=unused,
        object_store=store,
        key_store=unused,
        identity=unused,
        model_format={},
        meter=meter,
    )
    return JournalBench(journal, platform)


def place_at(tmp_path: Path, url: str) -> Place:
    folder = tmp_path / "use_case"
    folder.mkdir()
    return Place(folder, f"{__file__}:opened", {"url": url, "project": new_id("prj")})


class TestOnSqlite(EngineSuite):
    notyet = frozenset({"map", "when", "approval"})
    never = frozenset({"own clock"})

    @pytest.fixture
    def place(self, tmp_path: Path) -> Place:
        return place_at(tmp_path, f"sqlite:///{tmp_path / 'journal.db'}")


class TestOnPostgres(EngineSuite):
    notyet = frozenset({"map", "when", "approval"})

    @pytest.fixture
    def place(self, tmp_path: Path, postgres_url: str) -> Place:
        return place_at(tmp_path, postgres_url)
