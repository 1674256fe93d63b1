"""Numbers and lists as a plant engineer reads them."""

from __future__ import annotations

from collections.abc import Sequence


def percent(share: float) -> str:
    """
    >>> percent(0.2284)
    '22.8 %'
    """
    return f"{share * 100:.1f} %"


def listed(names: Sequence[str], most: int = 3) -> str:
    """
    >>> listed(["temp", "visib", "seats", "hour", "dest"])
    'temp, visib, seats and 2 more'
    """
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "none"


def count(number: float, things: str) -> str:
    """
    >>> count(28293, "flights")
    '28,293 flights'
    """
    return f"{number:,.0f} {things}"
