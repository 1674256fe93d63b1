"""The story of a project, read from its facts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

from werk import governance
from werk.core.canonical import JSON
from werk.core.journal import Head, Row
from werk.core.nouns import ModelVersion, Snapshot, Usage, from_micros, utc_now
from werk.core.platform import Platform
from werk.monitoring import Prices
from werk.monitoring.words import is_name, number, percent
from werk.pipelines.lineage import Lineage, Origin
from werk.pipelines.source_row import SourceRow, spoken
from werk.pipelines.story.measures import AUC, MEASURES, Measure
from werk.pipelines.story.nouns import (
    Approval,
    Champion,
    Check,
    Checked,
    Cost,
    Followed,
    Kept,
    Landed,
    Link,
    Proof,
    Rung,
    Stage,
    Story,
)
from werk.pipelines.story.numerals import counted
from werk.pipelines.story.trainings import Training, gates, retrainings, trainings
from werk.pipelines.story.windows import answers, months

BACK, BY_HAND = "rolled back", "deployed by hand"
UNASKED = "nothing: none was needed"


def tell(
    p: Platform,
    followed: Lineage | None,
    outcome: str = "positive",
    things: str = "rows",
    *,
    row: SourceRow | None = None,
    prices: Prices | None = None,
    checks: tuple[Checked, ...] = (),
    signed: Head | None = None,
) -> Story:
    """What the journal says; a part of the loop that has not happened yet is left empty.

    `signed` is the newest head signed where the journal lies.
    """
    plans = p.journal.rows("plans")
    goal = str(cast("Mapping[str, str]", plans[0]["plan"])["goal"]) if plans else ""
    measure = _measure(p)
    return Story(
        project=p.project.name,
        goal=_ending(goal),
        made_at=f"{utc_now():%d %B %Y, %H:%M} UTC",
        outcome=outcome,
        things=things,
        loop=_loop(p),
        landed=tuple(map(_landed, p.journal.rows("tables", {"zone": "raw"}, order=("table",)))),
        read=tuple(_read(p)),
        champion=_champion(p, measure),
        ladder=tuple(map(_rung, p.journal.rows("rungs", order=("place",)))),
        gates=tuple(gates(p)),
        months=tuple(months(p)),
        retrains=tuple(retrainings(p)),
        verdicts=tuple(answers(p)),
        kept=(*_at_the_gate(p, measure), *_later(p, measure)),
        prediction=_followed(followed, outcome, things, row, measure) if followed else None,
        approvals=tuple(_decisions(p)),
        costs=_costs(p, prices),
        proof=_proof(p, checks, signed),
        measure=measure,
    )


def _measure(p: Platform) -> Measure:
    """By the task of the newest version."""
    for row in p.journal.rows("versions", {"model": p.project.name}, order=("-version",), limit=1):
        return MEASURES.get(str(_report(p, ModelVersion(p.project.name, _int(row["version"]))).get("task")), AUC)
    return AUC


def _loop(p: Platform) -> tuple[Stage, ...]:
    """The loop as far as it went; a stage that has not happened says so."""
    tables = p.journal.rows("tables", {"zone": "raw"})
    landed = f"{counted(len(tables), 'table')}, {counted(sum(_int(row['rows_in']) for row in tables), 'row')}"
    ruled = [row for row in tables if _landed(row).ruled]
    judged = [training for training in trainings(p) if not training.erased]
    acts = Counter(act.said for act in _decisions(p) if act.by_human)
    scores = sum(_int(row["rows"]) for row in p.journal.rows("predictions_written"))
    watched = {said.window for said in answers(p)}
    return (
        _stage("land", len(tables), landed),
        _stage("check", len(ruled), _checked(ruled, tables)),
        _stage("train", len(judged), counted(len(judged), "training")),
        _stage("gate", len(judged), _at_the_gates(judged)),
        _stage("approve", acts["approved"], _acts(acts)),
        _stage("predict", scores, counted(scores, "score")),
        _stage("monitor", len(watched), f"{counted(len(watched), 'window')}; {_found(p)}"),
    )


def _checked(ruled: Sequence[Row], tables: Sequence[Row]) -> str:
    some = f"{len(ruled)} of {counted(len(tables), 'table')}; " if len(ruled) < len(tables) else ""
    return f"{some}{counted(sum(_int(row['quarantined']) for row in ruled), 'row')} set aside"


def _acts(acts: Mapping[str, int]) -> str:
    """Deployments by a person's hand stand beside the approvals."""
    more = [f"{acts[said]} {said}" for said in (BACK, BY_HAND) if acts[said]]
    return ", ".join([f"{acts['approved']} approved", *more]) if more else f"{acts['approved']} by a second actor"


