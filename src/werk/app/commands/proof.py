"""Proofs: lineage, audit, backup, and what this machine can and cannot promise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from werk import journal
from werk.app.answers import Answer
from werk.app.commands.table_audit import chosen, with_tables
from werk.app.wiring import Session, onlooker, opened
from werk.core.canonical import JSON
from werk.core.journal import Verification
from werk.data import Which, audit
from werk.pipelines.artifacts import Ancestry, Edge, ancestry, came_of, kind_of
from werk.pipelines.lineage import Lineage, Origin
from werk.pipelines.lineage import lineage as walk
from werk.pipelines.stored import damaged

SHOWN = 40


def lineage(id: str, project: Path | None, profile: str | None) -> Answer:
    """A prediction or a model is followed to its code and files; of everything else all that came before and after it."""
    with opened(project, profile) as session:
        found = walk(session.p, id) if id.startswith("prd_") or kind_of(id) == "model" else None
        around = ancestry(session.p.journal, found.model if found and found.prediction else id)
        if found and found.prediction:
            around = replace(around, consumers=came_of(session.p.journal, found.prediction))
    record = (found.to_json() if found else {}) | around.to_json() | {"id": id}
    told = [*chain(found), *_onward(around)] if found else [*_upward(around), *_onward(around)]
    return Answer(record=record, text="\n".join(told))


def _upward(found: Ancestry) -> list[str]:
    return [found.id, "came from", *(_edge(edge) for edge in found.producers)] if found.producers else [found.id]


def _onward(found: Ancestry) -> list[str]:
    """At most forty: a table read by a thousand runs is listed whole by --json."""
    if not found.consumers:
        return ["nothing has come of it yet"]
    more = len(found.consumers) - SHOWN
    rest = [f"  and {more} more: --json lists all"] if more > 0 else []
    return ["what came of it", *(_edge(edge) for edge in found.consumers[:SHOWN]), *rest]


def _edge(edge: Edge) -> str:
    return f"  {edge.source} {edge.how} {edge.target}"


def chain(found: Lineage) -> list[str]:
    """A lineage as it is printed."""
    lines = []
    if found.prediction:
        lines += _asked(found.prediction)
        lines += [f"  scored from {_source(origin)}" for origin in found.inputs]
    lines.append(f"model      {found.model}  {found.canonical_hash}")
    lines.append(f"run        {'trained by ' if found.prediction else ''}{found.run}")
    lines += [f"  step {name:<22} code {digest[:12]}" for name, digest in found.steps.items()]
    lines.append(f"code       tree {str(found.code.get('tree'))[:12]}, {_committed(found.code, found.run)}")
    lines += [f"  trained on {_source(origin)}" for origin in found.snapshots]
    return lines


def _committed(code: Mapping[str, JSON], run: str) -> str:
    """Runs of before this was recorded say only that there was no commit."""
    if not code.get("commit"):
        return str(code.get("git") or "no commit")
    if code.get("git", "tracked") != "tracked":
        return f"{code['git']}, which stood at commit {code['commit']}"
    changes = f" with uncommitted changes: werk show {run} --uncommitted" if code.get("dirty") else ""
    return f"commit {code['commit']}{changes}"


def _asked(prediction: Mapping[str, JSON]) -> list[str]:
    score = prediction["score"]
    first = f"prediction {prediction['prediction_id']}  score {f'{score:.6f}' if isinstance(score, float) else score}"
    if "endpoint" not in prediction:
        return [first, f"  scored by {prediction['run']}"]
    return [first, f"  answered at '{prediction['endpoint']}' on {prediction['at']} by {prediction['deployment']}"]


def _source(origin: Origin) -> str:
    return f"{origin.snapshot:<16} {origin.source}  sha256 {origin.source_sha256[:12]}"


def verify(project: Path | None, profile: str | None, tables: str = "all") -> Answer:
    """Nothing is written: the evidence is the same after it as before."""
    which = chosen(tables)
    with onlooker(project, profile) as session:
        return audited(session, which)


def audited(session: Session, which: Which = "all") -> Answer:
    """The journal first: damaged, it is no measure for the tables and the objects."""
    found = journal.verify(session.journal)
    checked = audit(session.p, which) if found.ok else None
    objects = tuple(damaged(session.p)) if found.ok else ()
    whole = found if checked is None else replace(found, damages=(*checked.damages, *objects))
    head = session.journal.head() if found.facts else None
    answer, at = verdict(whole), {"seq": head.seq, "hash": head.hash} if head else None
    return with_tables(replace(answer, record={**(answer.record or {}), "journal": session.journal.id, "head": at}), checked)


def verdict(found: Verification) -> Answer:
    """What an audit found, as it is printed."""
    damages = [{"table": d.table, "where": d.where, "column": d.column, "sentence": d.sentence} for d in found.damages]
    record = {"ok": found.ok, "facts": found.facts, "heads": found.heads, "damages": damages, "notes": list(found.notes)}
    notes = [f"  note: {said}" for said in found.notes]
    if found.ok:
        text = f"holds: {found.facts} facts in one chain, {found.heads} signed heads, every projection equals its replay"
        return Answer(record=record, text="\n".join([text, *notes]))
    lines = [f"DAMAGED: {len(damages)} place(s) are not what was written", *(f"  {d.sentence}" for d in found.damages[:20])]
    return Answer(record=record, text="\n".join([*lines, *notes]), exit_code=1)
