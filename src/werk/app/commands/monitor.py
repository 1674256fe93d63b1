"""What the monitors said about a model, window by window."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

from werk import registry
from werk.app.answers import Answer
from werk.app.commands.past import reader
from werk.app.wiring import Session, opened
from werk.core.errors import Refused, unknown
from werk.core.journal import Reader, Row

NAMES = ("model", "version", "window", "monitor", "verdict", "sentence", "values")
Key = tuple[str, str, str, str]


def monitor(
    model: str | None, window: str | None, check: bool, as_of: str | None, project: Path | None, profile: str | None
) -> Answer:
    """Every verdict in order of window; `check` turns a violation in the window checked last into exit code 3."""
    with opened(project, profile) as session:
        then = reader(session, as_of)
        rows = then.rows("monitors", _where(session, model), order=("window", "version", "monitor"))
        said = _said(then)
        trained = _trained_rows(session, rows) if rows else {}
    windows = list(dict.fromkeys(str(row["window"]) for row in rows))
    if window is not None and window not in windows:
        raise unknown("window", window, windows, code="window-unknown")
    chosen = [row for row in rows if window in (None, row["window"])]
    bad = _violations(chosen)
    if check and bad:
        raise _alarm(bad)
    told = [
        {
            **{name: row[name] for name in NAMES},
            "before": said.get(_of(row), [])[:-1],
            "trained_on": trained.get(_scored(row), 0),
        }
        for row in chosen
    ]
    return Answer(rows=told, text=_text(told))


def _trained_rows(session: Session, rows: Sequence[Row]) -> Mapping[tuple[str, str], int]:
    from werk.pipelines.seen import trained_rows

    return trained_rows(session.p, str(rows[0]["model"]))


def _alarm(bad: Sequence[Row]) -> Refused:
    about = f"{bad[0]['window']} ({bad[0]['model']}:{bad[0]['version']})"
    sentence = f"{len(bad)} monitor(s) report a violation in {about}: {', '.join(str(row['monitor']) for row in bad)}."
    return Refused(sentence, code="monitor-violation", hint="`werk monitor` shows each sentence.")


def _said(then: Reader) -> dict[Key, list[str]]:
    """Every verdict of each monitor about a window of a version, in the order in which they were given; the last one stands."""
    found: dict[Key, list[str]] = {}
    for fact in then.facts(kinds=("monitor.checked",)):
        if fact.body:
            model, _, version = fact.subject.rpartition(":")
            found.setdefault(_of({"model": model, "version": version, **fact.body}), []).append(str(fact.body["verdict"]))
    return found


def _of(row: Mapping[str, object]) -> Key:
    return str(row["model"]), str(row["version"]), str(row["window"]), str(row["monitor"])


def _scored(row: Row) -> tuple[str, str]:
    return str(row["version"]), str(row["window"])


def _where(session: Session, model: str | None) -> dict[str, str]:
    """A version, or every version of a model (without one: of the project's own)."""
    if model is None or ("@" not in model and ":" not in model):
        return {"model": model or session.p.project.name}
    mv = registry.resolve(session.p, model)
    return {"model": mv.model, "version": str(mv.version)}


def checked_last(rows: Sequence[Row]) -> list[Row]:
    """Of each model what stands of the window that it answered for last, by the version that did: names have no order in time."""
    newest: dict[str, Row] = {}
    for row in sorted(rows, key=_seq):
        newest[str(row["model"])] = row
    last = [(row["model"], row["version"], row["window"]) for row in newest.values()]
    return [row for row in rows if (row["model"], row["version"], row["window"]) in last]


def _seq(row: Row) -> int:
    """The fact that said it."""
    return cast("int", row["seq"])


def _violations(rows: list[Row]) -> list[Row]:
    return [row for row in checked_last(rows) if row["verdict"] == "violation"]


def _text(rows: Sequence[Mapping[str, object]]) -> str:
    if not rows:
        return "(no window has been checked yet)"
    lines, shown = list[str](), ""
    for row in rows:
        title = f"{row['window']}  {row['model']}:{row['version']}{_trained(row)}"
        if title != shown:
            lines.append(title)
            shown = title
        lines.append(f"  {row['monitor']!s:<17} {row['verdict']!s:<11} {row['sentence']}{_before(row)}")
    return "\n".join(lines)


def _trained(row: Mapping[str, object]) -> str:
    return f"  ({row['trained_on']:,} of the rows are among those it was trained on)" if row["trained_on"] else ""


def _before(row: Mapping[str, object]) -> str:
    """Other verdicts that this one took the place of."""
    other = [verdict for verdict in dict.fromkeys(cast("list[str]", row["before"])) if verdict != row["verdict"]]
    return f" (said before: {', '.join(other)})" if other else ""
