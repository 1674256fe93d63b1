"""The story of a project, read from its facts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from werk import governance
from werk.core.journal import Row
from werk.core.nouns import ModelVersion, Usage, from_micros, utc_now
from werk.core.platform import Platform
from werk.monitoring import MONITORS, Prices
from werk.monitoring.verdict import MODEL_QUALITY
from werk.monitoring.words import percent
from werk.pipelines.lineage import Lineage, Origin
from werk.pipelines.source_row import SourceRow, spoken
from werk.pipelines.story.nouns import (
    Again,
    Approval,
    Champion,
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
        champion=_champion(p),
        ladder=tuple(map(_rung, p.journal.rows("rungs", order=("place",)))),
        gates=tuple(_gates(p)),
        months=tuple(_months(p)),
        retrains=tuple(_retrains(p)),
        verdicts=tuple(_answers(p)),
        kept=(*_at_the_gate(p), *_later(p)),
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
    answers = [said for said in _answers(p) if not said.again]
    alarms = sum(said.verdict == "violation" for said in answers)
    windows, retrained = len({said.window for said in answers}), len(list(_retrains(p)))
    scores = sum(_int(row["rows"]) for row in p.journal.rows("predictions_written"))
    return (
        _stage("land", len(tables), f"{len(tables)} tables, {sum(_int(row['rows_in']) for row in tables):,} rows"),
        _stage("check", len(tables), f"{sum(_int(row['quarantined']) for row in tables):,} rows set aside"),
        _stage("train", refused + passed, f"{refused + passed} models"),
        _stage("gate", refused + passed, f"{refused} refused, {passed} passed"),
        _stage("approve", approved, f"{approved} by a second actor"),
        _stage("predict", scores, f"{scores:,} scores"),
        _stage("monitor", windows, f"{windows} windows; violations: {alarms}; retrainings: {retrained}"),
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
    return Rung(str(row["knows"]), float(cast("float", row["auc"])), _int(row["rows"]))


def _champion(p: Platform) -> Champion | None:
    """The version that answers now; None before there is one."""
    for row in p.journal.rows("aliases", {"model": p.project.name, "alias": "champion"}):
        mv = ModelVersion(p.project.name, _int(row["version"]))
        report = _report(p, mv)
        auc = report.get("metrics", {}).get("auc") or {}
        if None not in (auc.get("value"), auc.get("low"), auc.get("high")):
            return Champion(str(mv), auc["value"], auc["low"], auc["high"], _int(report.get("n")))
    return None


def _report(p: Platform, mv: ModelVersion) -> dict[str, Any]:
    """What a registered version was accepted on, as it is stored."""
    for row in p.journal.rows("versions", {"model": mv.model, "version": mv.version}):
        key = str(row["report_key"])
        return cast("dict[str, Any]", json.loads(p.object_store.get([key])[key]))
    return {}


def _gates(p: Platform) -> Iterator[GateVerdict]:
    """Under the name of the version that each became; of refused ones there may be several."""
    names = {row["canonical_hash"]: f"{row['model']}:{row['version']}" for row in p.journal.rows("versions", order=("-version",))}
    refused = 0
    for row in _evaluations(p):
        refused += row["canonical_hash"] not in names
        name = names.get(row["canonical_hash"], "a refused model" if refused == 1 else f"refused model {refused}")
        rules = cast("list[dict[str, Any]]", row["rules"])
        said = tuple(Rule(rule["rule"], rule["passed"], rule["sentence"], rule.get("value") is not None) for rule in rules)
        yield GateVerdict(name, bool(row["passed"]), said, f"Run {row['run']}, model {str(row['canonical_hash'])[-12:]}.")


def _months(p: Platform) -> Iterator[Month]:
    """One window each, by the version that scored it first; later versions stand beside it."""
    judged = {(str(row["window"]), str(row["version"])): row for row in p.journal.rows("monitors", {"monitor": MODEL_QUALITY})}
    for window, versions in _scored(p).items():
        (first, rows), *later = versions.items()
        share, auc = _quality(judged.get((window, first)))
        again = tuple(Again(f"{p.project.name}:{which}", _quality(judged.get((window, which)))[1]) for which, _ in later)
        yield Month(window, rows, share, auc, f"{p.project.name}:{first}", again)


def _scored(p: Platform) -> dict[str, dict[str, int]]:
    """Per window the versions that scored it and how many rows, whoever came first first."""
    found: dict[str, dict[str, int]] = {}
    for row in p.journal.rows("predictions_written", {"model": p.project.name}, order=("version",)):
        found.setdefault(str(row["window"]), {}).setdefault(str(row["model_version"]), _int(row["rows"]))
    return dict(sorted(found.items()))


def _quality(row: Row | None) -> tuple[float | None, float | None]:
    """The share of outcomes and the AUC that the monitor of model quality measured."""
    values = cast("dict[str, Any]", row["values"]) if row else {}
    return values.get("label_share"), (values.get("auc") or {}).get("value")


def _retrains(p: Platform) -> Iterator[Retrain]:
    """Every training that a violation started and that became a version."""
    facts = {fact.seq: fact for fact in p.journal.facts(kinds=("drift.detected",))}
    newest = {row["run"]: row for row in p.journal.rows("firings", order=("fact",))}
    for row in newest.values():
        fact = facts.get(_int(row["fact"]))
        made = p.journal.rows("versions", {"run": row["run"]})
        if fact and fact.body and made:
            body = cast("dict[str, Any]", fact.body)
            yield Retrain(body["window"], body["sentence"], fact.subject, f"{made[0]['model']}:{made[0]['version']}")


def _answers(p: Platform) -> Iterator[Said]:
    """The newest answer per window, version and monitor, in the order in which the versions scored the window."""
    rows = p.journal.rows("monitors", {"model": p.project.name, "monitor": list(MONITORS)})
    of: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        of.setdefault((str(row["window"]), str(row["version"])), []).append(row)
    for window, versions in _scored(p).items():
        for at, version in enumerate(versions):
            yield from (_said(row, again=at > 0) for row in of.get((window, version), ()))


def _said(row: Row, *, again: bool) -> Said:
    model = f"{row['model']}:{row['version']}"
    return Said(str(row["monitor"]), str(row["window"]), cast("Any", row["verdict"]), str(row["sentence"]), model, again)


def _at_the_gate(p: Platform) -> Iterator[Kept]:
    """Each version against the champion of its day, on rows held out from its training and new to both."""
    for row in p.journal.rows("versions", {"model": p.project.name}, order=("version",)):
        mv = ModelVersion(p.project.name, _int(row["version"]))
        against = _report(p, mv).get("champion") or {}
        by, old = against.get("differences", {}).get("auc"), against.get("metrics", {}).get("auc")
        if by and old and None not in (by["value"], by["low"], by["high"], old["value"]):
            on = f"held out from the training of {mv} and new to both"
            aucs = old["value"] + by["value"], old["value"]
            yield Kept(str(mv), str(against["version"]), on, _int(against["n"]), *aucs, by["low"], by["high"], later=False)


def _later(p: Platform) -> Iterator[Kept]:
    """What was compared on purpose, on windows of its own."""
    for fact in p.journal.facts(kinds=("models.compared",)):
        body = cast("dict[str, Any]", fact.body or {})
        if None in (body.get(name) for name in ("auc_a", "auc_b", "low", "high")):
            continue
        aucs = (body["auc_a"], body["auc_b"])
        yield Kept(body["a"], body["b"], _span(p, fact.run, body["window"]), _int(body["rows"]), *aucs, body["low"], body["high"])


def _span(p: Platform, run: str | None, last: str) -> str:
    """From the window its run started with, where the pipeline has such a parameter."""
    params = [cast("dict[str, Any]", row["params"]) for row in p.journal.rows("runs", {"run": run})] if run else []
    first = str(params[0].get("start", last)) if params else last
    return last if first == last else f"{first} to {last}"


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
        return Followed(id, f"{found.model} gave a probability of {percent(score)} of being {outcome}.", tuple(links))
    links.append(Link("source row", f"one of {row.origin.snapshot}", ", ".join(row.key.values())))
    sentence = f"For {spoken(row.key)}, {found.model} gave a probability of {percent(score)} of being {outcome}."
    return Followed(id, sentence, tuple(links), tuple(row.values.items()), f"{row.origin.snapshot} from {row.origin.source}")


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
