"""A fact of this kind starts that pipeline, exactly once."""

from __future__ import annotations

import difflib
import inspect
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, cast

from werk.core.canonical import JSON, canonical_json
from werk.core.errors import Failed, InputError, Lost, WerkError, unknown
from werk.core.journal import Change, Column, Fact, Journal, Lease, NewFact, Projection, Row, Upsert
from werk.core.nouns import check_name
from werk.workflow.params import parse_value
from werk.workflow.pipeline import Pipeline

Backlog = Literal["each", "newest"]
BACKLOGS: tuple[Backlog, ...] = ("each", "newest")


@dataclass(frozen=True, slots=True)
class Trigger:
    """`on` is a fact kind. `where` names fields a fact must have: a value, or a list of which it must be one.

    A param is a constant or a reference into the fact: `$body.model`, `$body.window.end`, `$subject`, `$seq`, `$run`;
    the same names without `$` stand in `where`, with plain field names meaning the body's.

    Where several facts wait, those that ask for the same run share one; with `backlog` "newest" the newest answers them all.
    """

    name: str
    on: str
    pipeline: str
    where: Mapping[str, JSON] = field(default_factory=dict)
    params: Mapping[str, JSON] = field(default_factory=dict)
    backlog: Backlog = "each"

    def __post_init__(self) -> None:
        check_name("trigger", self.name)
        if self.backlog not in BACKLOGS:
            raise unknown(f"backlog of trigger '{self.name}'", str(self.backlog), BACKLOGS, code="setting-unknown")

    def fits(self, fact: Fact) -> bool:
        return fact.kind == self.on and fact.body is not None and all(_fits(fact, *wanted) for wanted in self.where.items())

    def params_of(self, fact: Fact) -> dict[str, JSON]:
        """The pipeline's params for a fact; raises `InputError` when it lacks a field that a param refers to."""
        return {name: self._value(name, value, fact) for name, value in self.params.items()}

    def key(self, fact: Fact) -> str:
        return f"trigger/{self.name}/{fact.seq}"

    def _value(self, name: str, value: JSON, fact: Fact) -> JSON:
        if not isinstance(value, str) or not value.startswith("$"):
            return value
        try:
            return _look_up(fact, value[1:])
        except KeyError:
            raise InputError(
                f"Trigger '{self.name}' fills '{name}' from '{value}', which fact {fact.seq} ({fact.kind}) does not have.",
                code="trigger-field-missing",
                hint=f"Its body has: {', '.join(sorted(fact.body or {}))}.",
            ) from None


Start = Callable[[Journal, Trigger, Fact, dict[str, JSON]], str]
Unstarted = Callable[[Trigger, Fact, WerkError], None]


@dataclass(frozen=True, slots=True)
class Firing:
    """`run` was started for `fact` and answers the facts `also`, which are older."""

    trigger: Trigger
    fact: int
    run: str
    also: tuple[int, ...] = ()


def drain(
    journal: Journal, triggers: Sequence[Trigger], start: Start, *, after: int = 0, unstarted: Unstarted | None = None
) -> list[Firing]:
    """Start what the facts after `after` ask for and has not been started, oldest first.

    `start` records the run **through the journal it is given** and returns its id. That journal writes the `trigger.fired`
    facts in the transaction of `run.started`: a kill leaves all or none, and of two drains only one commits.
    A trigger does not fire on what came out of a run it had started itself, or the loop would never end.
    What cannot be started is told to `unstarted` and keeps none of the others from starting; without it the error is raised.
    """
    asked = _asked(waiting(journal, triggers, after=after), unstarted or _raised)
    started = (_fire(journal, one, start, unstarted or _raised) for one in asked)
    return [firing for firing in started if firing]


