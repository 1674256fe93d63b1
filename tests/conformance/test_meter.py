import subprocess
import sys
from collections.abc import Callable

import pytest

from werk.adapters.meter.memory import MemoryMeter
from werk.adapters.meter.process import ProcessMeter
from werk.core.ports.meter import Meter
from werk.testing.meter import SUITE


@pytest.mark.parametrize("promise", SUITE)
@pytest.mark.parametrize("meter", [MemoryMeter(), ProcessMeter()])
def test_promise(promise: Callable[[Meter], None], meter: Meter) -> None:
    promise(meter)


def test_ended_children_are_counted() -> None:
    meter = ProcessMeter()
    mark = meter.start()
    subprocess.run([sys.executable, "-c", "sum(range(3_000_000))"], check=True)
    assert meter.stop(mark).cpu_s > 0


def test_work_that_sets_a_new_high_reports_it_and_later_small_work_does_not() -> None:
    """In a fresh process, because the high of this one is already above anything a test should take."""
    script = """
from werk.adapters.meter.process import ProcessMeter
meter = ProcessMeter()
mark = meter.start()
block = bytearray(b"x") * 200_000_000
large = meter.stop(mark).peak_bytes
del block
small = meter.stop(meter.start()).peak_bytes
print(large, small)
"""
    said = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    large, small = map(int, said.split())
    assert large >= 200_000_000
    assert small < large if sys.platform == "linux" else small == large
