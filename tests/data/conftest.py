"""A platform of a Delta store and a SQLite journal, as `werk init` makes it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import werk
from werk.adapters.table_store.delta import DeltaTableStore
from werk.core.nouns import Actor, Project
from werk.core.platform import Platform
from werk.data import PROJECTIONS, Contract, Landing, land, load_contract
from werk.journal import SqlJournal, open_journal

FLIGHTS = Path(werk.__file__).parent / "templates/flights"
TABLES = ("airlines", "airports", "planes", "weather", "flights")  # flights refer to the others


def journal(file: Path) -> SqlJournal:
    return open_journal(f"sqlite:///{file}", project="prj_test", actor="act_test", projections=PROJECTIONS)


def platform(folder: Path) -> Platform:
    unused: Any = None
    return Platform(
        project=Project("prj_test", "test", folder),
        actor=Actor("act_test", "test", "local"),
        stage="test",
        journal=journal(folder / "journal.db"),
        table_store=DeltaTableStore(folder / "lake"),
        object_store=unused,
        key_store=unused,
        identity=unused,
        model_format={},
        meter=unused,
    )


def _close(p: Platform) -> None:
    assert isinstance(p.journal, SqlJournal)
    p.journal.close()


@pytest.fixture(scope="session")
def new_platform() -> Iterator[Callable[[Path], Platform]]:
    made: list[Platform] = []

    def new(folder: Path) -> Platform:
        made.append(platform(folder))
        return made[-1]

    yield new
    for p in made:
        _close(p)


@pytest.fixture
def p(tmp_path: Path) -> Iterator[Platform]:
    made = platform(tmp_path)
    yield made
    _close(made)


@pytest.fixture
def forgetful(p: Platform, tmp_path: Path) -> Iterator[Platform]:
    """The same tables, and a journal that was never told of them: as after a kill between a commit and its fact."""
    made = replace(p, journal=journal(tmp_path / "second.db"))
    yield made
    _close(made)


@pytest.fixture(scope="session")
def year(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Platform, dict[str, Landing]]]:
    """The flights of 2013 landed under their contracts; only read by the tests."""
    made = platform(tmp_path_factory.mktemp("year"))
    contracts = {name: load_contract(FLIGHTS / f"contracts/raw.{name}.yaml") for name in TABLES}
    sources = {name: FLIGHTS / f"data/{name}.parquet" for name in TABLES}
    yield made, {name: land(made, f"raw.{name}", sources[name], contract=contracts[name]) for name in TABLES}
    _close(made)


@pytest.fixture
def contract(tmp_path: Path) -> Callable[..., Contract]:
    """A contract for `raw.t` with these YAML lines as its properties."""

    def made(*properties: str) -> Contract:
        head = "apiVersion: v3.1.0\nkind: DataContract\nid: t\nversion: 1.0.0\nstatus: active\n"
        lines = "".join(f"  - {{{line}}}\n" for line in properties)
        file = tmp_path / "raw.t.yaml"
        file.write_text(f"{head}schema:\n- name: t\n  properties:\n{lines}", encoding="utf-8")
        return load_contract(file)

    return made
