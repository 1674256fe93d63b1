"""The promises of the Meter port, one function per number."""

from __future__ import annotations

from dataclasses import astuple

from werk.core.errors import InputError
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


def each_mark_is_stopped_once(meter: Meter) -> None:
    """Promise 2: a second stop, or a mark of nobody, is refused."""
    mark = meter.start()
    meter.stop(mark)
    for wrong in (mark, object()):
        try:
            meter.stop(wrong)
        except InputError:
            continue
        raise AssertionError("a mark was stopped that was not running")


SUITE = (usage_since_mark_is_never_negative, marks_nest, each_mark_is_stopped_once)
