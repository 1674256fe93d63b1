"""Keeps a project going: its prediction server, the runs whose worker is gone, and what triggers ask for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Protocol

from werk.app.commands.runs import checked_triggers
from werk.app.commands.serve import FOLDER
from werk.app.wiring import Session, opened
from werk.core.errors import InputError, Transient
from werk.journal.filelock import alone
from werk.serving.deploy import redeploy
from werk.workflow.triggers import waiting

LOCK = Path(".werk") / "up.lock"
READY = "ready at "
TICK_S = 0.5
STEADY_S = 60.0  # a server that has lived this long is restarted at once again
LONGEST_WAIT_S = 60.0
LET_FINISH_S = 15.0
DRIVEN_AT_ONCE = 2
# The command that writes a fact starts what it asks for, and the one that starts a run drives it: they come first.
THEIR_TURN_S = 5.0
NEVER_TAKEN_S = 60.0


def up(port: int, project: Path | None, profile: str | None) -> None:
    with opened(project, profile) as session, _only_one(session.p.project.root / LOCK):
        (session.p.project.root / FOLDER).mkdir(parents=True, exist_ok=True)
        redeploy(session.p, session.p.project.root / FOLDER)
        say("supervising the prediction server, runs and triggers; Ctrl-C stops all of it")
        with ExitStack() as parts, _asked_to_stop() as stop:
            kept: list[Part] = [Server(session, port), Runs(session), Triggers(session)]
            for part in kept:
                parts.callback(part.stop)
            _keep(kept, stop)
        say("stopped")


def say(words: str) -> None:
    print(f"up: {words}", flush=True)


class Part(Protocol):
    def tick(self) -> None: ...

    def stop(self) -> None: ...


def _keep(parts: Sequence[Part], stop: threading.Event) -> None:
    """Look after every part until asked to stop; a journal that is out of reach is waited for."""
    told = ""
    while not stop.is_set():
        try:
            for part in parts:
                part.tick()
            told = ""
        except Transient as away:
            if away.message != told:
                say(f"{away.message} Trying on.")
            told = away.message
        stop.wait(TICK_S)


@contextmanager
def _only_one(path: Path) -> Iterator[None]:
    with alone(path) as first:
        if not first:
            raise InputError(
                "Another `werk up` supervises this project already.",
                code="up-running",
                hint="Use that one, or stop it with Ctrl-C first.",
            )
        yield


@contextmanager
def _asked_to_stop() -> Iterator[threading.Event]:
    """Set by Ctrl-C and SIGTERM."""
    stop = threading.Event()
    before = {number: signal.signal(number, lambda *_: stop.set()) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@dataclass(slots=True)
class Patience:
    """1, 2, 4 ... seconds between tries of what keeps failing."""

    tries: int = 0
    until: float = 0.0

    def failed(self) -> float:
        wait_s = min(2.0**self.tries, LONGEST_WAIT_S)
        self.tries, self.until = self.tries + 1, time.monotonic() + wait_s
        return wait_s

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.until


class Worker:
    """A job in a process group of its own: a terminal's Ctrl-C reaches it through us only."""

    def __init__(self, session: Session, job: str, *given: str, stdout: int | None = None) -> None:
        words = [job, str(session.p.project.root), session.settings.profile, *given]
        command = [sys.executable, "-m", "werk.app.worker", *words]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=stdout, text=True, start_new_session=True)

    @property
    def ended(self) -> int | None:
        return self.process.poll()

    def stop(self) -> None:
        """Ask it, then make it. A run's worker ends at once: its finished steps are in the journal, its lease ends by itself."""
        self._signal(signal.SIGTERM)
        try:
            self.process.wait(LET_FINISH_S)
        except subprocess.TimeoutExpired:
            self._signal(getattr(signal, "SIGKILL", signal.SIGTERM))
            self.process.wait()

    def _signal(self, number: int) -> None:
        try:
            if hasattr(os, "killpg"):
                os.killpg(self.process.pid, number)
            else:
                self.process.terminate()
        except ProcessLookupError:
            pass  # it and all it started have ended


