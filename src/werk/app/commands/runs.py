"""Runs: start, resume, list, show."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

from werk import data, registry
from werk.app.answers import Answer
from werk.app.code import pipeline_named
from werk.app.commands.past import reader
from werk.app.commands.show import run_record, run_row, time_of
from werk.app.wiring import Session, opened
from werk.core.canonical import JSON
from werk.core.errors import InputError, Refused
from werk.core.journal import Fact, Journal
from werk.pipelines.cost import record_cost
from werk.workflow import Progress, parse_params
from werk.workflow.capture import capture_code, capture_environment
from werk.workflow.triggers import Trigger
from werk.workflow.triggers import drain as fire

_ALIAS = re.compile(r"[a-z][a-z0-9_-]*@[a-z][a-z0-9_-]*")
_CHAMPION = "@champion"


def run(pipeline: str, given: Sequence[str], fresh: bool, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile, writes=True) as session:
        id = start(session, pipeline, _pairs(given), fresh=fresh)
        drive(session, pipeline, id)
        drain(session)
        return Answer(record=run_record(session.p.journal, id), text=id)


def resume(run: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile, writes=True) as session:
        found = run_row(session.p.journal, run)
        name = str(found["pipeline"])
        pipeline = pipeline_named(session.p.project.root, name)
        session.engine(_say).resume(pipeline, run, code=_code(session), environment=_environment())
        record_cost(session.p, run, session.prices)
        drain(session)
        return Answer(record=run_record(session.p.journal, run), text=run)


def start(
    session: Session, name: str, given: Mapping[str, str], *, fresh: bool = False, cause: Mapping[str, JSON] | None = None
) -> str:
    """Record a run with everything it will depend on: parameters, table versions, code, environment."""
    pipeline = pipeline_named(session.p.project.root, name)
    params = {key: _pinned(session, value, pipeline.types.get(key)) for key, value in parse_params(pipeline, given).items()}
    pins = data.pins(session.p)
    return session.engine(_say).start(
        pipeline, params, pins=pins, code=_code(session), environment=_environment(), cause=cause, fresh=fresh
    )


def _pinned(session: Session, value: object, kind: object) -> object:
    """`model@alias` becomes `model:version` before the run is recorded: nothing reads what is newest inside a run.

    A champion that there is not yet is None where the parameter's type allows it.
    """
    if not isinstance(value, str) or not _ALIAS.fullmatch(value):
        return value
    try:
        return str(registry.resolve(session.p, value))
    except InputError as absent:
        if absent.code in ("alias-unknown", "model-unknown") and value.endswith(_CHAMPION) and NoneType in get_args(kind):
            return None
        raise


def drive(session: Session, name: str, id: str) -> None:
    session.engine(_say).drive(pipeline_named(session.p.project.root, name), id)
    record_cost(session.p, id, session.prices)


def drained(project: Path | None, profile: str | None) -> None:
    with opened(project, profile) as session:
        drain(session)


def triggers_of(session: Session) -> list[Trigger]:
    return [Trigger(**cast("dict[str, Any]", table)) for table in session.settings.triggers]


def drain(session: Session) -> list[str]:
    """Start and drive what the newest facts ask for, until nothing is asked for any more; returns the runs."""
    triggers = triggers_of(session)
    pipelines = {trigger.name: trigger.pipeline for trigger in triggers}
    done: list[str] = []
    while fired := fire(session.p.journal, triggers, partial(_started, session)):
        for name, seq, run in fired:
            print(f"trigger {name}: fact {seq} starts {pipelines[name]} {run}", file=sys.stderr)
            done.append(run)
            _driven(session, pipelines[name], run)
    return done


def _driven(session: Session, pipeline: str, run: str) -> None:
    """A retrained model that the gate refuses is an answer, not a failure of the command whose fact asked for it."""
    try:
        drive(session, pipeline, run)
    except Refused as no:
        print(f"  refused: {no.message}", file=sys.stderr)


def _started(session: Session, journal: Journal, trigger: Trigger, fact: Fact, params: Mapping[str, JSON]) -> str:
    through = replace(session, p=replace(session.p, journal=journal))
    given = {name: str(value) for name, value in params.items()}
    return start(through, trigger.pipeline, given, cause={"seq": fact.seq, "kind": fact.kind})


def runs(limit: int, as_of: str | None, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = reader(session, as_of).rows("runs", order=("-started",), limit=limit)
    shown = [{"run": r["run"], "pipeline": r["pipeline"], "status": r["status"], "started": time_of(r["started"])} for r in rows]
    return Answer(rows=shown)


def _code(session: Session) -> dict[str, JSON]:
    root = session.p.project.root
    return cast("dict[str, JSON]", asdict(capture_code(root, root / ".werk" / "code.git")))


def _environment() -> dict[str, JSON]:
    return cast("dict[str, JSON]", asdict(capture_environment()))


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    for key, equals, _ in pairs:
        if not equals:
            raise InputError(f"'{key}' is no parameter.", code="param-malformed", hint="Write -p key=value.")
    return {key: value for key, _, value in pairs}


def _say(progress: Progress) -> None:
    """Signs of life go to stderr, so that what a command answers can be piped."""
    if progress.event == "started" and not sys.stderr.isatty():
        return
    took = f" {progress.seconds:.1f} s" if progress.event == "finished" else ""
    note = f" ({progress.note})" if progress.note else ""
    end = "\r" if progress.event == "started" else "\n"
    print(f"  {progress.index + 1}/{progress.total} {progress.step:<22} {progress.event}{took}{note}", end=end, file=sys.stderr)
