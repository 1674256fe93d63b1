"""What a project can do without: old output of steps, and what killed processes have left. Never what a fact names."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from werk.app.answers import Answer
from werk.app.step_output import LOGS
from werk.app.wiring import Session, opened

_DAY_S = 86_400.0
# Names that a writer gives to what is not finished, below the project; no process needs a day for one of them.
_UNFINISHED = (".werk/objects/**/*~*", ".werk/code-*", ".werk/code.git/index-*", ".werk/code.git/**/tmp_*")
_ASIDE = ("werk-rebuild-*", "werk-debug-*")


@dataclass(frozen=True, slots=True)
class Found:
    path: Path
    why: str
    size_bytes: int


def clean(yes: bool, older_than: int, project: Path | None, profile: str | None) -> Answer:
    """Listed, and removed only when it is said."""
    with opened(project, profile) as session:
        found = [*_output(session, older_than), *_left(session)]
    gone = [one for one in found if _removed(one.path)] if yes else []
    record: dict[str, object] = {
        "found": [{"path": str(one.path), "why": one.why, "size_bytes": one.size_bytes} for one in found],
        "size_bytes": sum(one.size_bytes for one in found),
        "removed": [str(one.path) for one in gone],
    }
    kept = [one for one in found if yes and one not in gone]
    return Answer(record=record, text="\n".join(_said(found, gone, kept, yes)), exit_code=1 if kept else 0)


def _said(found: list[Found], gone: list[Found], kept: list[Found], yes: bool) -> Iterator[str]:
    if not found:
        yield "nothing to clean"
        return
    shown = gone if yes else found
    yield from (f"  {one.size_bytes / 1e6:8,.1f} MB  {one.why:<28} {one.path}" for one in shown)
    size = sum(one.size_bytes for one in shown) / 1e6
    yield f"{'removed' if yes else 'can go'}: {len(shown):,}, {size:,.1f} MB"
    yield from (f"  could not be removed: {one.path}" for one in kept)
    if not yes:
        yield "  next: werk clean --yes"


def _output(session: Session, older_than: int) -> Iterator[Found]:
    """Of runs that have ended, and of runs that the journal does not know."""
    root, before = session.p.project.root, time.time() - older_than * _DAY_S
    going = {str(row["run"]) for row in session.p.journal.rows("runs", {"status": "running"}, columns=("run",))}
    for folder in sorted((root / LOGS).glob("run_*")):
        if folder.name not in going and folder.is_dir() and not folder.is_symlink() and _newest(folder) < before:
            yield Found(folder, f"output of a run, {older_than} days old", _size(folder))


def _left(session: Session) -> Iterator[Found]:
    root, before = session.p.project.root, time.time() - _DAY_S
    places = [(root, pattern) for pattern in _UNFINISHED] + [(Path(tempfile.gettempdir()), pattern) for pattern in _ASIDE]
    for folder, pattern in places:
        for path in sorted(folder.glob(pattern)):
            if not path.is_symlink() and _is_ours(path) and _newest(path) < before:
                yield Found(path, "left by a killed process", _size(path))
    aside = session.settings.home / "moving" / session.p.project.id
    for path in (path for path in (aside, aside.with_name(f"{aside.name}.checked")) if path.is_dir() and _newest(path) < before):
        yield Found(path, "left by a move", _size(path))


def _is_ours(path: Path) -> bool:
    return not hasattr(os, "getuid") or path.stat().st_uid == os.getuid()


def _newest(path: Path) -> float:
    """When anything in it was last written; what vanishes meanwhile counts as new."""
    try:
        return max((one.lstat().st_mtime for one in (path, *path.rglob("*"))), default=0.0)
    except OSError:
        return time.time()


def _size(path: Path) -> int:
    with suppress(OSError):
        return sum(one.lstat().st_size for one in (path, *path.rglob("*")) if one.is_file())
    return 0


def _removed(path: Path) -> bool:
    """A second cleaner may have been here first."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink()
    return not path.exists()
