"""The promises of the Meter port, one function per number."""

from __future__ import annotations

from dataclasses import astuple

from werk.core.ports.meter import Meter


def usage_since_mark_is_never_negative(meter: Meter) -> None:
    """Promises 1 and 2: `stop` gives the usage since the mark, and no value is below zero."""
    assert all(value >= 0 for value in astuple(meter.stop(meter.start())))


def marks_nest(meter: Meter) -> None:
    """Promise 2: an inner mark never took more than the outer one around it."""
    outer = meter.start()
    inner = meter.stop(meter.start())
    whole = meter.stop(outer)
    assert inner.cpu_s <= whole.cpu_s
    assert inner.wall_s <= whole.wall_s


SUITE = (usage_since_mark_is_never_negative, marks_nest)
