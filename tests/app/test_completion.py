"""What a real bash completes once it has read what `werk completion bash` prints."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from werk.app.cli import commands

WERK = Path(sys.executable).with_name("werk")
ENV = {**os.environ, "PATH": f"{WERK.parent}{os.pathsep}{os.environ['PATH']}"}


def completed(*words: str) -> list[str]:
    """What bash offers for the last of `words`."""
    line = " ".join(f"'{word}'" for word in ("werk", *words))
    script = (
        f"source <(werk completion bash); COMP_WORDS=({line}); COMP_CWORD={len(words)}; _werk_completion werk; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("no bash here")
    done = subprocess.run([bash, "--norc", "-c", script], capture_output=True, text=True, env=ENV, timeout=60, check=True)
    assert done.stderr == ""
    return done.stdout.split()


def test_an_empty_word_gets_every_command() -> None:
    assert sorted(completed("")) == sorted(commands().commands)


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["rol"], ["rollback"]),
        (["actor", ""], ["add", "renew", "revoke", "list"]),
        (["audit", "v"], ["verify"]),
        (["run", "training", "--fr"], ["--fresh"]),
        (["no-such-command", "--fr"], []),
    ],
    ids=["command", "group", "sub-command", "option", "unknown"],
)
def test_bash_completes(words: list[str], offered: list[str]) -> None:
    assert completed(*words) == offered


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_script_asks_werk_itself(shell: str) -> None:
    done = subprocess.run([WERK, "completion", shell], capture_output=True, text=True, env=ENV, timeout=60, check=True)
    assert f"_WERK_COMPLETE=complete_{shell}" in done.stdout


def test_another_shell_is_refused_with_the_ones_there_are() -> None:
    done = subprocess.run([WERK, "completion", "tcsh"], capture_output=True, text=True, env=ENV, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "shell-unknown" in done.stderr
    assert "bash, zsh, fish" in done.stderr
