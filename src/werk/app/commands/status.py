"""One screen: what this project has, what it is doing, and what waits for somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from itertools import groupby
from pathlib import Path

from werk.app.answers import Answer
from werk.app.commands.monitor import checked_last
from werk.app.commands.runs import LISTED
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.journal import Row
from werk.core.nouns import from_micros, to_micros, utc_now
from werk.data import standing
from werk.journal import last_signed

Part = dict[str, object]


def status(project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        found = _found(session)
    return Answer(record=found, text=_text(found))


def _found(session: Session) -> Part:
    p, journal = session.p, session.p.journal
    versions = journal.rows("versions", order=("model", "version"), columns=("model", "version", "status"))
    head, signed = journal.head(), last_signed(session.journal)
    found: Part = {
        "project": p.project.name,
        "id": p.project.id,
        "stage": p.stage,
        "actor": f"{p.actor.name} ({p.actor.assurance})",
        "champions": _champions(session),
        "pending": [f"{row['model']}:{row['version']}" for row in versions if row["status"] == "pending"],
        "runs": _last_runs(session),
        "monitors": _last_verdicts(session),
        "tables": [_table(row) for row in standing(journal)],
        "head": {"seq": head.seq, "hash": head.hash, "signed": signed.seq if signed else None},
    }
    return {**found, "next": _next(found, p.project.name)}


def _champions(session: Session) -> list[Part]:
    journal = session.p.journal
    live = {str(row["endpoint"]): row for row in journal.rows("deployments", order=("seq",))}
    named = journal.rows("aliases", {"alias": "champion"}, order=("model",))
    return [{"model": f"{row['model']}:{row['version']}", "deployment": _deployed(live, row)} for row in named]


def _deployed(live: Mapping[str, Row], champion: Row) -> JSON:
    row = live.get(str(champion["model"]))
    return row["deployment"] if row and row["version"] == champion["version"] else None


def _last_runs(session: Session) -> list[Part]:
    """The newest run of each pipeline; a running one that nobody drives is interrupted."""
    newest: dict[str, Row] = {}
    for row in session.p.journal.rows("runs", order=("-started",), columns=LISTED):
        newest.setdefault(str(row["pipeline"]), row)
    running = [str(row["run"]) for row in newest.values() if row["status"] == "running"]
    left = {*running} - {*session.journal.held(running)}
    return [
        {
            "pipeline": name,
            "run": row["run"],
            "status": "interrupted" if row["run"] in left else row["status"],
            "started": _iso(row["started"]),
        }
        for name, row in sorted(newest.items())
    ]


def _last_verdicts(session: Session) -> list[Part]:
    names = ("monitor", "model", "version", "window", "verdict", "sentence")
    rows = checked_last(session.p.journal.rows("monitors", order=("model", "monitor"), columns=(*names, "seq")))
    return [{name: row[name] for name in names} for row in rows]


def _table(row: Row) -> Part:
    at = row["at"]
    age = (to_micros(utc_now()) - at) // 1_000_000 if isinstance(at, int) else None
    return {"table": f"{row['table']}@{row['version']}", "rows": row["rows"], "quarantined": row["quarantined"], "age_s": age}


def _next(found: Part, name: str) -> str:
    """What a person would do now: the first of these that applies.

    A run to resume is the newest of its pipeline: no later one has finished.
    """
    runs = [run for run in _parts(found, "runs") if run["status"] in ("interrupted", "failed")]
    pending = found["pending"]
    if not found["tables"]:
        return "werk ingest raw.TABLE FILE"
    if isinstance(pending, list) and pending:
        return f"werk approve {pending[-1]}   (as a second actor: werk actor add NAME)"
    if runs:
        return f"werk resume {runs[0]['run']}"
    if not found["champions"]:
        return "werk run training"
    return "werk serve" if not found["monitors"] else f"werk monitor {name}"


def _text(found: Part) -> str:
    head = found["head"]
    assert isinstance(head, dict)
    recorded = f"{head['seq']:,} facts, head {head['hash'][:12]}, signed up to {head['signed'] or '-'}"
    lines = [f"{found['project']} ({found['stage']}) as {found['actor']}: {recorded}"]
    champions = [f"  {one['model']} is champion, {one['deployment'] or 'not deployed'}" for one in _parts(found, "champions")]
    pending = found["pending"]
    assert isinstance(pending, list)
    lines += ["models", *(champions or ["  no champion yet"]), *(f"  {one} waits for approval" for one in pending)]
    runs = (f"  {r['pipeline']!s:<18} {r['status']!s:<12} {r['run']}  {r['started']}" for r in _parts(found, "runs"))
    lines += ["last runs", *runs]
    lines += ["monitors", *_answers(_parts(found, "monitors"))]
    lines += ["tables", *(f"  {t['table']!s:<28} {t['rows']:>10,} rows  {_age(t['age_s'])}" for t in _parts(found, "tables"))]
    return "\n".join([*lines, f"next: {found['next']}"])


def _answers(monitors: Sequence[Part]) -> Iterator[str]:
    """Under the window that was checked last, of each model."""
    for title, answers in groupby(monitors, lambda m: f"  {m['window']}  {m['model']}:{m['version']}, checked last"):
        yield title
        yield from (f"  {m['monitor']!s:<18} {m['verdict']!s:<12} {m['sentence']}" for m in answers)


def _parts(found: Part, name: str) -> list[Part]:
    parts = found[name]
    assert isinstance(parts, list)
    return parts


def _age(seconds: object) -> str:
    return f"landed {timedelta(seconds=seconds)} ago" if isinstance(seconds, int) else ""


def _iso(micros: JSON) -> str:
    return from_micros(micros).isoformat(timespec="seconds") if isinstance(micros, int) else "-"
