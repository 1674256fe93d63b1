"""Runs a pipeline's steps, each once, whatever dies meanwhile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from werk.core.canonical import JSON
from werk.core.nouns import RunStatus

Work_contra = TypeVar("Work_contra", contravariant=True)


@dataclass(frozen=True, slots=True)
class Progress:
    """One sign of life. `note` is a sentence where there is something to say (a kept result, what failed)."""

    run: str
    step: str
    event: Literal["started", "finished", "cached", "kept", "retried", "failed", "refused", "already-finished"]
    index: int = 0
    total: int = 0
    seconds: float = 0.0
    note: str = ""


class Engine(Protocol[Work_contra]):
    """Drives runs of pipelines (`Work`) and writes what happens as facts: `run.started`, `step.finished`, `run.finished` ...

    Built on a platform by wiring (`p`, `resources`, `codecs`, `mask`, `progress`, `kept`) and the settings of `[engine]`
    (`lease_s`); that is why it is no field of one.

    1. `start` records a run and returns its id; nothing runs yet. Wrong input is an `InputError` and records nothing.
    2. `drive` walks the run to its end. Each step has exactly one result, whatever is killed at whatever moment.
    3. What is finished is never executed again, by no later `drive` or `resume`.
    4. One worker drives a run at a time: for another it is `Transient` (`run-held`) until the first has let go or has been
       silent for `lease_s`, by the clock of the journal's database and not the worker's.
    5. A stalled worker that wakes up after its run was taken over gets `Lost` and writes nothing.
    6. A step that raises, or refuses, ends the run with the reason recorded; `resume` goes on from that step only.
    7. `resume` compares the code of finished steps with today's: what has changed is kept, named through `progress` and
       recorded in `run.resumed`. Other steps or connections are an `InputError` (`pipeline-changed`).
    8. One engine drives many runs, at once too.
    9. A node it cannot run (mapped, conditional, approval) is an `InputError` (`node-kind`) before anything is recorded.
    """

    def start(
        self,
        pipeline: Work_contra,
        params: Mapping[str, object],
        *,
        pins: Mapping[str, int],
        code: Mapping[str, JSON],
        environment: Mapping[str, JSON],
        cause: Mapping[str, JSON] | None = None,
        fresh: bool = False,
    ) -> str: ...

    def drive(self, pipeline: Work_contra, run: str) -> RunStatus: ...

    def resume(
        self,
        pipeline: Work_contra,
        run: str,
        *,
        code: Mapping[str, JSON] | None = None,
        environment: Mapping[str, JSON] | None = None,
    ) -> RunStatus: ...
