"""Numbers and lists as a plant engineer reads them."""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log10


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


def number(value: float) -> str:
    """
    >>> number(1234.5678), number(0.0123456), number(-3.0)
    ('1,235', '0.01235', '-3')
    """
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def is_name(things: str, outcome: str) -> bool:
    """Whether an outcome goes by the name of its column and is no word for the rows: nobody has named the rows either."""
    return things == "rows" and outcome != "positive"


def shared(share: float, things: str, outcome: str) -> str:
    """
    >>> shared(0.2284, "flights", "late"), shared(0.022, "rows", "Machine failure")
    ('22.8 % of the flights were late', 'Machine failure was true in 2.2 % of the rows')
    """
    if is_name(things, outcome):
        return f"{outcome} was true in {percent(share)} of the rows"
    return f"{percent(share)} of the {things} were {outcome}"


def euros(eur: float) -> str:
    """
    >>> euros(0.0000283), euros(12.5), euros(0.0)
    ('0.000028 EUR', '12.50 EUR', '0 EUR')
    """
    if not eur or eur >= 0.01:
        return f"{eur:,.2f} EUR" if eur else "0 EUR"
    return f"{eur:.{1 - floor(log10(eur))}f} EUR"


def count(number: float, things: str) -> str:
    """
    >>> count(28293, "flights")
    '28,293 flights'
    """
    return f"{number:,.0f} {things}"
