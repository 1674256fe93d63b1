"""The debugger itself: pdb, or the one that PYTHONBREAKPOINT names, at the frame a user would look at first."""

from __future__ import annotations

import importlib
import os
import pdb  # noqa: T100  # this is the debugger's own file
from bdb import BdbQuit
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import werk

Quit = BdbQuit
_OURS = Path(werk.__file__).resolve().parent


class _AtTheirs(pdb.Pdb):
    """pdb after a failure, begun at the deepest frame of the project's own code; `d` goes on down into libraries."""

    def __init__(self, root: Path) -> None:
        super().__init__()
        self._root = root

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        stack, at = super().get_stack(f, t)
        theirs = [n for n, (frame, _) in enumerate(stack) if _lies_in(frame, self._root)]
        return stack, theirs[-1] if theirs else at


def enter(trace: TracebackType, root: Path) -> None:
    """Look at a failure; returns when the debugger is left."""
    trace = _from_the_step(trace)
    named = _named()
    if named is not None and hasattr(named, "post_mortem"):
        named.post_mortem(trace)
        return
    debugger = _AtTheirs(root)
    debugger.reset()
    debugger.interaction(None, trace)  # as pdb.post_mortem does


def stopped_in(fn: Callable[..., object], given: Mapping[str, object]) -> object:
    """Call a function and stop at its first line; `Quit` when the debugger is left before it returns."""
    named = _named()
    runcall = named.runcall if named is not None and hasattr(named, "runcall") else pdb.Pdb().runcall
    return runcall(fn, **given)


def _named() -> Any:
    """The module that PYTHONBREAKPOINT=module.function names; None for pdb, and for one that is not installed."""
    module = os.environ.get("PYTHONBREAKPOINT", "").rpartition(".")[0]
    if module in ("", "pdb"):
        return None
    try:
        return importlib.import_module(module)
    except ImportError:
        print(f"warning: PYTHONBREAKPOINT names {module}, which cannot be imported; this is pdb", flush=True)
        return None


def _from_the_step(trace: TracebackType) -> TracebackType:
    """Without the frames that called the step."""
    at: TracebackType | None = trace
    while at is not None and Path(at.tb_frame.f_code.co_filename).resolve().is_relative_to(_OURS / "app" / "debugging"):
        at = at.tb_next
    return at or trace


def _lies_in(frame: FrameType, root: Path) -> bool:
    file = Path(frame.f_code.co_filename).resolve()
    return file.is_relative_to(root.resolve()) and ".venv" not in file.parts