def _at_the_gates(judged: Sequence[Training]) -> str:
    """Adds up to the trainings."""
    refused, made, known = (
        sum(map(bool, which))
        for which in ([not one.passed for one in judged], [one.version for one in judged], [one.known for one in judged])
    )
    idle = len(judged) - refused - made - known
    more = [f"{known} known already"] * bool(known) + [f"{idle} not registered"] * bool(idle)
    return ", ".join([f"{refused} refused", f"{made} registered", *more])


def _found(p: Platform) -> str:
    alarms = sum(said.verdict == "violation" for said in answers(p))
    return f"violations: {alarms}; retrainings: {sum(one.came != 'nothing' for one in retrainings(p))}"


def _stage(name: str, happened: int, said: str) -> Stage:
    return Stage(name, said) if happened else Stage(name, "", "not yet")


def _ending(goal: str) -> str:
    """The goal as the end of "A model that can ..."."""
    return goal[:1].lower() + goal[1:].rstrip(".")


def _landed(row: Row) -> Landed:
    checks = cast("list[dict[str, Any]]", row["checks"])
    found = tuple(Check(c["rule"], c["broken"], c["severity"] == "required") for c in checks)
    contract = bool(row["contract_sha256"])
    return Landed(str(row["table"]), _int(row["rows_in"]), _int(row["rows"]), _int(row["quarantined"]), found, contract)


def _read(p: Platform) -> Iterator[Landed]:
    """The landed tables behind the champion, as its training read them."""
    for alias in p.journal.rows("aliases", {"model": p.project.name, "alias": "champion"}):
        [row] = p.journal.rows("versions", {"model": alias["model"], "version": alias["version"]})
        yield from map(_landed, _sources(p, cast("list[str]", row["snapshots"])))


def _sources(p: Platform, read: Sequence[str]) -> list[Row]:
    """What a step wrote is followed to what its run had read."""
    found, seen, left = list[Row](), set[str](), [*read]
    while left:
        snapshot = Snapshot.parse(left.pop())
        if str(snapshot) in seen:
            continue
        seen.add(str(snapshot))
        for row in p.journal.rows("table_versions", {"table": snapshot.table, "version": snapshot.version}):
            if row["operation"] == "land":
                found.append(row)
            else:
                edges = p.journal.rows("edges", {"run": row["run"], "direction": "read"})
                left += [str(edge["dataset"]) for edge in edges]
    return sorted(found, key=lambda row: str(row["table"]))


def _rung(row: Row) -> Rung:
    return Rung(str(row["knows"]), float(cast("float", row["auc"])), _int(row["rows"]))


def _champion(p: Platform, measure: Measure) -> Champion | None:
    """The version that answers now; None before there is one."""
    for row in p.journal.rows("aliases", {"model": p.project.name, "alias": "champion"}):
        mv = ModelVersion(p.project.name, _int(row["version"]))
        report = _report(p, mv)
        auc = report.get("metrics", {}).get(measure.key) or {}
        if None not in (auc.get("value"), auc.get("low"), auc.get("high")):
            return Champion(str(mv), auc["value"], auc["low"], auc["high"], _int(report.get("n")))
    return None


