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
    """One step of one run, for steps that ask for `*, context: StepContext`.

    - `run`, `step`, `attempt`: its names, and 1 for the first try; `root` is the project's folder.
    - `pins`: the version each table is read at; what the run writes moves them.
    - `inputs`: by name, the digest of each value that came from an earlier step.
    - `files`: by name, that of each file of the project which the step has declared; None where there is none.
    - `code` and `environment`: what the run recorded of them.
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
