"""The journal beside bare SQLite and Postgres inserts of the same rows at the same durability."""

from __future__ import annotations

import importlib
import itertools
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import Line, NotMeasured, Side, Trial, alone, compared, in_turn, not_measured, worker

Fresh = Callable[[], str]

_DURABLE = {"sqlite": "synchronous FULL, WAL", "postgres": "synchronous_commit on, a server of its own"}
_WERK = {
    "append": "one fact a transaction; hash chain, projection with history and dedupe key included; opening is not",
    "batch": "1,000 facts a transaction; hash chain, projection with history and dedupe keys included; opening is not",
}
_BARE = {
    "one": "limit: the rows of facts alone, in a table with its primary and its unique key",
    "same": "limit: the same rows in the same tables: facts with its indexes, and the projection's rows",
}

_BESIDE = {"one": "one table", "same": "the same tables"}


def run(quick: bool) -> list[Line]:
    single, batched = (200, 4_000) if quick else (2_000, 50_000)
    lines: list[Line] = []
    for kind, databases in (("sqlite", _sqlite), ("postgres", _postgres)):
        try:
            with databases() as fresh:
                lines += _on(kind, fresh, single, batched)
        except NotMeasured as why:
            lines.append(not_measured("journal", kind, "facts/s", ">= 0.4 of bare", why))
    return lines


def _on(kind: str, fresh: Fresh, single: int, batched: int) -> list[Line]:
    lines: list[Line] = []
    for processes in (1, 4):
        names = ("journal_werk", "journal_bare", "journal_bare")
        tables = (None, "one", "same")
        sides = [_side(name, fresh, table, processes, single, batched) for name, table in zip(names, tables, strict=True)]
        ours, *others = in_turn(3, *sides)
        for table, bare in zip(("one", "same"), others, strict=True):
            lines += [_appended(kind, processes, name, table, ours, bare) for name in _WERK]
        lines += _read(kind, ours) if processes == 1 else []
    return lines


def _side(name: str, fresh: Fresh, table: str | None, *arguments: int) -> Side:
    """A trial on a database that nobody has written to."""
    environment = {"BENCHMARK_TABLES": table} if table else {}
    return lambda: worker(name, fresh(), *arguments, environment=environment)()


def _appended(kind: str, processes: int, name: str, table: str, ours: list[Trial], bare: list[Trial]) -> Line:
    return compared(
        "journal",
        f"{kind} {name}, {processes} at once, beside {_BESIDE[table]}",
        ours,
        bare,
        against="limit",
        unit="facts/s",
        target=">= 0.4 of bare",
        met=lambda werk, limit: werk >= 0.4 * limit,
        inside=f"{_WERK[name]}; {_DURABLE[kind]}; {_BARE[table]}",
        name=name,
    )


def _read(kind: str, ours: list[Trial]) -> list[Line]:
    floor = [Trial({"verify": trial.values["floor"]}, trial.wall_s, trial.peak_mb) for trial in ours]
    verify = compared(
        "journal",
        f"{kind} verify",
        ours,
        floor,
        against="limit",
        unit="facts/s",
        target=">= 100,000 facts/s",
        met=lambda werk, _: werk >= 100_000,
        inside="re-hash every body and link, replay and compare the projections; every fact changes a projection with history; "
        "limit: both hashes and the JSON of each fact alone, its rows already in memory",
        name="verify",
    )
    said = "every projection from all facts, in memory"
    least: Callable[[float], bool] = lambda value: value >= 25_000  # noqa: E731  (typed here, used once)
    replay = alone(
        "journal", f"{kind} replay", ours, "replay", unit="facts/s", inside=said, target=">= 25,000 facts/s", met=least
    )
    said = "the rows of one projection at the middle of the journal, filtered by key"
    return [
        verify,
        replay,
        alone("journal", f"{kind} as-of", ours, "as_of", unit="ms", inside=said),
        alone("journal", f"{kind} facts of a subject", ours, "subject", unit="ms", inside="all facts of one subject among all"),
    ]


@contextmanager
def _sqlite() -> Iterator[Fresh]:
    numbers = itertools.count()
    with tempfile.TemporaryDirectory() as folder:
        yield lambda: f"sqlite:///{Path(folder) / f'{next(numbers)}.db'}"


@contextmanager
def _postgres() -> Iterator[Fresh]:
    numbers = itertools.count()
    with tempfile.TemporaryDirectory(prefix="werk-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # under root the server runs as a user of its own, who must reach its data
        server = _server(Path(folder) / "data")

        def fresh() -> str:
            name = f"bench_{next(numbers)}"
            server.psql(f"CREATE DATABASE {name}")
            return str(server.get_uri(database=name))

        try:
            yield fresh
        finally:
            server.cleanup()


def _server(data: Path) -> Any:
    try:
        with warnings.catch_warnings():  # it asks for XDG_RUNTIME_DIR when imported, which servers and containers lack
            warnings.simplefilter("ignore")
            return importlib.import_module("pgserver").get_server(data, cleanup_mode="delete")
    except ModuleNotFoundError as missing:
        raise NotMeasured("pgserver is not installed") from missing
