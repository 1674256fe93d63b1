"""A fact of this kind starts that pipeline, exactly once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from werk.core.canonical import JSON
from werk.core.errors import Failed, InputError, Lost
from werk.core.journal import Change, Column, Fact, Journal, Lease, NewFact, Projection, Row, Upsert
from werk.core.nouns import check_name


@dataclass(frozen=True, slots=True)
class Trigger:
    """`on` is a fact kind. `where` names fields a fact must have: a value, or a list of which it must be one.

    A param is a constant or a reference into the fact: `$body.model`, `$body.window.end`, `$subject`, `$seq`, `$run`;
    the same names without `$` stand in `where`, with plain field names meaning the body's.
    """

    name: str
    on: str
    pipeline: str
    where: Mapping[str, JSON] = field(default_factory=dict)
    params: Mapping[str, JSON] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_name("trigger", self.name)

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
Firing = tuple[str, int, str]


def drain(journal: Journal, triggers: Sequence[Trigger], start: Start, *, after: int = 0) -> list[Firing]:
    """Start what the facts after `after` ask for and has not been started; returns (trigger, fact's seq, run), oldest first.

    `start` records the run **through the journal it is given** and returns its id. That journal writes the `trigger.fired`
    fact in the transaction of `run.started`: a kill leaves both or neither, and of two drains only one commits.
    A trigger does not fire on what came out of a run it had started itself, or the loop would never end.
    """
    started = (_fire(journal, trigger, fact, start) for trigger, fact in waiting(journal, triggers, after=after))
    return [firing for firing in started if firing]


def waiting(journal: Journal, triggers: Sequence[Trigger], *, after: int = 0) -> list[tuple[Trigger, Fact]]:
    """What the facts after `after` ask for and has not been started, oldest first."""
    fired = journal.rows("firings")
    asked = ((trigger, fact) for trigger in triggers for fact in _waiting(journal, trigger, fired, after))
    return sorted(asked, key=lambda pair: pair[1].seq)


class FiringJournal:
    """The journal a triggered run is recorded through: starting the run and claiming the fact are one transaction."""

    def __init__(self, inner: Journal, trigger: Trigger, fact: Fact) -> None:
        self._inner = inner
        self._trigger = trigger
        self._fact = fact

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def append(self, facts: Sequence[NewFact], *, lease: Lease | None = None) -> list[Fact]:
        run = next((fact.subject for fact in facts if fact.kind == "run.started"), None)
        if run is None:
            return self._inner.append(facts, lease=lease)
        key = self._trigger.key(self._fact)
        with self._inner.write(lease=lease) as writer:
            if any(writer.facts(dedupe_key=key, limit=1)):
                raise _AlreadyFired(f"Fact {self._fact.seq} has already started a run.", code="trigger-fired")
            return writer.append([*facts, self._claim(run, key)])[: len(facts)]

    def _claim(self, run: str, key: str) -> NewFact:
        body: dict[str, JSON] = {
            "trigger": self._trigger.name,
            "fact": self._fact.seq,
            "fact_run": self._fact.run,
            "pipeline": self._trigger.pipeline,
            "run": run,
        }
        return NewFact("trigger.fired", self._trigger.name, body, run, key)


class _AlreadyFired(Lost):
    pass


def _fire(journal: Journal, trigger: Trigger, fact: Fact, start: Start) -> Firing | None:
    claiming = FiringJournal(journal, trigger, fact)
    try:
        run = start(cast("Journal", claiming), trigger, fact, trigger.params_of(fact))
    except _AlreadyFired:
        return None
    if not any(journal.facts(dedupe_key=trigger.key(fact), limit=1)):
        raise Failed(
            f"The run {run} of trigger '{trigger.name}' was not recorded through the journal it was given.",
            code="trigger-unclaimed",
            hint="Build the engine on that journal.",
        )
    return trigger.name, fact.seq, run


def _waiting(journal: Journal, trigger: Trigger, fired: Sequence[Row], after: int) -> Iterator[Fact]:
    done = {row["fact"] for row in fired if row["trigger"] == trigger.name}
    causes = {row["run"]: row for row in fired}
    for fact in journal.facts(after=after, kinds=[trigger.on]):
        if fact.seq not in done and trigger.fits(fact) and trigger.name not in _ancestors(fact.run, causes):
            yield fact


def _ancestors(run: JSON, causes: Mapping[JSON, Row]) -> Iterator[JSON]:
    """The triggers a run goes back to, nearest first. A cause is older than its effect, so this ends."""
    while run in causes:
        yield causes[run]["trigger"]
        run = causes[run]["fact_run"]


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
