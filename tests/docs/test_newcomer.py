"""A newcomer's first approved model: at most ten commands and thirty minutes, and little code that is no model."""

from __future__ import annotations

import ast
import io
import json
import tokenize
from typing import Any

from doc_blocks import TEMPLATE
from doc_shell import Shell

PIPELINES = TEMPLATE / "pipelines.py"
# What says which model it is; what the model sees (flights/features.py) and declarations (TOML, YAML) are counted nowhere.
# The ladder is a study of the model's features: what each of them is worth.
MODEL = ("Params", "train", "RUNGS", "SMOOTH", "train_knowing", "ladder")
LAYOUT = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
DOCUMENTED = (ast.Module, ast.FunctionDef, ast.ClassDef)


def code_lines(source: str) -> set[int]:
    """Lines that hold code: neither empty nor only a comment or a docstring."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for token in tokens if token.type not in LAYOUT for line in range(token.start[0], token.end[0] + 1)}
    documented = [node for node in ast.walk(ast.parse(source)) if isinstance(node, DOCUMENTED) and ast.get_docstring(node)]
    return lines - {line for node in documented for line in range(node.body[0].lineno, (node.body[0].end_lineno or 0) + 1)}


def _name(node: ast.stmt) -> str:
    target = node.targets[0] if isinstance(node, ast.Assign) else node
    return str(getattr(target, "name", getattr(target, "id", "")))


def lines_of(source: str, names: tuple[str, ...]) -> set[int]:
    """The lines of these definitions and assignments, decorators included."""
    found = [node for node in ast.parse(source).body if _name(node) in names]
    assert len(found) == len(names)
    first = [min([node.lineno, *(decorator.lineno for decorator in getattr(node, "decorator_list", ()))]) for node in found]
    return {line for start, node in zip(first, found, strict=True) for line in range(start, (node.end_lineno or 0) + 1)}


def test_the_first_approved_model_takes_ten_commands_and_thirty_minutes(journey: Any, shell: Shell) -> None:
    assert 1 <= len(journey.commands) <= 10, journey.commands
    assert not [command for command in journey.commands if any(several in command for several in (";", "&&", "|"))]
    assert journey.seconds <= 30 * 60
    (version,) = json.loads(shell.run("werk models --json"))
    assert (version["model"], version["version"], version["status"], version["alias"]) == ("my-case", 1, "approved", "champion")


def test_the_example_has_at_most_fifty_lines_that_are_no_model() -> None:
    source = PIPELINES.read_text(encoding="utf-8")
    assert 1 <= len(code_lines(source) - lines_of(source, MODEL)) <= 50


def test_only_lines_of_code_are_counted() -> None:
    source = '"""Words."""\n\n# why\nx = 1  # a\n\n\n@deco\ndef f():\n    """Says."""\n    return (\n        1\n    )\n'
    assert code_lines(source) == {4, 7, 8, 10, 11, 12}
    assert lines_of(source, ("f",)) == set(range(7, 13))
