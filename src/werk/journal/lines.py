"""Files of JSON lines that only grow: every line is on the disk before anybody goes on, and a torn one harms no other."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

_TAIL_BYTES = 1 << 13


def append(path: Path, lines: Sequence[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.stat().st_size > 0 and not _ends_whole(path)
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(("\n" if torn else "") + "".join(line + "\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read() == b"\n"


def read(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def tail(path: Path) -> list[str]:
    """The newest lines, however long the file is; the first of them may be cut."""
    if not path.exists():
        return []
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return file.read().decode(errors="replace").splitlines()


def fields(line: str) -> Mapping[str, object]:
    """What a line says, empty when it is torn."""
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
