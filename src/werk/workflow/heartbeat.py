"""Keeps a run's lease alive while its steps work."""

from __future__ import annotations

import threading
from types import TracebackType

from werk.core.errors import Lost, Transient
from werk.core.journal import Journal, Lease


class Heartbeat:
    """Renews three times per lease, from its own thread. It only keeps others out: the journal's fence is what protects."""

    def __init__(self, journal: Journal, lease: Lease, lease_s: float) -> None:
        self.lease = lease
        self._journal = journal
        self._lease_s = lease_s
        self._stop = threading.Event()
        self._lost = False
        self._thread = threading.Thread(target=self._renew, name=f"werk-lease-{lease.run}", daemon=True)

    def __enter__(self) -> Heartbeat:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._thread.join()

    def check(self) -> None:
        """Raises `Lost` as soon as it is known that another worker has the run."""
        if self._lost:
            raise Lost(f"Another worker has taken the run {self.lease.run} over.", code="run-lost", hint="Let it finish.")

    def _renew(self) -> None:
        while not self._stop.wait(self._lease_s / 3):
            try:
                self._lost = not self._journal.renew(self.lease, ttl_s=self._lease_s)
            except Transient:
                continue  # a busy database; the next beat is well within the lease
            if self._lost:
                return
