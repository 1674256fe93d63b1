"""A project in open formats, for readers without werk."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from werk.app.answers import Answer
from werk.app.commands.backup import progress
from werk.app.wiring import opened
from werk.pipelines import export as of
from werk.pipelines.backup import swept
from werk.workflow.capture import capture_code


def export(directory: Path, project: Path | None, profile: str | None) -> Answer:
    began = time.monotonic()
    target = directory.resolve()
    gone = swept(target)
    with opened(project, profile) as session:
        root = session.p.project.root
        code = capture_code(root, root / ".werk" / "code.git")
        found = of.export(session.p, session.journal, code, target, tell=progress())
    record = {
        "directory": str(found.folder),
        "seq": found.seq,
        "hash": found.hash,
        "tables": list(found.tables),
        "versions": list(found.versions),
        "files": found.files,
        "size_bytes": found.size_bytes,
        "left_out": list(found.left_out),
        "missing": list(found.missing),
        "removed": list(gone.removed),
    }
    return Answer(record=record, text="\n".join([*_said(found, time.monotonic() - began), *gone.said()]))


def _said(found: of.Exported, seconds: float) -> Iterator[str]:
    size = f"{found.files:,} files, {found.size_bytes / 1e6:,.1f} MB"
    yield f"as of fact {found.seq}: {size} in {found.folder}, {seconds:.1f} s"
    yield f"  {len(found.tables)} tables, {len(found.versions)} model versions, {found.seq:,} facts; no key is in it"
    yield from (f"  left out of the code: {name}" for name in found.left_out)
    yield from (f"  not whole in the store any more: {name}" for name in found.missing)
    yield f"  next: read {found.folder / 'README.md'}"
