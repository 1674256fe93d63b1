"""What a piece of work takes: seconds, bytes."""

from __future__ import annotations

from typing import Protocol

from werk.core.nouns import Usage


class Meter(Protocol):
    """1. `start` returns a mark; `stop(mark)` returns the usage since, of this process and its ended children.
    2. Marks nest; each is stopped once. Values are never negative.
    """

    def start(self) -> object: ...

    def stop(self, mark: object) -> Usage: ...
