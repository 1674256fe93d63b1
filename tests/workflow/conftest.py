"""A platform of its own for every test: a journal in SQLite, objects in memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from werk.core.nouns import Actor, Project, new_id
from werk.core.platform import Platform
from werk.core.plugins import build
from werk.journal import open_journal
from werk.workflow.facts import PROJECTIONS


class NoPort:
    """Stands where a port is not used: the first use of it fails the test."""


def platform_with(journal: object, root: Path) -> Platform:
    missing: Any = NoPort()
    return Platform(
        project=Project(new_id("prj"), "tests", root),
        actor=Actor("act_tests", "tests", "local"),
        stage="test",
        journal=cast("Any", journal),
        table_store=missing,
        object_store=cast("Any", build("object_store", "memory", {})),
        key_store=missing,
        identity=missing,
        model_format={},
        meter=cast("Any", build("meter", "process", {})),
    )


@pytest.fixture
def stores(tmp_path: Path) -> Platform:
    """A platform without a journal, for what only needs objects."""
    return platform_with(NoPort(), tmp_path)


@pytest.fixture
def platform(tmp_path: Path) -> Iterator[Platform]:
    url = f"sqlite:///{tmp_path / 'journal.db'}"
    # The root is the tests' own folder, so that steps defined in a test count as the project's code.
    journal = open_journal(url, project=new_id("prj"), actor="act_tests", projections=PROJECTIONS)
    yield platform_with(journal, Path(__file__).parent)
    journal.close()
