"""What an audit says of the tables, beside what it says of the journal."""

from __future__ import annotations

from dataclasses import replace
from typing import cast, get_args

from werk.app.answers import Answer
from werk.core.errors import unknown
from werk.data import Checked, Which


def chosen(which: str) -> Which:
    known = get_args(Which)
    if which not in known:
        raise unknown("choice of tables", which, known, code="choice-unknown")
    return cast("Which", which)


def with_tables(answer: Answer, checked: Checked | None) -> Answer:
    """The answer with a line on the tables; None: they were not looked at, as the journal itself is damaged."""
    record = {**(answer.record or {}), "tables": None if checked is None else _record(checked)}
    return replace(answer, record=record, text="\n".join([answer.text, *_said(checked)]))


def _record(checked: Checked) -> dict[str, object]:
    counts = {"tables": checked.tables, "versions": checked.versions, "files": checked.parts, "size_bytes": checked.size_bytes}
    return {**counts, "unrecorded": list(checked.unrecorded), "vacuumed": list(checked.vacuumed), "untold": list(checked.untold)}


def _said(checked: Checked | None) -> list[str]:
    if checked is None:
        return ["tables not checked: the journal they are compared with is damaged"]
    if not checked.tables:
        return ["tables not checked"]
    size = f"{checked.parts:,} files, {checked.size_bytes / 1e6:,.1f} MB"
    state = "read" if checked.damages else "hold"
    lines = [f"tables {state}: {checked.versions} versions of {checked.tables} tables hashed again ({size})"]
    if checked.unrecorded:
        lines.append(f"  not recorded, so not checked: {_listed(checked.unrecorded)}, written before werk kept digests")
    if checked.vacuumed:
        lines.append(f"  no longer whole after a vacuum: {_listed(checked.vacuumed)}")
    if checked.untold:
        lines.append(f"  in the store, not in the journal, so never read: {_listed(checked.untold)}")
    return lines


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
