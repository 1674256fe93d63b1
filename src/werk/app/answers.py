"""What a command says: a table or a record on the terminal, the same as JSON with --json."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from werk.core.errors import StepFailed, WerkError

Row = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Answer:
    """`rows` or `record` is what --json prints; `text` replaces the plain rendering where it reads better."""

    rows: Sequence[Row] | None = None
    record: Row | None = None
    text: str = ""
    columns: Sequence[str] = field(default=())
    exit_code: int = 0


def show(answer: Answer, *, as_json: bool) -> None:
    if as_json:
        value = answer.rows if answer.rows is not None else answer.record if answer.record is not None else {}
        print(json.dumps(value, indent=2, ensure_ascii=False, default=str))
    elif answer.text:
        print(answer.text)
    elif answer.rows is not None:
        print(_table(answer.rows, answer.columns))
    elif answer.record is not None:
        print("\n".join(f"{name:<16} {_cell(value)}" for name, value in answer.record.items()))


def show_error(error: WerkError, *, as_json: bool) -> None:
    """One sentence, the next step and the code; a user's own traceback comes first."""
    if as_json:
        said = {"error": error.message, "code": error.code, "hint": error.hint}
        if isinstance(error, StepFailed) and error.user_traceback:
            said["traceback"] = error.user_traceback
        print(json.dumps(said, ensure_ascii=False), file=sys.stderr)
        return
    if isinstance(error, StepFailed) and error.user_traceback:
        print(error.user_traceback.rstrip(), file=sys.stderr)
    print(f"{_who(error)}: {error.message} [{error.code}]", file=sys.stderr)
    if error.hint:
        print(f"  next: {error.hint}", file=sys.stderr)


def _who(error: WerkError) -> str:
    return {2: "input", 3: "refused"}.get(error.exit_code, "failed")


def _table(rows: Sequence[Row], columns: Sequence[str]) -> str:
    if not rows:
        return "(nothing yet)"
    names = list(columns) or list(rows[0])
    cells = [[_cell(row.get(name)) for name in names] for row in rows]
    widths = [max(len(name), *(len(line[at]) for line in cells)) for at, name in enumerate(names)]
    lines = [names, *cells]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
