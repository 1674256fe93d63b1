"""The story of a project, read from its facts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from werk import governance
from werk.core.journal import Row
from werk.core.nouns import Usage, from_micros, utc_now
from werk.core.platform import Platform
from werk.monitoring import MONITORS, Prices
from werk.monitoring.words import percent
from werk.pipelines.lineage import Lineage, Origin
from werk.pipelines.source_row import SourceRow, spoken
from werk.pipelines.story.nouns import (
    Approval,
    Check,
    Checked,
    Cost,
    Followed,
    GateVerdict,
    Kept,
    Landed,
    Link,
    Month,
    Proof,
    Retrain,
    Rule,
    Rung,
    Said,
    Stage,
    Story,
)


def tell(
    p: Platform,
    followed: Lineage | None,
    outcome: str = "positive",
    things: str = "rows",
    *,
    row: SourceRow | None = None,
    prices: Prices | None = None,
    checks: tuple[Checked, ...] = (),
) -> Story:
    """What the journal says; a part of the loop that has not happened yet is left empty."""
    plans = p.journal.rows("plans")
    goal = str(cast("Mapping[str, str]", plans[0]["plan"])["goal"]) if plans else ""
    return Story(
        project=p.project.name,
        goal=_ending(goal),
        made_at=f"{utc_now():%d %B %Y, %H:%M} UTC",
        outcome=outcome,
        things=things,
        loop=_loop(p),
        landed=tuple(map(_landed, p.journal.rows("tables", {"zone": "raw"}, order=("table",)))),
        ladder=tuple(map(_rung, p.journal.rows("rungs", order=("place",)))),
        gates=tuple(_gates(p)),
        months=tuple(_months(p)),
        retrains=tuple(_retrains(p)),
        verdicts=tuple(map(_said, _answers(p))),
        kept=tuple(map(_kept, p.journal.rows("comparisons"))),
        prediction=_followed(followed, outcome, row) if followed else None,
        approvals=tuple(_decisions(p)),
        costs=_costs(p, prices),
        proof=_proof(p, checks),
    )


def _loop(p: Platform) -> tuple[Stage, ...]:
    """The loop as far as it went; a stage that has not happened says so."""
    tables = p.journal.rows("tables", {"zone": "raw"})
    passed = sum(bool(row["passed"]) for row in _evaluations(p))
    refused = len(_evaluations(p)) - passed
    approved = len(p.journal.rows("approvals", {"action": "approved"}))
    written = p.journal.rows("table_versions", {"table": "product.predictions"})
    months = p.journal.rows("monitors", {"monitor": "model quality"})
    violations = [str(row["window"]) for row in months if row["verdict"] == "violation"]
    return (
        _stage("land", len(tables), f"{len(tables)} tables, {sum(_int(row['rows_in']) for row in tables):,} rows"),
        _stage("check", len(tables), f"{sum(_int(row['quarantined']) for row in tables):,} rows set aside"),
        _stage("train", refused + passed, f"{refused + passed} models"),
        _stage("gate", refused + passed, f"{refused} refused, {passed} passed"),
        _stage("approve", approved, f"{approved} by a second actor"),
        _stage("predict", len(written), f"{sum(_int(row['rows']) for row in written):,} rows"),
        _stage("monitor", len(months), f"violations: {', '.join(violations) or 'none'}"),
    )


def _evaluations(p: Platform) -> list[Row]:
    """Each model once, as the newest gate judged it, in the order in which they first came to one."""
    return list({row["canonical_hash"]: row for row in p.journal.rows("evaluations", order=("seq",))}.values())


def _stage(name: str, happened: int, said: str) -> Stage:
    return Stage(name, said) if happened else Stage(name, "", "not yet")


def _ending(goal: str) -> str:
    """The goal as the end of "A model that can ..."."""
    return goal[:1].lower() + goal[1:].rstrip(".")


def _landed(row: Row) -> Landed:
    checks = cast("list[dict[str, Any]]", row["checks"])
    found = tuple(Check(c["rule"], c["broken"], c["severity"] == "required") for c in checks if c["broken"])
    return Landed(str(row["table"]), _int(row["rows_in"]), _int(row["rows"]), _int(row["quarantined"]), found)


def _rung(row: Row) -> Rung:
    return Rung(str(row["knows"]), float(cast("float", row["auc"])))


def _gates(p: Platform) -> Iterator[GateVerdict]:
    """Under the name of the version that each became; of refused ones there may be several."""
    names = {row["canonical_hash"]: f"{row['model']}:{row['version']}" for row in p.journal.rows("versions", order=("-version",))}
    refused = 0
    for row in _evaluations(p):
        refused += row["canonical_hash"] not in names
        name = names.get(row["canonical_hash"], "a refused model" if refused == 1 else f"refused model {refused}")
        rules = cast("list[dict[str, Any]]", row["rules"])
        said = tuple(Rule(rule["rule"], rule["passed"], rule["sentence"]) for rule in rules)
        yield GateVerdict(name, bool(row["passed"]), said, f"Run {row['run']}, model {str(row['canonical_hash'])[-12:]}.")


def _months(p: Platform) -> Iterator[Month]:
    """One window each: the first version's AUC and that of the newest later one that judged it."""
    rows = p.journal.rows("monitors", {"monitor": "model quality"}, order=("window", "seq"))
    scored = {row["window"]: _int(row["rows"]) for row in p.journal.rows("predictions_written", order=("version",))}
    for window in dict.fromkeys(str(row["window"]) for row in rows):
        of = {str(row["version"]) == "1": cast("dict[str, Any]", row["values"]) for row in rows if row["window"] == window}
        values = next(reversed(of.values()))
        first, later = ((of.get(which, {}).get("auc") or {}).get("value") for which in (True, False))
        yield Month(window, scored.get(window, _int(values.get("known"))), values.get("label_share"), first, later)


