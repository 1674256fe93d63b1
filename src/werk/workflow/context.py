"""What a step's resources are told about it, and what they report back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from werk.core.canonical import JSON
from werk.core.nouns import Snapshot
from werk.core.platform import Platform
from werk.workflow.project_files import Digests


@dataclass(slots=True)
class StepContext:
    """One step of one run. `pins` are the versions its tables stand at; what the run writes moves them.

    `inputs` holds, by name, the value digest of what came from earlier steps, `files` that of each file of the
    project which the step has declared (None where there is none). `code` and `environment` are the run's.
    """

    run: str
    step: str
    pins: dict[str, int]
    root: Path
    attempt: int = 1
    inputs: Mapping[str, str] = field(default_factory=dict)
    files: Digests = field(default_factory=dict)
    code: Mapping[str, JSON] = field(default_factory=dict)
    environment: Mapping[str, JSON] = field(default_factory=dict)
    code_sha256: str = ""
    reads: set[Snapshot] = field(default_factory=set)
    writes: set[Snapshot] = field(default_factory=set)

    def read(self, snapshot: Snapshot) -> None:
        """Say that the step has read a table at a version."""
        self.reads.add(snapshot)

    def wrote(self, snapshot: Snapshot) -> None:
        """Say that the step has written a version: it and the later steps of the run read that one."""
        self.writes.add(snapshot)
        self.pins[snapshot.table] = snapshot.version


Resource = Callable[[Platform, StepContext], object]
