"""What a commit does not hold of a run's code; and the first commit of the demo's use case."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from werk.app.answers import Answer
from werk.app.commands.show import run_row
from werk.app.wiring import opened
from werk.core.canonical import JSON
from werk.core.errors import InputError
from werk.workflow.capture import CodeTree, in_no_repository, refusal, uncommitted

# Its own identity, on the command line: a newcomer may have told git none yet, and nobody's name is taken without being asked.
_DEMO = ("-c", "user.name=werk demo", "-c", "user.email=demo@werk.invalid")
_FIRST = (
    ("init", "-q"),
    ("add", "--all"),
    (*_DEMO, "commit", "-q", "--no-gpg-sign", "-m", "The use case as it was made"),
)


def show_uncommitted(run: str, project: Path | None, profile: str | None) -> Answer:
    """The patch from the commit a run was recorded on to the code that ran."""
    with opened(project, profile) as session:
        code = _code(run, cast("Mapping[str, JSON] | None", run_row(session.p.journal, run)["code"]))
        root = session.p.project.root
    patch = uncommitted(root, root / ".werk" / "code.git", code)
    record = {"run": run, "commit": code.commit, "tree": code.tree, "patch": patch, "left_out": list(code.left_out)}
    return Answer(record=record, text=patch.removesuffix("\n") or f"nothing uncommitted: {code.commit} holds the code of {run}")


def _code(run: str, recorded: Mapping[str, JSON] | None) -> CodeTree:
    if not recorded:
        raise InputError(f"The code of {run} is erased.", code="run-erased", hint="Ask another run: `werk runs` lists them.")
    if not recorded.get("commit") or recorded.get("git", "tracked") != "tracked":
        where = recorded.get("git") or "without a commit"
        hint = f"All of its code: git --git-dir .werk/code.git archive {recorded['tree']} | tar -x -C DIRECTORY"
        raise InputError(f"{run} was recorded {where}, so no commit can be compared.", code="run-uncommitted", hint=hint)
    given: dict[str, Any] = {name: value for name, value in recorded.items() if name in CodeTree.__dataclass_fields__}
    return CodeTree(**{"git": "tracked", **given, "left_out": tuple(given["left_out"])})


def begin(folder: Path) -> None:
    """A repository and a first commit, printed as typed; nothing where there is one already, or where git cannot."""
    if not in_no_repository(folder):
        return
    for words in _FIRST:
        print(f"$ {shlex.join(['git', *words])}")
        if said := refusal(folder, *words):
            print(f"  no: {said}")
            return
