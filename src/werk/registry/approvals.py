"""A second actor decides what a version may do; every decision is a fact of whoever took it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import cast, get_args

from werk.core.canonical import JSON, sha256_hex
from werk.core.errors import Refused
from werk.core.journal import Fact, NewFact, Reader, Writer
from werk.core.nouns import Assurance, ModelVersion, Status, check_name
from werk.core.platform import Platform
from werk.governance import actor_named, assurance_of
from werk.registry.versions import Registered, registered

_TRAINING = ("run.started", "step.finished")


def approve(p: Platform, mv: ModelVersion, comment: str = "") -> Fact:
    """`pending` -> `approved`, by `p.actor` and nobody else; the fact says how sure it is that trainer and approver are two.

    `Refused`: `four-eyes` for whoever trained it, `assurance-too-low`, `status-wrong`. Approving again returns the first fact.
    """
    with p.journal.write() as facts:
        version = registered(facts, mv)
        trainers = _trainers(facts, version)
        _check_second(p, mv, trainers)
        if version.status == "approved" and _decided_by(facts, mv, "approved") == p.actor.id:
            return next(facts.facts(kinds=("model.approved",), subject=str(mv)))
        _check_status(facts, version, "approved", ("pending",))
        assurance = assurance_of(facts, p.actor, trainers)
        _check_assurance(mv, assurance, version.assurance_needed)
        return _decide(p, facts, "model.approved", mv, comment, assurance)


def reject(p: Platform, mv: ModelVersion, comment: str = "") -> None:
    """`pending` -> `rejected`, by anybody: also by the trainer, who may think better of it."""
    _leave(p, mv, comment, "rejected", ("pending",))


def retire(p: Platform, mv: ModelVersion, comment: str = "") -> None:
    """`approved` -> `retired`; a version that is still champion, or that an endpoint answers with, is `Refused`."""
    _leave(p, mv, comment, "retired", ("approved",))


def set_alias(p: Platform, mv: ModelVersion, alias: str) -> bool:
    """Let the alias mean this version, true when it meant another; `champion` needs `approved`, others not yet given up."""
    check_name("alias", alias)
    with p.journal.write() as facts:
        return point(p, facts, mv, alias)


def point(p: Platform, facts: Writer, mv: ModelVersion, alias: str) -> bool:
    """`set_alias` within a transaction that says more than this."""
    allowed: tuple[Status, ...] = ("approved",) if alias == "champion" else ("pending", "approved")
    _check_status(facts, registered(facts, mv), f"made {alias}", allowed)
    if facts.rows("aliases", {"model": mv.model, "alias": alias, "version": mv.version}):
        return False
    body: dict[str, JSON] = {"model": mv.model, "alias": alias, "version": mv.version}
    _written_as(p, facts, NewFact("alias.set", mv.model, body))
    return True


def _leave(p: Platform, mv: ModelVersion, comment: str, to: Status, allowed: Sequence[Status]) -> None:
    with p.journal.write() as facts:
        version = registered(facts, mv)
        if version.status == to and _decided_by(facts, mv, to) == p.actor.id:
            return
        _check_status(facts, version, to, allowed)
        if facts.rows("aliases", {"model": mv.model, "alias": "champion", "version": mv.version}):
            raise Refused(
                f"{mv} is the champion.",
                code="champion-in-use",
                hint="Make another version champion first.",
            )
        _check_unserved(facts, mv)
        _decide(p, facts, f"model.{to}", mv, comment, assurance_of(facts, p.actor, _trainers(facts, version)))


def _check_unserved(facts: Reader, mv: ModelVersion) -> None:
    """By the facts of the room above, whose tables are its own: the newest one of an endpoint says what answers there."""
    told = ({**fact.body, "deployment": fact.subject} for fact in facts.facts(kinds=("deployment.created",)) if fact.body)
    newest = {str(deployed["endpoint"]): deployed for deployed in told}
    for endpoint, deployed in newest.items():
        if (deployed["model"], deployed["version"]) == (mv.model, mv.version):
            raise Refused(
                f"{mv} answers at '{endpoint}' ({deployed['deployment']}).",
                code="version-served",
                hint=f"Deploy another version, or go back first: werk rollback {endpoint}.",
            )


def _decide(p: Platform, facts: Writer, kind: str, mv: ModelVersion, comment: str, assurance: Assurance) -> Fact:
    body: dict[str, JSON] = {"model": mv.model, "version": mv.version, "comment": comment, "assurance": assurance}
    return _written_as(p, facts, NewFact(kind, str(mv), body))


def _written_as(p: Platform, facts: Writer, new: NewFact) -> Fact:
    """Undo the transaction when the journal writes for somebody else than the actor whose right was checked."""
    fact = facts.append([new])[0]
    if fact.actor != p.actor.id:
        raise Refused("The journal is bound to another actor.", code="actor-mismatch", hint="Open the project as who you are.")
    return fact


def _trainers(facts: Reader, version: Registered) -> set[str]:
    """Who registered it, everybody who drove a part of its run (a resumed run has several), and who first trained what it
    took from the cache."""
    return {version.trainer, *(_drove(facts, version.run, version.canonical_hash) if version.run else ())}


def _drove(facts: Reader, run: str, identity: str) -> set[str]:
    found = list(facts.facts(run=run, kinds=_TRAINING))
    steps = [fact.body for fact in found if fact.kind == "step.finished" and fact.body is not None]
    kinds = _kinds(steps, identity)
    origins = [str(step["cached_from"]) for step in steps if step.get("cached_from") and _trains(step, kinds)]
    return {fact.actor for fact in found}.union(*(_first_trained(facts, origin) for origin in origins))


def _first_trained(facts: Reader, origin: str) -> set[str]:
    """Who started that run and who drove its step; of one that came from a cache itself, those of where it came from too."""
    waiting, seen, actors = [origin], set[str](), set[str]()
    while waiting:
        seen.add(at := waiting.pop())
        run, _, _ = at.partition("/")
        for fact in (*facts.facts(dedupe_key=f"{run}/start"), *facts.facts(dedupe_key=at)):
            actors.add(fact.actor)
            further = (fact.body or {}).get("cached_from")
            waiting += [str(further)] if further and further not in seen else []
    return actors


def _kinds(steps: Sequence[Mapping[str, JSON]], identity: str) -> set[str]:
    """The kinds of payload that this model is, by the digest under which a step keeps it."""
    digest = sha256_hex(identity.rpartition(":")[2])
    return {output["kind"] for step in steps for output in _outputs(step) if output["digest"] == digest}


def _trains(step: Mapping[str, JSON], kinds: Collection[str]) -> bool:
    """Whether the step gave a model, this one or one on the way to it; every step may have, where none gave this one."""
    return not kinds or any(output["kind"] in kinds for output in _outputs(step))


def _outputs(step: Mapping[str, JSON]) -> list[dict[str, str]]:
    return cast("list[dict[str, str]]", step.get("outputs") or [])


def _check_second(p: Platform, mv: ModelVersion, trainers: Collection[str]) -> None:
    if p.actor.id in trainers:
        raise Refused(
            f"{p.actor.name} trained {mv} and cannot approve it.",
            code="four-eyes",
            hint="Let a second actor approve it with its own token.",
        )


def _check_assurance(mv: ModelVersion, assurance: Assurance, needed: Assurance) -> None:
    order = get_args(Assurance)
    if order.index(assurance) < order.index(needed):
        raise Refused(
            f"The gate of {mv} needs an approval with assurance '{needed}', this one has '{assurance}'.",
            code="assurance-too-low",
            hint="Let somebody approve whose identity the trainer has not issued.",
        )


def _check_status(facts: Reader, version: Registered, to: str, allowed: Sequence[Status]) -> None:
    if version.status in allowed:
        return
    by = _decided_by(facts, version.mv, version.status)
    said = f" (by {actor_named(facts, by)})" if by else ""
    raise Refused(
        f"{version.mv} is {version.status}{said} and cannot be {to}.",
        code="status-wrong",
        hint=f"Only {' or '.join(allowed)} versions can be {to}.",
    )


def _decided_by(facts: Reader, mv: ModelVersion, action: str) -> str | None:
    rows = facts.rows("approvals", {"model": mv.model, "version": mv.version, "action": action})
    return str(rows[0]["actor"]) if rows else None
