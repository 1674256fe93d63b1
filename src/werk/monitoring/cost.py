"""What the work on one window cost, by the hours the meter counted and a price file."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown
from werk.core.nouns import Usage
from werk.monitoring.verdict import COST, MonitorVerdict, cannot_say
from werk.monitoring.words import euros

HOUR_S = 3600


@dataclass(frozen=True, slots=True)
class Prices:
    """EUR per CPU-hour and per GB-hour of memory; `window_eur`, when set, is the budget of one window."""

    cpu_hour_eur: float
    gb_hour_eur: float
    window_eur: float | None = None

    @classmethod
    def from_mapping(cls, table: Mapping[str, object]) -> Prices:
        """From a price file's table; a missing, unknown, negative or non-numeric price is an `InputError`."""
        known = [field.name for field in fields(cls)]
        for name in table:
            if name not in known:
                raise unknown("price", name, known, code="price-unknown")
        for name in known[:2]:
            if name not in table:
                raise InputError(f"The price '{name}' is missing.", code="price-missing", hint=f"Add {name} = 0.04, say.")
        limit = table.get("window_eur")
        cpu, gb = (_price(name, table[name]) for name in known[:2])
        return cls(cpu, gb, None if limit is None else _price("window_eur", limit))

    def eur(self, usage: Usage) -> float:
        return (usage.cpu_s * self.cpu_hour_eur + usage.gb_s * self.gb_hour_eur) / HOUR_S


def cost_line(window: str, usages: Iterable[Usage], prices: Prices | None) -> MonitorVerdict:
    """Memory is counted as the meter counts it (an upper estimate), so the sum is one too. Nothing measured: cannot say."""
    spent = list(usages)
    if not spent:
        return cannot_say(COST, window, "nothing was measured")
    cpu, gb = sum(usage.cpu_s for usage in spent), sum(usage.gb_s for usage in spent)
    took = f"{cpu:.1f} CPU-seconds and {gb:.1f} GB-seconds"
    values: dict[str, JSON] = {"cpu_s": cpu, "gb_s": gb, "peak_bytes": max(usage.peak_bytes for usage in spent), "eur": None}
    if prices is None:
        return cannot_say(COST, window, f"{took} were used, but there is no price file", values)
    total = sum(map(prices.eur, spent))
    values["eur"] = total
    if prices.window_eur is not None and total > prices.window_eur:
        sentence = f"{window}: {took} cost {euros(total)}, over the budget of {euros(prices.window_eur)}"
        return MonitorVerdict(COST, window, "violation", sentence, values)
    return MonitorVerdict(COST, window, "ok", f"{window}: {took} cost {euros(total)}", values)


def _price(name: str, value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < float("inf"):
        raise InputError(
            f"The price '{name}' is not a number of EUR from 0: {value!r}.", code="price-malformed", hint="Write a number."
        )
    return float(value)
