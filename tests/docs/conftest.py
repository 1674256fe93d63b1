"""The project that the pages' commands run in: made once by the newcomer's own page, copied for each page."""

from __future__ import annotations

import fcntl
import json
import shutil
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from doc_blocks import FIRST  # this folder is no package
from doc_page import run_page
from doc_shell import Shell

NAME = "my-case"
UNAPPROVED = "newcomer-unapproved"


@dataclass(frozen=True, slots=True)
class Journey:
    """What the newcomer's page took: `folder` holds the project and, beside it, its keys and heads."""

    folder: Path
    commands: list[str]
    seconds: float


@pytest.fixture(scope="session")
def journey(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Journey:
    """Shared by all workers of this test run: the first makes it, the others wait."""
    base = tmp_path_factory.getbasetemp()
    folder = (base if worker_id == "master" else base.parent) / "newcomer"
    with _alone(folder.with_suffix(".lock")):
        told = folder / "journey.json"
        if not told.exists():
            told.write_text(json.dumps(_first_model(folder)))
        commands, seconds = json.loads(told.read_text())
    return Journey(folder, commands, seconds)


def _first_model(folder: Path) -> tuple[list[str], float]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    shell, began = Shell(folder, folder / "home"), time.monotonic()
    try:
        run_page(FIRST, shell, before_last=lambda: shutil.copytree(folder, folder.with_name(UNAPPROVED), dirs_exist_ok=True))
        return shell.commands, time.monotonic() - began
    finally:
        shell.close()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture
def copied(journey: Journey, tmp_path: Path) -> Path:
    """The newcomer's project, with its keys and heads, to do with as one likes."""
    shutil.copytree(journey.folder, tmp_path / "copy")
    return tmp_path / "copy" / NAME


@pytest.fixture
def unapproved(journey: Journey, tmp_path: Path) -> Path:
    """The same before anything was approved."""
    shutil.copytree(journey.folder.with_name(UNAPPROVED), tmp_path / "trained")
    return tmp_path / "trained" / NAME


@pytest.fixture
def opened() -> Iterator[Callable[[Path], Shell]]:
    """A shell in a project's folder, with the keys beside it."""
    with ExitStack() as end:

        def open_in(folder: Path) -> Shell:
            shell = Shell(folder, folder.parent / "home", _free_port())
            end.callback(shell.close)
            return shell

        yield open_in


@pytest.fixture
def shell(copied: Path, opened: Callable[[Path], Shell]) -> Shell:
    return opened(copied)


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        port: int = asked.getsockname()[1]
        return port
