"""Journals on both databases, opened for two small projections."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from werk.core.journal import Change, Column, Delete, Fact, Projection, Update, Upsert
from werk.journal import SqlJournal, open_journal

Open = Callable[..., SqlJournal]


def _runs(fact: Fact) -> Iterable[Change]:
    if fact.kind == "run.started":
        yield Upsert({"run": fact.subject, "status": "running", "info": fact.body, "ok": None, "score": 0.5, "tries": 1})
    elif fact.kind == "run.finished":
        yield Update({"run": fact.subject}, {"status": "finished", "ok": True})
    else:
        yield Delete({"run": fact.subject})


def _aliases(fact: Fact) -> Iterable[Change]:
    assert fact.body is not None
    yield Upsert({"model": fact.subject, "alias": "champion", "version": fact.body["version"]})


PROJECTIONS = (
    Projection(
        name="runs",
        columns=(
            Column("run"),
            Column("status"),
            Column("info", "json"),
            Column("ok", "bool"),
            Column("score", "real"),
            Column("tries", "int"),
        ),
        key=("run",),
        kinds=("run.started", "run.finished", "run.dropped"),
        apply=_runs,
        index=(("status",),),
    ),
    Projection(
        name="aliases",
        columns=(Column("model"), Column("alias"), Column("version", "int")),
        key=("model", "alias"),
        kinds=("alias.set",),
        apply=_aliases,
        history=True,
    ),
)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'journal.db'}"
    found: str = request.getfixturevalue("postgres_url")
    return found


@pytest.fixture
def lite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'journal.db'}"


@pytest.fixture
def opened() -> Iterator[Open]:
    """Opens journals and closes them all at the end."""
    journals: list[SqlJournal] = []
    numbers = itertools.count()

    def open_(url: str, **changes: object) -> SqlJournal:
        settings: dict[str, object] = {"project": "prj_a", "actor": f"act_{next(numbers)}", "projections": PROJECTIONS}
        journal = open_journal(url, **{**settings, **changes})  # type: ignore[arg-type]
        journals.append(journal)
        return journal

    yield open_
    for journal in journals:
        journal.close()
