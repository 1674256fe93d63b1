"""What a failed step shows: its author's frames, not ours, and no secrets."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from pathlib import Path

_OURS = Path(__file__).resolve().parents[1]


def user_traceback(error: BaseException) -> str:
    """The traceback as Python prints it, without werk's own frames; causes and contexts included."""
    told = traceback.TracebackException.from_exception(error)
    for part in _chain(told):
        part.stack = traceback.StackSummary.from_list([frame for frame in part.stack if not _is_ours(frame.filename)])
    return "".join(told.format())


def _chain(told: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    yield told
    for earlier in (told.__cause__, told.__context__):
        if earlier is not None:
            yield from _chain(earlier)


def _is_ours(filename: str) -> bool:
    path = Path(filename)
    return path.is_relative_to(_OURS) and not path.is_relative_to(_OURS / "templates")