class Server:
    """`werk serve`, restarted when it dies. It is there before anything is deployed, and says so to who asks."""

    def __init__(self, session: Session, port: int) -> None:
        self._session, self._port = session, port
        self._worker: Worker | None = None
        self._began, self._ready = 0.0, False
        self._patience = Patience()

    def tick(self) -> None:
        if self._worker is None:
            if self._patience.over:
                self._start()
        elif (code := self._worker.ended) is not None:
            self._fell(code)
        elif time.monotonic() - self._began > STEADY_S:
            self._patience = Patience()

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def _start(self) -> None:
        self._began = time.monotonic()
        self._worker = Worker(self._session, "serve", str(self._port), stdout=subprocess.PIPE)
        say(f"server: process {self._worker.process.pid}")
        assert self._worker.process.stdout is not None
        threading.Thread(target=self._listen, args=(self._worker.process.stdout,), daemon=True).start()

    def _listen(self, lines: IO[str]) -> None:
        """Pass on what it says; the port it took is the one it gets again."""
        for line in lines:
            if line.startswith(READY):
                self._port, self._ready = int(line.rpartition(":")[2]), True
            say(f"server: {line.rstrip()}")

    def _fell(self, code: int) -> None:
        self._worker = None
        if code == InputError.exit_code and not self._ready:
            hint = "Its own words are above."
            raise InputError("The prediction server cannot be started.", code="server-unstartable", hint=hint)
        say(f"server: ended with {code}; again in {self._patience.failed():g} s")


@dataclass(slots=True)
class Runs:
    """Drives runs whose worker has gone silent, or that were recorded and never driven.

    A run that somebody stopped with Ctrl-C was let go: it stays stopped until they resume it.
    """

    session: Session
    driven: dict[str, Worker] = field(default_factory=dict)
    patience: dict[str, Patience] = field(default_factory=dict)
    seen: dict[str, float] = field(default_factory=dict)

    def tick(self) -> None:
        self._reap()
        for run in self._abandoned():
            if len(self.driven) < DRIVEN_AT_ONCE and run not in self.driven and self.patience.setdefault(run, Patience()).over:
                self.driven[run] = Worker(self.session, "resume", run, stdout=subprocess.DEVNULL)
                say(f"{run}: its worker is gone; process {self.driven[run].process.pid} goes on with it")

    def stop(self) -> None:
        for worker in self.driven.values():
            worker.stop()

    def _reap(self) -> None:
        for run, code in [(run, worker.ended) for run, worker in self.driven.items()]:
            if code is None:
                continue
            del self.driven[run]
            self.patience[run].failed()
            say(f"{run}: " + ("finished" if code == 0 else f"its worker ended with {code}"))

    def _abandoned(self) -> list[str]:
        journal = self.session.journal
        running = [str(row["run"]) for row in journal.rows("runs", {"status": "running"}, order=("seq",))]
        now = time.monotonic()
        self.seen = {run: self.seen.get(run, now) for run in running}
        never = [run for run in journal.untaken(running) if now - self.seen[run] > NEVER_TAKEN_S]
        return [*journal.silent(running), *never]


class Triggers:
    """Starts what facts ask for when the command that wrote them did not come to it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._triggers = checked_triggers(session)
        self._worker: Worker | None = None
        self._patience = Patience()
        self._decided = 0
        self._seen: dict[tuple[str, int], float] = {}

    def tick(self) -> None:
        if self._worker is not None:
            self._reap(self._worker)
        elif self._patience.over and self._overdue():
            self._worker = Worker(self._session, "drain", stdout=subprocess.DEVNULL)

    def stop(self) -> None:
        if self._worker is not None:
            self._worker.stop()

    def _reap(self, worker: Worker) -> None:
        if worker.ended is None:
            return
        if worker.ended:
            say(f"triggers: their worker ended with {worker.ended}; again in {self._patience.failed():g} s")
        else:
            self._patience = Patience()
        self._worker, self._seen = None, {}

    def _overdue(self) -> bool:
        """Facts that ask for nothing are looked at once."""
        journal, now = self._session.journal, time.monotonic()
        head = journal.head().seq
        asked = waiting(journal, self._triggers, after=self._decided) if head > self._decided else []
        self._seen = {(t.name, fact.seq): self._seen.get((t.name, fact.seq), now) for t, fact in asked}
        if not asked:
            self._decided = head
        return any(now - first > THEIR_TURN_S for first in self._seen.values())
