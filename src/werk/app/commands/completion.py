"""`werk completion`: the script that lets a shell complete commands, sub-commands and options with the Tab key."""

from __future__ import annotations

from typer.completion import get_completion_script  # type: ignore[attr-defined]  # typer's own

from werk.app.answers import Answer
from werk.core.errors import InputError

SHELLS = ("bash", "zsh", "fish")
ASKED_BY = "_WERK_COMPLETE"  # the variable in which a shell asks for what may stand at the cursor


def completion(shell: str) -> Answer:
    """The script for one shell; it asks `werk` itself at each Tab, so it stays true after an upgrade."""
    if shell not in SHELLS:
        raise InputError(f"No completion for '{shell}'.", code="shell-unknown", hint=f"Name one of: {', '.join(SHELLS)}.")
    return Answer(text=get_completion_script(prog_name="werk", complete_var=ASKED_BY, shell=shell))
