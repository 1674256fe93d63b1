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
