"""The story of a project, read from its facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from werk import governance
from werk.core.canonical import sha256_hex
from werk.core.journal import Row
from werk.core.nouns import from_micros, utc_now
from werk.core.platform import Platform
from werk.monitoring import MONITORS
from werk.pipelines.lineage import Lineage
from werk.pipelines.story.nouns import (
    Approval,
    Check,
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
    Said,
    Stage,
    Story,
)


def tell(p: Platform, followed: Lineage | None, outcome: str = "positive", things: str = "rows") -> Story:
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
        gates=tuple(map(_gate, _evaluations(p))),
        months=tuple(map(_month, _quality(p))),
        retrain=_retrain(p),
        verdicts=tuple(_said(row) for row in p.journal.rows("monitors", order=("window",)) if row["monitor"] in MONITORS),
        kept=tuple(map(_kept, p.journal.rows("comparisons"))),
        prediction=_followed(followed) if followed else None,
        approvals=tuple(_approval(p, row) for row in p.journal.rows("approvals", order=("seq",))),
        costs=_costs(p),
        proof=_proof(p),
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
    """Each model once, as the newest gate judged it, however often its pipeline ran."""
    newest = {row["canonical_hash"]: row for row in p.journal.rows("evaluations", order=("seq",))}
    return sorted(newest.values(), key=lambda row: _int(row["seq"]))


def _stage(name: str, happened: int, said: str) -> Stage:
    return Stage(name, said) if happened else Stage(name, "", "not yet")


def _ending(goal: str) -> str:
    """The goal as the end of "A model that can ..."."""
    return goal[:1].lower() + goal[1:].rstrip(".")


def _landed(row: Row) -> Landed:
    checks = cast("list[dict[str, Any]]", row["checks"])
    found = tuple(Check(c["rule"], c["broken"], c["severity"] == "required") for c in checks if c["broken"])
    return Landed(str(row["table"]), _int(row["rows_in"]), _int(row["rows"]), _int(row["quarantined"]), found)


def _gate(row: Row) -> GateVerdict:
    rules = cast("list[dict[str, Any]]", row["rules"])
    said = tuple(Rule(rule["rule"], rule["passed"], rule["sentence"]) for rule in rules)
    return GateVerdict(str(row["canonical_hash"])[-12:], bool(row["passed"]), said, f"run {row['run']}")


def _quality(p: Platform) -> list[Row]:
    return p.journal.rows("monitors", {"monitor": "model quality"}, order=("window",))


def _month(row: Row) -> Month:
    values = cast("dict[str, Any]", row["values"])
    first = str(row["version"]) == "1"
    value = (values.get("auc") or {}).get("value")
    return Month(
        str(row["window"]),
        _int(values.get("known", 0)),
        values.get("label_share"),
        value if first else None,
        None if first else value,
    )


def _retrain(p: Platform) -> Retrain | None:
    facts = {fact.seq: fact for fact in p.journal.facts(kinds=("drift.detected",))}
    for row in p.journal.rows("firings", order=("fact",)):
        fact = facts.get(_int(row["fact"]))
        made = p.journal.rows("versions", {"run": row["run"]})
        if fact and fact.body and made:
            body = cast("dict[str, Any]", fact.body)
            return Retrain(body["window"], body["sentence"], fact.subject, f"{made[0]['model']}:{made[0]['version']}")
    return None


def _said(row: Row) -> Said:
    return Said(str(row["monitor"]), str(row["window"]), cast("Any", row["verdict"]), str(row["sentence"]))


def _kept(row: Row) -> Kept:
    said = f"{row['a']} against {row['b']} on {row['rows']} rows"
    old, new, low, high = (float(cast("float", row[name])) for name in ("auc_b", "auc_a", "low", "high"))
    return Kept(str(row["window"]), old, new, low, high, said)


def _followed(found: Lineage) -> Followed:
    prediction = found.prediction
    links = [Link("prediction", str(prediction["prediction_id"]), f"score {prediction['score']}")]
    links.append(Link("model", found.model, found.canonical_hash[-12:]))
    links.append(Link("run", found.run, f"{len(found.steps)} steps"))
    links.append(Link("code", str(found.code.get("tree"))[:12], str(found.code.get("commit") or "no commit")))
    links += [Link("table", origin.snapshot, origin.source) for origin in found.inputs]
    return Followed(str(prediction["prediction_id"]), "One prediction, followed to the files it came from.", tuple(links))


def _approval(p: Platform, row: Row) -> Approval:
    who = governance.actor_named(p.journal, str(row["actor"]))
    at = f"{from_micros(_int(row['at'])):%Y-%m-%d %H:%M} UTC"
    subject = f"{row['model']}:{row['version']}"
    return Approval(subject, who, str(row["assurance"]), at, str(row["action"]), str(row["comment"] or ""))


def _costs(p: Platform) -> tuple[Cost, ...]:
    """CPU and memory of each pipeline's own work; what came from the cache cost nothing."""
    names = {row["run"]: str(row["pipeline"]) for row in p.journal.rows("runs")}
    totals: dict[str, list[float]] = {}
    for step in p.journal.rows("steps"):
        usage = cast("dict[str, float] | None", step["usage"])
        if usage:
            total = totals.setdefault(names[step["run"]], [0.0, 0.0])
            total[0] += usage["cpu_s"]
            total[1] += usage["gb_s"]
    return tuple(Cost(name, cpu, gb) for name, (cpu, gb) in sorted(totals.items()))


def _proof(p: Platform) -> Proof:
    head = p.journal.head()
    rebuilt = [f"{row['version']}: {row['outcome']}" for row in p.journal.rows("rebuilds")]
    return Proof(head.hash, head.seq, sha256_hex(p.key_store.public_key("werk"))[:32], rebuild=", ".join(rebuilt))


def _int(value: object) -> int:
    return int(cast("int", value or 0))
