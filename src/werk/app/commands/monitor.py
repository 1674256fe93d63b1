"""What the monitors said about a model, window by window."""

from __future__ import annotations

from pathlib import Path

from werk import registry
from werk.app.answers import Answer
from werk.app.commands.past import reader
from werk.app.wiring import Session, opened
from werk.core.errors import Refused, unknown
from werk.core.journal import Row

NAMES = ("model", "version", "window", "monitor", "verdict", "sentence", "values")


def monitor(
    model: str | None, window: str | None, check: bool, as_of: str | None, project: Path | None, profile: str | None
) -> Answer:
    """Every verdict in order of window; `check` turns a violation in the newest window into exit code 3."""
    with opened(project, profile) as session:
        rows = reader(session, as_of).rows("monitors", _where(session, model), order=("window", "version", "monitor"))
    windows = list(dict.fromkeys(str(row["window"]) for row in rows))
    if window is not None and window not in windows:
        raise unknown("window", window, windows, code="window-unknown")
    chosen = [row for row in rows if window in (None, row["window"])]
    bad = _violations(chosen)
    if check and bad:
        sentence = f"{len(bad)} monitor(s) report a violation in {bad[0]['window']}: {', '.join(str(r['monitor']) for r in bad)}."
        raise Refused(sentence, code="monitor-violation", hint="`werk monitor` shows each sentence.")
    return Answer(rows=[{name: row[name] for name in NAMES} for row in chosen], text=_text(chosen))


def _where(session: Session, model: str | None) -> dict[str, str]:
    """A version, or every version of a model (without one: of the project's own)."""
    if model is None or ("@" not in model and ":" not in model):
        return {"model": model or session.p.project.name}
    mv = registry.resolve(session.p, model)
    return {"model": mv.model, "version": str(mv.version)}


def _violations(rows: list[Row]) -> list[Row]:
    newest = max((str(row["window"]) for row in rows), default="")
    return [row for row in rows if row["window"] == newest and row["verdict"] == "violation"]


def _text(rows: list[Row]) -> str:
    if not rows:
        return "(no window has been checked yet)"
    lines, shown = list[str](), ""
    for row in rows:
        title = f"{row['window']}  {row['model']}:{row['version']}"
        if title != shown:
            lines.append(title)
            shown = title
        lines.append(f"  {row['monitor']!s:<17} {row['verdict']!s:<11} {row['sentence']}")
    return "\n".join(lines)
