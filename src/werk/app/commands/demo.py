"""The main job, command by command, as a user would type it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from werk.app.answers import Answer
from werk.app.commands import actors, projects
from werk.app.wiring import TOKEN, opened
from werk.core.errors import Failed, InputError, Refused, unknown
from werk.core.journal import Row

TABLES = ("airlines", "airports", "planes", "weather", "flights")
MONTHS = (("2013-07", "2013-08"), ("2013-08", "2013-09"), ("2013-09", "2013-10"), ("2013-10", "2013-11"))
LATER = (("2013-11", "2013-12"), ("2013-12", "2014-01"))
REVIEWER = "second-person"
BREAKS = ("flip-byte",)


def demo(directory: Path, break_it: str | None) -> Answer:
    began = time.monotonic()
    if break_it is not None and break_it not in BREAKS:
        raise unknown("break", break_it, BREAKS, code="break-unknown")
    target = directory.resolve()
    _use_case(target)
    with _inside(target):
        return _break(target) if break_it else _loop(target, began)


def _loop(target: Path, began: float) -> Answer:
    _title("Land and check: five tables, each under its contract")
    for table in TABLES:
        _werk("ingest", f"raw.{table}", f"data/{table}.parquet")
    _title("A deliberately poor model: evaluated, reported, not registered")
    _refused("run", "training", "-p", "params.rounds=1", "-p", "params.num_leaves=2")
    _title("A good one: trained on January to June, the last two weeks held out")
    _werk("run", "training")
    _werk("models")
    _title("Approve: by a second actor with its own token")
    approvals = _approve()
    _title("Score July to December, month by month, each compared with what the model was accepted on")
    for start, end in (*MONTHS, *LATER):
        _werk("run", "batch_inference", "-p", f"start={start}-01", "-p", f"end={end}-01", "-p", f"window={start}")
        _verdicts(start)
    _title("Proof: one prediction back to its source files, and the whole record checked")
    _werk("lineage", _a_prediction())
    _werk("audit", "verify")
    print(f"\nHuman acts in all of this: {approvals} approval(s) this time. Took {time.monotonic() - began:.0f} s.")
    print(f"Everything lies in {target}. Try: cd {directory_name(target)}; werk runs; werk models; edit gate.toml and run again.")
    return Answer(record={"project": str(target)}, text=" ")


def directory_name(target: Path) -> str:
    return target.name


def _use_case(target: Path) -> None:
    if (target / "werk.toml").is_file():
        print(f"using the use case in {target}")
        return
    print(f"$ werk init {target.name} --template flights")
    projects.create(target, "flights")


def _werk(*words: str) -> None:
    """Print the command and run it through the command line itself."""
    from werk.app.cli import app  # the command line imports this module by name when `demo` is called

    print("\n$ werk " + " ".join(f'"{word}"' if " " in word else word for word in words), flush=True)
    app(list(words), standalone_mode=False)


def _refused(*words: str) -> None:
    try:
        _werk(*words)
    except Refused as no:
        print(f"refused (exit code {no.exit_code}): {no.message} [{no.code}]")
        return
    raise Failed(
        "The gate let the poor model pass.", code="demo-gate", hint="Look at gate.toml: it should refuse a one-tree model."
    )


def _approve() -> int:
    pending = _versions("pending")
    for row in pending:
        name = f"{row['model']}:{row['version']}"
        try:
            _werk("approve", name)
        except Refused as no:
            print(f"refused (exit code {no.exit_code}): {no.message} [{no.code}]")
        print(f"\n$ werk actor add {REVIEWER}-{row['version']}   # its token is shown once, to its holder")
        token = (actors.add(f"{REVIEWER}-{row['version']}", None, None).record or {})["token"]
        with _acting(str(token)):
            _werk("approve", name, "--comment", "gate passed, plan read")
        _werk("alias", name, "champion")
    if not pending:
        print("nothing is pending: the version in use is already approved")
    return len(pending)


def _versions(status: str) -> list[Row]:
    with opened() as session:
        return session.p.journal.rows("versions", {"status": status}, order=("model", "version"))


def _verdicts(window: str) -> None:
    with opened() as session:
        for row in session.p.journal.rows("monitors", {"window": window}, order=("monitor",)):
            print(f"  {row['monitor']!s:<16} {row['verdict']!s:<11} {row['sentence']}")


def _a_prediction() -> str:
    from werk import data  # a heavy room, needed here only

    with opened() as session:
        found = data.sql(session.p, "select min(prediction_id) as id from product.predictions")
    return str(found["id"][0])


def _break(target: Path) -> Answer:
    """On a copy: one byte of one fact is changed; the audit must find and name it."""
    if not (target / ".werk" / "journal.db").is_file():
        raise InputError("There is nothing to break yet.", code="demo-first", hint="Run `werk demo` first.")
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place) / target.name
        shutil.copytree(target, copy)
        seq = _flip(copy / ".werk" / "journal.db")
        print(f"in a copy, one byte of fact {seq} was changed")
        with suppress(SystemExit):
            _werk("audit", "verify", "--project", str(copy))
    return Answer(text="the original is untouched")


def _flip(path: Path) -> int:
    with sqlite3.connect(path) as database:
        seq, body = database.execute("SELECT seq, body FROM facts WHERE body IS NOT NULL ORDER BY seq DESC LIMIT 1").fetchone()
        flipped = body[:-2] + chr(ord(body[-2]) ^ 1) + body[-1]
        database.execute("UPDATE facts SET body = ? WHERE seq = ?", (flipped, seq))
    return int(seq)


def _title(text: str) -> None:
    print(f"\n== {text}", flush=True)


@contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextmanager
def _acting(token: str) -> Iterator[None]:
    os.environ[TOKEN] = token
    try:
        yield
    finally:
        del os.environ[TOKEN]