def _retrains(p: Platform) -> Iterator[Retrain]:
    """Every training that a violation started and that became a version."""
    facts = {fact.seq: fact for fact in p.journal.facts(kinds=("drift.detected",))}
    for row in p.journal.rows("firings", order=("fact",)):
        fact = facts.get(_int(row["fact"]))
        made = p.journal.rows("versions", {"run": row["run"]})
        if fact and fact.body and made:
            body = cast("dict[str, Any]", fact.body)
            yield Retrain(body["window"], body["sentence"], fact.subject, f"{made[0]['model']}:{made[0]['version']}")


def _answers(p: Platform) -> list[Row]:
    """Per window and monitor the newest answer, whichever version it is about."""
    rows = p.journal.rows("monitors", order=("window", "seq"))
    return list({(row["window"], row["monitor"]): row for row in rows if row["monitor"] in MONITORS}.values())


def _said(row: Row) -> Said:
    return Said(str(row["monitor"]), str(row["window"]), cast("Any", row["verdict"]), str(row["sentence"]))


def _kept(row: Row) -> Kept:
    said = f"{row['a']} against {row['b']} on {_int(row['rows']):,} rows"
    old, new, low, high = (float(cast("float", row[name])) for name in ("auc_b", "auc_a", "low", "high"))
    return Kept(f"to {row['window']}", old, new, low, high, said)


def _followed(found: Lineage, outcome: str, row: SourceRow | None) -> Followed:
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
        return Followed(id, f"The model said {percent(score)} {outcome}.", tuple(links))
    links.append(Link("source row", f"one of {row.origin.snapshot}", ", ".join(row.key.values())))
    sentence = f"For {spoken(row.key)} the model said {percent(score)} {outcome}."
    return Followed(id, sentence, tuple(links), tuple(row.values.items()), f"{row.origin.snapshot} from {row.origin.source}")


def _commit(found: Lineage) -> str:
    changed = " and changes not committed" if found.code.get("dirty") else ""
    return f"commit {str(found.code.get('commit') or 'none')[:12]}{changed}"


def _source(origin: Origin) -> str:
    return f"{origin.source}, sha256 {origin.source_sha256[:12]}"


def _decisions(p: Platform) -> Iterator[Approval]:
    """What people decided, and the deployments that followed by rule, in the order in which it happened."""
    decided = [(row["at"], _approval(p, row)) for row in p.journal.rows("approvals", order=("seq",))]
    deployed = [(row["at"], _deployment(row)) for row in p.journal.rows("deployments", order=("seq",))]
    yield from (act for _, act in sorted([*decided, *deployed], key=lambda pair: _int(pair[0])))


def _approval(p: Platform, row: Row) -> Approval:
    who = governance.actor_named(p.journal, str(row["actor"]))
    subject = f"{row['model']}:{row['version']}"
    return Approval(subject, who, str(row["assurance"]), _at(row), str(row["action"]), str(row["comment"] or ""))


def _deployment(row: Row) -> Approval:
    return Approval(f"{row['model']}:{row['version']}", "its approval", "trigger", _at(row), "deployed", by_human=False)


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


def _proof(p: Platform, checks: tuple[Checked, ...]) -> Proof | None:
    """None before anything was written."""
    head = p.journal.head()
    rebuilt = [f"{row['version']}: {row['outcome']}" for row in p.journal.rows("rebuilds")]
    return Proof(head.hash, head.seq, p.key_store.public_key("werk").hex(), checks, ", ".join(rebuilt)) if head.seq else None


def _int(value: object) -> int:
    return int(cast("int", value or 0))
