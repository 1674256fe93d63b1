"""Runs: start, resume, list, show."""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import NoneType
from typing import Any, cast, get_args

from werk import data, governance, registry
from werk.app.answers import Answer
from werk.app.code import cells_file, load_pipelines, pipeline_named
from werk.app.commands import verdicts
from werk.app.commands.past import reader
from werk.app.commands.show import run_record, run_row, time_of
from werk.app.step_memory import last_words
from werk.app.wiring import KINDS, Session, opened
from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError, Refused, StepFailed, WerkError
from werk.core.journal import Fact, Journal
from werk.workflow import Pipeline, Progress, parse_params
from werk.workflow.capture import CodeTree, capture_code, capture_environment, kept_file, withheld
from werk.workflow.codehash import elsewhere_in
from werk.workflow.triggers import Firing, Trigger, check
from werk.workflow.triggers import drain as fire

_ALIAS = re.compile(r"[a-z][a-z0-9_-]*@[a-z][a-z0-9_-]*")
_CHAMPION = "@champion"
LISTED = ("run", "pipeline", "status", "started")


def run(
    pipeline: str, given: Sequence[str], fresh: bool, project: Path | None, profile: str | None, in_process: bool = False
) -> Answer:
    with opened(project, profile, writes=True) as session:
        checked_triggers(session)
        id = start(session, pipeline, _pairs(given), fresh=fresh)
        drive(session, pipeline, id, keeps_output=not in_process)
        drain(session)
        return Answer(record=run_record(session.p, session.p.journal, id), text=id)


def resume(run: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile, writes=True) as session:
        checked_triggers(session)
        found = run_row(session.p.journal, run)
        name = str(found["pipeline"])
        pipeline = pipeline_named(session.p.project.root, name)
        for sentence in last_words(session.p.project.root, run) if found["status"] == "running" else ():
            print(f"  {sentence}", file=sys.stderr)
        with _judged(session, run):
            session.engine(_say).resume(pipeline, run, code=_code(session, pipeline), environment=_environment())
        _afterwards(session, run)
        drain(session)
        return Answer(record=run_record(session.p, session.p.journal, run), text=run)


def start(
    session: Session, name: str, given: Mapping[str, str], *, fresh: bool = False, cause: Mapping[str, JSON] | None = None
) -> str:
    """Record a run with everything it will depend on: parameters, table versions, code, environment."""
    pipeline = pipeline_named(session.p.project.root, name)
    _check_plan(session, pipeline)
    params = {key: _pinned(session, value, pipeline.types.get(key)) for key, value in parse_params(pipeline, given).items()}
    pins = data.pins(session.p)
    return session.engine(_say).start(
        pipeline, params, pins=pins, code=_code(session, pipeline), environment=_environment(), cause=cause, fresh=fresh
    )


def _check_plan(session: Session, pipeline: Pipeline) -> None:
    """What registers a model needs a plan: found out before any work, not after the training."""
    from werk.pipelines.steps import register

    if register in pipeline.steps.values():
        governance.check_risk(governance.load_plan(session.p.project.root / "plan.toml"))


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


def drive(session: Session, name: str, id: str, *, keeps_output: bool = True) -> None:
    with _judged(session, id):
        session.engine(_say, keeps_output=keeps_output).drive(pipeline_named(session.p.project.root, name), id)
    _afterwards(session, id)


def _afterwards(session: Session, run: str) -> None:
    """What only a finished run can say."""
    from werk.pipelines.cost import record_cost
    from werk.pipelines.restated import restate

    restate(session.p, run)
    record_cost(session.p, run, session.prices)


@contextmanager
def _judged(session: Session, id: str) -> Iterator[None]:
    """After the steps: what each model measured and what the gate said, passed or refused."""
    try:
        yield
    except Refused:
        _say_verdicts(session, id)
        raise
    _say_verdicts(session, id)


def _say_verdicts(session: Session, id: str) -> None:
    for found in verdicts.evaluations(session.p, session.p.journal, id):
        print("\n".join(f"  {line}" for line in verdicts.told(found)), file=sys.stderr)
    for found in verdicts.comparisons(session.p.journal, id):
        print(f"  {verdicts.compared(found)}", file=sys.stderr)


def drained(project: Path | None, profile: str | None) -> None:
    """What a worker of `werk up` does; `Failed` when a trigger could not be answered, so that it tries again later."""
    with opened(project, profile) as session:
        checked_triggers(session)
        failed = drain(session)
        if failed:
            named = ", ".join(sorted(failed))
            raise Failed(f"What asks for trigger {named} is not answered.", code="trigger-failed", hint="Its words are above.")


def triggers_of(session: Session) -> list[Trigger]:
    return [Trigger(**cast("dict[str, Any]", table)) for table in session.settings.triggers]


def checked_triggers(session: Session) -> list[Trigger]:
    """All of them, once it is clear that each can start its pipeline: after a run it would be late to find out."""
    triggers = triggers_of(session)
    if triggers:
        check(triggers, load_pipelines(session.p.project.root), KINDS)
    return triggers


