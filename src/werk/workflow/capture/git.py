"""One git command at a time, deaf to the caller's variables, hooks and prompts."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from werk.core.errors import Failed, InputError

# A hook or a monitor named in somebody's global configuration would run inside our own store too.
_QUIET = ("-c", "core.hooksPath=", "-c", "core.fsmonitor=false", "-c", "core.quotePath=false")


def git(
    *arguments: str,
    cwd: Path,
    store: Path | None = None,
    index: Path | None = None,
    borrow: Path | None = None,
    data: bytes = b"",
) -> bytes:
    """What a git command prints. `store` is a bare repository to act on instead of the one around `cwd`; `borrow` is one
    whose objects can be read as well.

    Raises `InputError` when git is not installed, `Failed` with git's own first line when the command fails.
    """
    done = attempt(*arguments, cwd=cwd, store=store, index=index, borrow=borrow, data=data)
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["it gave no reason"]
        raise Failed(f"git {arguments[0]} failed: {said[0]}.", code="git-failed", hint="Run `git fsck` in the folder it names.")
    return done.stdout


def attempt(
    *arguments: str,
    cwd: Path,
    store: Path | None = None,
    index: Path | None = None,
    borrow: Path | None = None,
    data: bytes = b"",
) -> subprocess.CompletedProcess[bytes]:
    """The finished command, whether it succeeded or not."""
    command = [_program(), *_QUIET, *_acting_on(store), *arguments]
    return subprocess.run(command, cwd=cwd, env=_variables(index, borrow), input=data, capture_output=True, check=False)


def in_no_repository(folder: Path) -> bool:
    """Whether git says that no repository holds this folder; a repository it cannot read is one, and without git nobody knows."""
    if shutil.which("git") is None:
        return False
    done = attempt("rev-parse", "--git-dir", cwd=folder)
    return done.returncode != 0 and b"not a git repository" in done.stderr


def refusal(folder: Path, *arguments: str) -> str:
    """Run a command in somebody's own folder; git's own first line when it fails, else nothing."""
    done = attempt(*arguments, cwd=folder)
    said = done.stderr.decode(errors="replace").strip().splitlines() or [f"exit code {done.returncode}"]
    return said[0] if done.returncode else ""


def _program() -> str:
    found = shutil.which("git")
    if found is None:
        raise InputError(
            "git is not installed, so the code of a run cannot be kept.",
            code="git-missing",
            hint="Install git (apt install git, brew install git) and run again.",
        )
    return found


def _acting_on(store: Path | None) -> Sequence[str]:
    return () if store is None else (f"--git-dir={store}",)


def _variables(index: Path | None, borrow: Path | None) -> dict[str, str]:
    # Inside a git hook GIT_DIR and GIT_INDEX_FILE point at the user's repository: they must not reach our commands.
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    kept |= {"LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    if index:
        kept["GIT_INDEX_FILE"] = str(index)
    if borrow:
        kept["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = str(borrow / "objects")
    return kept