def _report(p: Platform, mv: ModelVersion) -> dict[str, Any]:
    """What a registered version was accepted on, as it is stored."""
    for row in p.journal.rows("versions", {"model": mv.model, "version": mv.version}):
        key = str(row["report_key"])
        return cast("dict[str, Any]", json.loads(p.object_store.get([key])[key]))
    return {}


def _at_the_gate(p: Platform, measure: Measure) -> Iterator[Kept]:
    """Each version against the champion of its day, on rows held out from its training and new to both."""
    for row in p.journal.rows("versions", {"model": p.project.name}, order=("version",)):
        mv = ModelVersion(p.project.name, _int(row["version"]))
        against = _report(p, mv).get("champion") or {}
        by, old = (against.get(part, {}).get(measure.key) for part in ("differences", "metrics"))
        if by and old and None not in (by["value"], by["low"], by["high"], old["value"]):
            on = f"held out from the training of {mv} and new to both"
            aucs = old["value"] + by["value"], old["value"]
            span = (*aucs, by["low"], by["high"])
            yield Kept(str(mv), str(against["version"]), on, _int(against["n"]), *span, later=False, measure=measure)


def _later(p: Platform, measure: Measure) -> Iterator[Kept]:
    """What was compared on purpose, on windows of its own."""
    for fact in p.journal.facts(kinds=("models.compared",)):
        body = cast("dict[str, Any]", fact.body or {})
        told = [body.get(name) for name in (f"{measure.key}_a", f"{measure.key}_b", "low", "high")]
        if None not in told:
            new, old, low, high = cast("list[float]", told)
            on, rows = _span(p, fact.run, body["window"]), _int(body["rows"])
            yield Kept(body["a"], body["b"], on, rows, new, old, low, high, measure=measure)


def _span(p: Platform, run: str | None, last: str) -> str:
    """From the window its run started with, where the pipeline has such a parameter."""
    params = [cast("dict[str, Any]", row["params"]) for row in p.journal.rows("runs", {"run": run})] if run else []
    first = str(params[0].get("start", last)) if params else last
    return last if first == last else f"{first} to {last}"


def _followed(found: Lineage, outcome: str, things: str, row: SourceRow | None, measure: Measure) -> Followed:
    prediction = found.prediction
    id, score = str(prediction["prediction_id"]), float(cast("float", prediction["score"]))
    links = [
        Link("prediction", id, f"score {score:.6f}"),
        Link("model version", found.model, found.canonical_hash),
        Link("training run", found.run, f"{len(found.steps)} steps"),
        Link("code", f"tree {str(found.code.get('tree'))[:12]}", _commit(found)),
        *(Link("scored from", origin.snapshot, _source(origin)) for origin in found.inputs),
    ]
    if row is None:
        return Followed(id, f"{found.model} {_gave(prediction, score, outcome, things, measure)}.", tuple(links))
    links.append(Link("source row", f"one of {row.origin.snapshot}", ", ".join(row.key.values())))
    sentence = f"For {spoken(row.key)}, {found.model} {_gave(prediction, score, outcome, things, measure)}."
    return Followed(id, sentence, tuple(links), tuple(row.values.items()), f"{row.origin.snapshot} from {row.origin.source}")


def _gave(prediction: Mapping[str, object], score: float, outcome: str, things: str, measure: Measure) -> str:
    if measure.less_is_better:
        return f"expected {outcome} to be {number(score)}"
    if "class" in prediction:
        return f"expected {outcome} to be {prediction['class']}, with a probability of {percent(score)}"
    if is_name(things, outcome):
        return f"gave a probability of {percent(score)} that {outcome} is true"
    return f"gave a probability of {percent(score)} of being {outcome}"