def check(triggers: Sequence[Trigger], pipelines: Mapping[str, Pipeline], kinds: Iterable[str]) -> None:
    """Raise `InputError` for the first trigger that could never start a run: better before a run than at its end.

    A fact's kind may be a project's own; one that is nearly one of `kinds` is taken for a slip.
    """
    known = sorted(kinds)
    for trigger in triggers:
        try:
            _check_kind(trigger, known)
            _check_start(trigger, pipelines)
        except InputError as wrong:
            raise InputError(
                f"Trigger '{trigger.name}' in werk.toml can start nothing: {wrong.message}", code="trigger-unfit", hint=wrong.hint
            ) from None


def waiting(journal: Journal, triggers: Sequence[Trigger], *, after: int = 0) -> list[tuple[Trigger, Fact]]:
    """What the facts after `after` ask for and has not been started, oldest first."""
    fired = journal.rows("firings")
    asked = ((trigger, fact) for trigger in triggers for fact in _waiting(journal, trigger, fired, after))
    return sorted(asked, key=lambda pair: pair[1].seq)


@dataclass(frozen=True, slots=True)
class _Asked:
    """One run that is asked for: by its newest fact, and by older ones that it answers as well."""

    trigger: Trigger
    facts: tuple[Fact, ...]
    params: dict[str, JSON]

    @property
    def newest(self) -> Fact:
        return self.facts[-1]


class FiringJournal:
    """The journal a triggered run is recorded through: starting the run and claiming its facts are one transaction."""

    def __init__(self, inner: Journal, asked: _Asked) -> None:
        self._inner = inner
        self._asked = asked
        self.also: tuple[int, ...] = ()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, facts: Sequence[NewFact], *, lease: Lease | None = None) -> list[Fact]:
        run = next((fact.subject for fact in facts if fact.kind == "run.started"), None)
        if run is None:
            return self._inner.append(facts, lease=lease)
        trigger, newest = self._asked.trigger, self._asked.newest
        with self._inner.write(lease=lease) as writer:
            free = [fact for fact in self._asked.facts if not any(writer.facts(dedupe_key=trigger.key(fact), limit=1))]
            if newest not in free:
                raise _AlreadyFired(f"Fact {newest.seq} has already started a run.", code="trigger-fired")
            self.also = tuple(fact.seq for fact in free[:-1])
            return writer.append([*facts, *(self._claim(run, fact) for fact in free)])[: len(facts)]

    def _claim(self, run: str, fact: Fact) -> NewFact:
        trigger = self._asked.trigger
        body: dict[str, JSON] = {
            "trigger": trigger.name,
            "fact": fact.seq,
            "fact_run": fact.run,
            "pipeline": trigger.pipeline,
            "run": run,
        }
        return NewFact("trigger.fired", trigger.name, body, run, trigger.key(fact))


class _AlreadyFired(Lost):
    pass


def _raised(_trigger: Trigger, _fact: Fact, error: WerkError) -> None:
    raise error


def _asked(pending: Sequence[tuple[Trigger, Fact]], unstarted: Unstarted) -> list[_Asked]:
    """One run for all facts of a trigger that want the same, each run in the place of its newest fact."""
    runs: dict[tuple[str, str], _Asked] = {}
    for trigger, fact in pending:
        try:
            params = trigger.params_of(fact)
        except InputError as wrong:
            unstarted(trigger, fact, wrong)
            continue
        alike = (trigger.name, "" if trigger.backlog == "newest" else canonical_json(params))
        earlier = runs[alike].facts if alike in runs else ()
        runs[alike] = _Asked(trigger, (*earlier, fact), params)
    return sorted(runs.values(), key=lambda one: one.newest.seq)


def _fire(journal: Journal, asked: _Asked, start: Start, unstarted: Unstarted) -> Firing | None:
    trigger, newest, claiming = asked.trigger, asked.newest, FiringJournal(journal, asked)
    try:
        run = start(cast("Journal", claiming), trigger, newest, asked.params)
    except _AlreadyFired:
        return None
    except WerkError as error:
        unstarted(trigger, newest, error)
        return None
    if not any(journal.facts(dedupe_key=trigger.key(newest), limit=1)):
        raise Failed(
            f"The run {run} of trigger '{trigger.name}' was not recorded through the journal it was given.",
            code="trigger-unclaimed",
            hint="Build the engine on that journal.",
        )
    return Firing(trigger, newest.seq, run, claiming.also)


