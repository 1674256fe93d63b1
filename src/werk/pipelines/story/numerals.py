"""How many of what, in words that agree with each other."""

from __future__ import annotations

_SPELLED = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def counted(count: int, thing: str) -> str:
    """
    >>> counted(1, "table"), counted(2500, "row")
    ('1 table', '2,500 rows')
    """
    return f"{count:,} {thing}{plural(count)}"


def spelled(count: int) -> str:
    """
    >>> spelled(3), spelled(12)
    ('three', '12')
    """
    return _SPELLED[count] if count < len(_SPELLED) else str(count)


def plural(count: int) -> str:
    return "" if count == 1 else "s"