def _commit(found: Lineage) -> str:
    commit = found.code.get("commit")
    if not commit:
        return "the folder as it lay; it had no commit"
    changed = " with changes not committed" if found.code.get("dirty") else ""
    return f"commit {str(commit)[:12]}{changed}"


def _source(origin: Origin) -> str:
    return f"{origin.source}, sha256 {origin.source_sha256[:12]}"


def _decisions(p: Platform) -> Iterator[Approval]:
    """What people decided, and the deployments that followed by rule, in the order in which it happened."""
    decided = [(row["at"], _approval(p, row)) for row in p.journal.rows("approvals", order=("seq",))]
    deployed = _deployments(p)
    yield from (act for _, act in sorted([*decided, *deployed], key=lambda pair: _int(pair[0])))


def _approval(p: Platform, row: Row) -> Approval:
    who = governance.actor_named(p.journal, str(row["actor"]))
    subject = f"{row['model']}:{row['version']}"
    return Approval(subject, who, str(row["assurance"]), _at(row), str(row["action"]), str(row["comment"] or ""))


def _deployments(p: Platform) -> Iterator[tuple[JSON, Approval]]:
    """By the trigger that started its run, or by whoever did it."""
    rows = p.journal.rows("deployments", order=("seq",))
    names = {row["deployment"]: f"{row['model']}:{row['version']}" for row in rows}
    triggers = {row["run"]: str(row["trigger"]) for row in p.journal.rows("firings")}
    for row in rows:
        cause = cast("Mapping[str, JSON]", row["cause"] or {})
        name, who = names[row["deployment"]], governance.actor_named(p.journal, str(row["actor"]))
        if "rollback_of" in cause:
            subject = f"{names.get(cause['rollback_of'], cause['rollback_of'])} to {name}"
            yield row["at"], Approval(subject, who, UNASKED, _at(row), BACK, str(cause.get("comment") or ""))
        elif cause.get("run") in triggers or "seq" in cause:
            by = triggers.get(cause.get("run"), "its approval")
            yield row["at"], Approval(name, by, "trigger", _at(row), "deployed", by_human=False)
        else:
            yield row["at"], Approval(name, who, UNASKED, _at(row), BY_HAND)


def _at(row: Row) -> str:
    return f"{from_micros(_int(row['at'])):%Y-%m-%d %H:%M} UTC"


def _costs(p: Platform, prices: Prices | None) -> tuple[Cost, ...]:
    """CPU and memory of each pipeline's own work; what came from the cache cost nothing."""
    names = {row["run"]: str(row["pipeline"]) for row in p.journal.rows("runs")}
    spent: dict[str, list[tuple[str, Usage]]] = {}
    for step in p.journal.rows("steps", order=("seq",)):
        if step["usage"]:
            of = spent.setdefault(names[step["run"]], [])
            of.append((str(step["run"]), Usage(**cast("dict[str, Any]", step["usage"]))))
    return tuple(_cost(name, used, prices) for name, used in sorted(spent.items()))


def _cost(pipeline: str, used: list[tuple[str, Usage]], prices: Prices | None) -> Cost:
    runs = len({run for run, _ in used})
    cpu, gb = sum(usage.cpu_s for _, usage in used), sum(usage.gb_s for _, usage in used)
    eur = sum(prices.eur(usage) for _, usage in used) if prices else None
    return Cost(f"{pipeline}, {runs} run{'' if runs == 1 else 's'}", cpu, gb, eur)


def _proof(p: Platform, checks: tuple[Checked, ...], signed: Head | None) -> Proof | None:
    """None before anything was written."""
    head = p.journal.head()
    rebuilt = [f"{row['version']}: {row['outcome']}" for row in p.journal.rows("rebuilds")]
    if not head.seq:
        return None
    key = p.key_store.public_key("werk").hex()
    return Proof(head.hash, head.seq, key, checks, ", ".join(rebuilt), head == signed)


def _int(value: object) -> int:
    return int(cast("int", value or 0))