def _check_kind(trigger: Trigger, kinds: Sequence[str]) -> None:
    if trigger.on not in kinds and difflib.get_close_matches(trigger.on, kinds, n=1, cutoff=0.8):
        raise unknown("fact kind", trigger.on, kinds, code="fact-unknown", hint="All kinds: docs/reference.md#facts.")


def _check_start(trigger: Trigger, pipelines: Mapping[str, Pipeline]) -> None:
    if trigger.pipeline not in pipelines:
        raise unknown("pipeline", trigger.pipeline, pipelines, code="pipeline-unknown")
    target, given = pipelines[trigger.pipeline], {name.partition(".")[0] for name in trigger.params}
    for name, value in trigger.params.items():
        _check_param(target, name, value)
    for name, parameter in target.params.items():
        if parameter.default is inspect.Parameter.empty and name not in given:
            hint = f'Add it to its params: {name} = "$body.FIELD", or a constant.'
            raise InputError(f"the pipeline '{target.name}' needs the parameter '{name}'.", code="param-missing", hint=hint)


def _check_param(target: Pipeline, key: str, value: JSON) -> None:
    """A name the pipeline has, and a value it takes; what a reference gives is known only with the fact."""
    name, _, part = key.partition(".")
    if name not in target.params:
        raise unknown(f"parameter of pipeline '{target.name}'", name, target.params, code="param-unknown")
    if isinstance(value, str) and value.startswith("$"):
        if value[1:] not in _OWN and not value.startswith("$body."):
            raise unknown("reference", value, (*(f"${own}" for own in _OWN), "$body.FIELD"), code="reference-unknown")
        return
    text, kind = str(value), target.types.get(name, Any)
    parse_value(name, kind, target.params[name].default, None if part else text, {part: text} if part else {})


def _waiting(journal: Journal, trigger: Trigger, fired: Sequence[Row], after: int) -> Iterator[Fact]:
    done = {row["fact"] for row in fired if row["trigger"] == trigger.name}
    causes: dict[JSON, list[Row]] = defaultdict(list)
    for row in fired:
        causes[row["run"]].append(row)
    for fact in journal.facts(after=after, kinds=[trigger.on]):
        if fact.seq not in done and trigger.fits(fact) and trigger.name not in _ancestors(fact.run, causes):
            yield fact


def _ancestors(run: JSON, causes: Mapping[JSON, Sequence[Row]]) -> Iterator[JSON]:
    """The triggers a run goes back to, nearest first. A cause is older than its effect, so this ends."""
    for row in causes.get(run, ()):
        yield row["trigger"]
        yield from _ancestors(row["fact_run"], causes)


def _fits(fact: Fact, name: str, wanted: JSON) -> bool:
    try:
        found = _look_up(fact, name if name in _OWN or name.startswith("body.") else f"body.{name}")
    except KeyError:
        return False
    return found in wanted if isinstance(wanted, list | tuple) else found == wanted


_OWN = ("subject", "seq", "run", "kind", "actor")


def _look_up(fact: Fact, path: str) -> JSON:
    if path in _OWN:
        return cast("JSON", getattr(fact, path))
    root, *names = path.split(".")
    value: JSON = fact.body
    if root != "body":
        raise KeyError(path)
    for name in names:
        if not isinstance(value, Mapping):
            raise KeyError(path)
        value = value[name]
    return value


def _firings(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    yield Upsert({name: body[name] for name in ("trigger", "fact", "fact_run", "pipeline", "run")})


TRIGGER_PROJECTIONS = (
    Projection(
        name="firings",
        columns=(*(Column(name) for name in ("trigger", "pipeline", "run", "fact_run")), Column("fact", "int")),
        key=("trigger", "fact"),
        kinds=("trigger.fired",),
        apply=_firings,
        index=(("run",),),
    ),
)
