"""What a feature is read from, by whom it is keyed and since when it is known."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal


@dataclass(frozen=True, slots=True)
class Window:
    """A feature that counts, sums or averages the events known in (cutoff - `over`, cutoff].

    `over` is None for everything known so far. `column` holds whole numbers, so that sums are exact; it is None only for a
    count. A mean of no values is null, a sum or count of none is 0.
    """

    name: str
    aggregate: Literal["count", "sum", "mean"]
    over: timedelta | None
    column: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureView:
    """Features of an entity, read from a table of events. It stores nothing: `Features.join` computes them for each cutoff.

    - `entity`: the column (or columns) that the table and the rows asked for share.
    - `event_time`: a UTC column. A row is known from `event_time` + `known_after` on, exactly at the cutoff included.
    - `features`: columns (the newest known row's value) and `Window`s.
    - `ttl`: a plain feature is null when its row has been known for so long or longer; None keeps it for ever.
    - `tie_breaker`: the column that orders rows of one entity and moment (`feature-tie` without it).
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