def drain(session: Session) -> set[str]:
    """Start and drive what the newest facts ask for, until nothing is asked for any more; returns triggers that failed.

    A trigger's failure is told and is no failure of the command whose fact asked for it: that one has done its work.
    """
    triggers, failed = triggers_of(session), set[str]()

    def unstarted(trigger: Trigger, fact: Fact, error: WerkError) -> None:
        failed.add(trigger.name)
        _tell(f"trigger {trigger.name} could not start {trigger.pipeline} for fact {fact.seq} ({fact.kind})", error)

    while fired := fire(session.p.journal, triggers, partial(_started, session), unstarted=unstarted):
        for firing in fired:
            failed |= _driven(session, firing)
        triggers = [trigger for trigger in triggers if trigger.name not in failed]
    return failed


def _driven(session: Session, firing: Firing) -> set[str]:
    """A retrained model that the gate refuses is an answer, not a failure of the trigger."""
    name, pipeline, run = firing.trigger.name, firing.trigger.pipeline, firing.run
    print(f"trigger {name}: fact {firing.fact} starts {pipeline} {run}", file=sys.stderr)
    if firing.also:
        older = f"{len(firing.also)} earlier {'fact' if len(firing.also) == 1 else 'facts'} of {firing.trigger.on}"
        print(f"  {older} {'is' if len(firing.also) == 1 else 'are'} answered by this run", file=sys.stderr)
    try:
        drive(session, pipeline, run)
    except Refused as no:
        print(f"  refused: {no.message}", file=sys.stderr)
    except WerkError as error:
        _tell(f"trigger {name}: its run {run} of {pipeline} failed", error, f"Then `werk resume {run}`.")
        return {name}
    return set()


def _tell(what: str, error: WerkError, then: str = "") -> None:
    if isinstance(error, StepFailed) and error.user_traceback:
        print(error.user_traceback.rstrip(), file=sys.stderr)
    print(f"{what}: {error.message} [{error.code}]", file=sys.stderr)
    print(f"  next: {' '.join(filter(None, (error.hint, then)))}", file=sys.stderr)


def _started(session: Session, journal: Journal, trigger: Trigger, fact: Fact, params: Mapping[str, JSON]) -> str:
    through = replace(session, p=replace(session.p, journal=journal))
    given = {name: str(value) for name, value in params.items()}
    return start(through, trigger.pipeline, given, cause={"seq": fact.seq, "kind": fact.kind})


def runs(limit: int, as_of: str | None, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        rows = reader(session, as_of).rows("runs", order=("-started",), limit=limit, columns=LISTED)
    shown = [{"run": r["run"], "pipeline": r["pipeline"], "status": r["status"], "started": time_of(r["started"])} for r in rows]
    return Answer(rows=shown)


def _code(session: Session, pipeline: Pipeline) -> dict[str, JSON]:
    """What the run is recorded with; a file that a rebuild will miss is told while its author can still mend it."""
    root = session.p.project.root
    code = capture_code(root, root / ".werk" / "code.git")
    _check_cells(pipeline, root, code)
    for name in withheld(code.left_out):
        print(f"warning: {name} is not kept with the run's code, so that no rebuild can use it", file=sys.stderr)
        print("  next: read it from the environment: os.environ[...] in code, {env = ...} in werk.toml", file=sys.stderr)
    elsewhere = elsewhere_in(pipeline, root)
    for name in elsewhere:
        print(
            f"warning: {name} lies outside the project and is not kept with the run's code, so that no rebuild can use it",
            file=sys.stderr,
        )
        print("  next: move it into the project, or build it into a package and install that", file=sys.stderr)
    return {**cast("dict[str, JSON]", asdict(code)), **({"elsewhere": dict(elsewhere)} if elsewhere else {})}


def _check_cells(pipeline: Pipeline, root: Path, code: CodeTree) -> None:
    """A notebook's cells are nowhere but in what is kept: without them no run is begun, since none could be rebuilt."""
    file = cells_file(pipeline.name)
    if file and kept_file(root / ".werk" / "code.git", code.tree, file) is None:
        why = next((name for name in withheld(code.left_out) if name.startswith(f"{file} ")), f"{file} (ignored by git)")
        hint = "Read secrets from os.environ[...], and leave notebook_cells out of .gitignore."
        raise InputError(f"The notebook's cells would not be kept with the run: {why}.", code="cells-withheld", hint=hint)


def _environment() -> dict[str, JSON]:
    return cast("dict[str, JSON]", asdict(capture_environment()))


def _pairs(given: Sequence[str]) -> dict[str, str]:
    pairs = [item.partition("=") for item in given]
    for key, equals, _ in pairs:
        if not equals:
            raise InputError(f"'{key}' is no parameter.", code="param-malformed", hint="Write -p key=value.")
    for key, times in Counter(key for key, _, _ in pairs).items():
        if times > 1:
            raise InputError(f"The parameter '{key}' is given {times} times.", code="param-repeated", hint="Give it once.")
    return {key: value for key, _, value in pairs}


def _say(progress: Progress) -> None:
    """Signs of life go to stderr, so that what a command answers can be piped."""
    if progress.event == "started" and not sys.stderr.isatty():
        return
    took = f" {progress.seconds:.1f} s" if progress.event == "finished" else ""
    note = f" ({progress.note})" if progress.note else ""
    end = "\r" if progress.event == "started" else "\n"
    print(f"  {progress.index + 1}/{progress.total} {progress.step:<22} {progress.event}{took}{note}", end=end, file=sys.stderr)
