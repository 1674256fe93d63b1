"""What a feature is read from, by whom it is keyed and since when it is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """An integer aggregate over the events known in (cutoff - over, cutoff]; `column` is None only for a count."""

    name: str
    aggregate: Literal["count", "sum", "mean"]
    over: timedelta
    column: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureView:
    """`event_time` is the moment a row became known; a row known exactly at the cutoff counts as known.

    A plain feature is the newest known row's value, or null if that row is `ttl` old or older.
    """

    name: str
    entity: str | tuple[str, ...]
    table: str
    event_time: str
    features: tuple[str | Window, ...]
    ttl: timedelta | None = None
    tie_breaker: str | None = None

    @property
    def keys(self) -> list[str]:
        return [self.entity] if isinstance(self.entity, str) else list(self.entity)
