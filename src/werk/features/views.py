"""What a feature is read from, by whom it is keyed and since when it is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """An integer aggregate over the events known in (cutoff - over, cutoff].

    `over` is None for everything known so far; `column` is None only for a count. A mean of no values is null, a sum or count 0.
    """

    name: str
    aggregate: Literal["count", "sum", "mean"]
    over: timedelta | None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A row is known from `event_time` + `known_after` on; one known exactly at the cutoff counts as known.

    A plain feature is the newest known row's value, or null if that row has been known for `ttl` or longer.
    """

    name: str
    entity: str | tuple[str, ...]
    table: str
    event_time: str
    features: tuple[str | Window, ...]
    ttl: timedelta | None = None
    tie_breaker: str | None = None
    known_after: timedelta = timedelta(0)

    @property
    def keys(self) -> list[str]:
        return [self.entity] if isinstance(self.entity, str) else list(self.entity)

    @property
    def plain(self) -> list[str]:
        return [feature for feature in self.features if isinstance(feature, str)]

    @property
    def windows(self) -> list[Window]:
        return [feature for feature in self.features if isinstance(feature, Window)]

    @property
    def names(self) -> list[str]:
        return [*self.plain, *(window.name for window in self.windows)]

    @property
    def lookback(self) -> timedelta | None:
        """No event known this long before a cutoff, or longer, can change its features; None when any can."""
        spans = [*(window.over for window in self.windows), *([self.ttl] if self.plain else [])]
        known = [span for span in spans if span is not None]
        return max(known) if known and len(known) == len(spans) else None
