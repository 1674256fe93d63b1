"""What a server has answered and how fast, in Prometheus' text format."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate

_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0)


class Metrics:
    """Plain counters of one process; label values are ours (endpoints, statuses), never a caller's text."""

    def __init__(self) -> None:
        self.requests: Counter[tuple[str, int]] = Counter()
        self.predictions: Counter[tuple[str, str, int]] = Counter()
        self.unlogged: Counter[str] = Counter()
        self._buckets = [0] * (len(_BUCKETS_S) + 1)
        self._seconds = 0.0

    def observe(self, endpoint: str, status: int, seconds: float) -> None:
        self.requests[endpoint, status] += 1
        self._seconds += seconds
        self._buckets[sum(seconds > bound for bound in _BUCKETS_S)] += 1

    def render(self, *, ready: bool, switches: int, inflight: int) -> str:
        lines = [
            *_described("werk_requests_total", "counter", "Answered requests."),
            *(f'werk_requests_total{{endpoint="{e}",status="{s}"}} {n}' for (e, s), n in sorted(self.requests.items())),
            *_described("werk_predictions_total", "counter", "Answered rows."),
            *(
                f'werk_predictions_total{{endpoint="{e}",model="{m}",version="{v}"}} {n}'
                for (e, m, v), n in sorted(self.predictions.items())
            ),
            *_described("werk_predictions_unlogged_total", "counter", "Rows not answered, because the log could not be written."),
            *(f'werk_predictions_unlogged_total{{endpoint="{e}"}} {n}' for e, n in sorted(self.unlogged.items())),
            *_described("werk_request_seconds", "histogram", "Time from the request's first byte to its answer."),
            *self._histogram(),
            *_single("werk_ready", "gauge", "1 when every deployed model is loaded and warm.", int(ready)),
            *_single("werk_switches_total", "counter", "Versions swapped while running.", switches),
            *_single("werk_inflight_requests", "gauge", "Requests being answered.", inflight),
        ]
        return "\n".join(lines) + "\n"

    def _histogram(self) -> Iterator[str]:
        sums = list(accumulate(self._buckets))
        for bound, count in zip([*map(str, _BUCKETS_S), "+Inf"], sums, strict=True):
            yield f'werk_request_seconds_bucket{{le="{bound}"}} {count}'
        yield f"werk_request_seconds_sum {self._seconds:.6f}"
        yield f"werk_request_seconds_count {sums[-1]}"


def _described(name: str, kind: str, text: str) -> Iterable[str]:
    return (f"# HELP {name} {text}", f"# TYPE {name} {kind}")


def _single(name: str, kind: str, text: str, value: int) -> Iterable[str]:
    return (*_described(name, kind, text), f"{name} {value}")
