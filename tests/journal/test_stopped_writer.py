"""A writer that is stopped in the middle of a write: the others say so, or go on where the database can end it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from werk.core.errors import Transient
from werk.core.journal import NewFact
from werk.journal import SqlJournal, filelock, verify

Open = Callable[..., SqlJournal]
STOPPED = """
import os, signal, sys
from werk.core.journal import NewFact
from werk.journal import open_journal

journal = open_journal(sys.argv[1], project="prj_a", actor="act_stopped", projections=[])
with journal.write() as writer:
    writer.append([NewFact("run.started", "run_1", {})])
    os.kill(os.getpid(), signal.SIGSTOP)
"""
FACT = NewFact("run.started", "run_2", {})


@contextmanager
def stopped(url: str) -> Iterator[int]:
    """A process that is stopped in the middle of its write; it goes on, or what is left of it ends, when the block does."""
    process = subprocess.Popen([sys.executable, "-c", STOPPED, url], stderr=subprocess.PIPE)
    try:
        os.waitpid(process.pid, os.WUNTRACED)
        yield process.pid
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=60)


def test_the_others_name_a_writer_that_is_stopped_and_go_on_once_it_does(
    lite_url: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(lite_url)
    with monkeypatch.context() as patch:
        patch.setattr(filelock, "WAIT_S", 0.3)
        with stopped(lite_url) as pid:
            for _ in range(2):
                with pytest.raises(Transient, match=rf"held by process {pid} for 0\.3 s") as said:
                    journal.append([FACT])
                assert f"kill -CONT {pid}" in said.value.hint
            assert journal.head().seq == 0, "reading goes on"
    journal.append([FACT])
    assert [fact.subject for fact in journal.facts()] == ["run_1", "run_2"]
    assert verify(journal).ok


def test_whoever_has_given_up_holds_nothing_later(lite_url: str, opened: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(lite_url), opened(lite_url)
    with monkeypatch.context() as patch:
        patch.setattr(filelock, "WAIT_S", 0.3)
        with stopped(lite_url), pytest.raises(Transient):
            first.append([FACT])
        second.append([FACT])
        first.append([FACT])
    assert first.head().seq == 3


def test_a_server_ends_the_write_of_a_client_that_is_stopped(
    postgres_url: str, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = opened(postgres_url)
    monkeypatch.setattr(filelock, "WAIT_S", 0.5)
    with stopped_in_haste(postgres_url):
        journal.append([FACT])
        assert [fact.subject for fact in journal.facts()] == ["run_2"]
    assert verify(journal).ok


@contextmanager
def stopped_in_haste(url: str) -> Iterator[None]:
    """The same, and its server waits half a second for it."""
    hurried = STOPPED.replace("\njournal =", "\nfrom werk.journal import filelock\nfilelock.WAIT_S = 0.5\njournal =", 1)
    process = subprocess.Popen([sys.executable, "-c", hurried, url], stderr=subprocess.PIPE)
    try:
        os.waitpid(process.pid, os.WUNTRACED)
        yield
    finally:
        process.send_signal(signal.SIGCONT)
        _, said = process.communicate(timeout=60)
        assert b"journal" in said, "what it had begun is gone, and it is told"
