"""The fenced blocks of the pages: what each is, and whether it says why it is not run."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "src" / "werk" / "templates"
TEMPLATE = TEMPLATES / "flights"
# Those that bring their data and whose README is the whole way; `flights` has a page, `tabular` is made of a file.
OTHERS = sorted(path.parent for path in TEMPLATES.glob("*/README.md") if path.parent.name not in ("flights", "tabular"))
FIRST = ROOT / "docs" / "first_model.md"
OWN = ROOT / "docs" / "own_data.md"
PAGES = (
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted(TEMPLATES.glob("*/README.md")),
    *(ROOT / "examples" / name / "README.md" for name in ("own_case", "toy_plugin")),
)
SHELL = ("sh", "")
LANGUAGES = (*SHELL, "text", "python", "py", "toml", "yaml", "json", "diff")  # `py` is a signature, made from the code
# The closed list. "run by" names a file of this repository that does run it.
REASONS = ("run by FILE", "costs minutes", "needs your servers", "opens an editor")
_FENCE = re.compile(r"^(?P<tick>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<text>.*?)^(?P=tick)[ ]*$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Block:
    """`file` is what the block is part of: `toml gate.toml`; the `whole` of it is what a reader saves there.

    `reason` is empty for a block that runs.
    """

    page: Path
    line: int
    language: str
    file: str
    reason: str
    text: str
    whole: bool = False

    @property
    def where(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [_block(page, text, found) for found in _FENCE.finditer(text)]


def _block(page: Path, text: str, found: re.Match[str]) -> Block:
    info, _, reason = found["info"].partition("no-run:")
    language, file, whole = [*info.split(), "", "", ""][:3]
    line = text.count("\n", 0, found.start()) + 1
    return Block(page, line, language, file, reason.strip(), found["text"], whole == "whole")


def runs(block: Block) -> bool:
    return not block.reason and block.language in (*SHELL, "python")


def reason_is_listed(reason: str) -> bool:
    file = reason.removeprefix("run by ")
    return (ROOT / file).is_file() if file != reason else reason in REASONS


def missing_line(shown: str, said: str) -> str | None:
    """The first shown line that the output does not have, in order; None when it has them all."""
    lines = [line.rstrip() for line in said.splitlines()]
    at = 0
    for wanted in (line.rstrip() for line in shown.splitlines()):
        if wanted in ("", "..."):
            continue
        form = re.compile(".*".join(map(re.escape, wanted.split("..."))))
        found = next((place for place in range(at, len(lines)) if form.fullmatch(lines[place])), None)
        if found is None:
            return wanted
        at = found + 1
    return None
