"""One page's commands in one shell, line by line, in a project of its own."""

from __future__ import annotations

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

BIN = Path(sys.executable).parent
DEADLINE_S = 300.0
_END = "@@ended"
_HERE = "@@here"
_EXPECTED = re.compile(r"# exit code (\d)")
# What a reader fills in with what an earlier command has shown, as we do here.
_FILLED = {
    "RUN": re.compile(r"\brun_[0-9a-f]{20}\b"),
    "PREDICTION": re.compile(r"\bprd_[0-9a-f]{20}\b"),
    "TOKEN": re.compile(r"\bwerk_[\w-]{43}"),
    "TREE": re.compile(r"\b[0-9a-f]{40}\b"),
}
_WORD = re.compile(rf"\b({'|'.join(_FILLED)})\b")


class Shell:
    """`commands` are all lines that ran; `port` stands for the pages' 8080, so that two sessions never meet.

    Words in capitals (`RUN`, `TOKEN` ...) stand for what was last shown of their kind, as a reader fills them in.
    """

    def __init__(self, folder: Path, home: Path, port: int = 8080) -> None:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("WERK_") and k != "PYTHONPATH"}
        environment |= {"WERK_HOME": str(home), "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "COLUMNS": "132"}
        environment["GIT_CEILING_DIRECTORIES"] = str(
            folder.parent
        )  # a repository around the tests' folder is none of the project's
        self._bash = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self.folder = folder
        self._said: queue.Queue[str] = queue.Queue()
        self._port = str(port)
        self._shown: dict[str, str] = {}
        self.commands: list[str] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def run(self, text: str) -> str:
        """What the lines print; fails at the first whose exit code is not the one its comment tells, or 0."""
        return "".join(self._line(line) for line in _lines(text))

    @property
    def here(self) -> Path:
        """The folder that the page's commands have come to; what runs in the background may speak before it."""
        self._send(f'echo "{_HERE} $PWD"')
        return Path(self._until(lambda out: _HERE in out).rpartition(f"{_HERE} ")[2].strip())

    def filled(self, text: str) -> str:
        """The text with the words in capitals and the port filled in."""
        return _WORD.sub(lambda found: self._shown.get(found[0], found[0]), text).replace("8080", self._port)

    def close(self) -> None:
        """The shell ends, and with it whatever it has left running."""
        assert self._bash.stdin is not None
        assert self._bash.stdout is not None
        with suppress(ProcessLookupError):
            os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.stdin.close()
        self._bash.wait(10)
        self._listener.join(10)
        self._bash.stdout.close()

    def _line(self, line: str) -> str:
        self.commands.append(line)
        filled = self.filled(line)
        self._send(filled)
        said = ""
        if filled.endswith("&"):
            said += self._until(lambda out: "ready at" in out)
        self._send(f'echo "{_END} $?"')
        said += self._until(lambda out: _END in out)
        said, _, code = said.rpartition(_END)
        wanted = (_EXPECTED.search(line) or ["", "0"])[1]
        assert code.strip() == wanted, f"{filled}\nended with {code.strip()}, not {wanted}:\n{said[-3000:]}"
        for name, form in _FILLED.items():
            for found in form.findall(said):
                self._shown[name] = found
        return said.replace(self._port, "8080")

    def _send(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(line + "\n")
        self._bash.stdin.flush()

    def _listen(self) -> None:
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            self._said.put(line)

    def _until(self, done: Callable[[str], bool]) -> str:
        out, deadline = "", time.monotonic() + DEADLINE_S
        while not done(out):
            try:
                out += self._said.get(timeout=0.5)
            except queue.Empty:
                assert self._bash.poll() is None, f"the shell ended:\n{out}"
                assert time.monotonic() < deadline, f"no answer in {DEADLINE_S:.0f} s:\n{out}"
        return out


def _lines(text: str) -> Iterator[str]:
    """Commands, one a line; a backslash or an open quote goes on with the next. Comments and empty lines do nothing."""
    line = ""
    for part in text.splitlines():
        line += part
        if line.endswith("\\"):
            line = line[:-1]
        elif line.count("'") % 2:
            line += "\n"
        else:
            if line.strip() and not line.lstrip().startswith("#"):
                yield line
            line = ""
    assert not line, f"a command does not end: {line}"
