"""One page, block by block: commands and scripts run, shown outputs are held against what was said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from doc_blocks import SHELL, Block, blocks_of, missing_line, runs
from doc_shell import Shell


def run_page(page: Path, shell: Shell, before_last: Callable[[], object] = lambda: None) -> None:
    """`before_last` is called before the page's last commands."""
    blocks = [block for block in blocks_of(page) if not block.reason]
    last = max(at for at, block in enumerate(blocks) if runs(block))
    said = ""
    for at, block in enumerate(blocks):
        if at == last:
            before_last()
        if block.whole:
            (shell.here / block.file).write_text(block.text, encoding="utf-8")
        elif block.language in SHELL:
            said = shell.run(block.text)
        elif block.language == "python":
            said = _python(block, shell)
        elif block.language == "text":
            line = missing_line(block.text, said)
            assert line is None, f"{page.name}:{block.line} shows a line that was not said: {line}\n{said}"


def _python(block: Block, shell: Shell) -> str:
    """A block that names a file shows lines of it; any other is run in the project's folder."""
    if block.file:
        line = missing_line(block.text, (shell.here / block.file).read_text(encoding="utf-8"))
        assert line is None, f"{block.page.name}:{block.line} shows a line that {block.file} lacks: {line}"
        return ""
    script = shell.here.parent / "block.py"
    script.write_text(shell.filled(block.text), encoding="utf-8")
    return shell.run("PYTHONPATH=. python ../block.py")
