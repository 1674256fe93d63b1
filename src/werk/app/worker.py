"""One job of `werk up` or `werk serve` in a process of its own; it ends when its parent does, however that went."""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from pathlib import Path

from werk.app import answers
from werk.core.errors import WerkError

_HOME = {"serve": "serve", "settle": "deployments"}


def main(words: Sequence[str]) -> int:
    """`JOB PROJECT PROFILE [VALUE]`: job and what it is given. Only the job's own modules are loaded."""
    threading.Thread(target=_end_with_parent, daemon=True).start()
    job, project, profile, *given = words
    try:
        _do(job, Path(project), profile, *given)
    except (WerkError, OSError) as error:
        known = error if isinstance(error, WerkError) else answers.of_system(error)
        answers.show_error(known, as_json=False)
        return known.exit_code
    return 0


def _do(job: str, project: Path, profile: str, value: str = "") -> None:
    module = importlib.import_module(f"werk.app.commands.{_HOME.get(job, 'runs')}")
    match job:
        case "serve":
            module.run(int(value), project)
        case "settle":
            module.settle(project, profile or None)
        case "resume":
            module.resume(value, project, profile)
        case _:
            module.drained(project, profile)


def _end_with_parent() -> None:
    """The other end of standard input is the parent's: it closes when the parent is gone, however it went."""
    while os.read(0, 4096):
        pass
    if hasattr(os, "killpg") and os.getpgrp() == os.getpid():
        os.killpg(os.getpid(), signal.SIGTERM)  # a step's own processes too
    else:
        os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
