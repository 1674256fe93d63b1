"""What an evaluation measured and what the gate said about it, for `werk run` and `werk show`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import cast

from werk import registry
from werk.core.canonical import JSON
from werk.core.journal import Reader, Row
from werk.core.platform import Platform

Record = dict[str, object]
COMPARING = "compare-models"  # the name of steps.compare, which is too heavy to be imported for it
_SHOWN = ("task", "metrics", "golden", "behaviour", "champion")


def evaluations(p: Platform, then: Reader, run: str) -> list[Record]:
    """Each model that came to a gate in this run: metrics, rules, golden points, behaviour tests, champion; stored reports are
    checked."""
    return [_evaluation(p, row) for row in then.rows("evaluations", {"run": run}, order=("seq",))]


def evaluation_of(p: Platform, then: Reader, version: Row) -> Record | None:
    """The one a version was registered on; None when what the gate said of it was erased."""
    where = {name: version[name] for name in ("model", "run", "report_key", "gate_sha256")}
    rows = then.rows("evaluations", where)
    return _evaluation(p, rows[0]) if rows else None


def comparisons(then: Reader, run: str) -> list[Record]:
    """What `steps.compare` found in this run, or in the run that its answer was cached from."""
    rows = then.rows("steps", {"run": run})
    from_cache = {str(row["cached_from"]).partition("/")[0] for row in rows if row["cached_from"] and row["step"] == COMPARING}
    facts = [fact for one in (run, *sorted(from_cache)) for fact in then.facts(kinds=("models.compared",), run=one)]
    return [dict(fact.body) for fact in facts if fact.body]


def compared(found: Mapping[str, object]) -> str:
    """One line: both versions, each one's measure, and their difference."""
    measure = next(name[:-2] for name in found if name.endswith("_a"))
    values = (_number(found[f"{measure}_{one}"]) for one in ("a", "b"))
    gap = {"value": found["difference"], "low": found["low"], "high": found["high"]}
    sides = ", ".join(f"{found[one]} {value}" for one, value in zip(("a", "b"), values, strict=True))
    rows = cast("int", found["rows"])
    return f"{measure} on {rows:,} rows of {found['window']}: {sides}; {found['a']} minus {found['b']} {interval(gap)}"


def _evaluation(p: Platform, row: Row) -> Record:
    report = registry.stored_report(p, row)
    said = {name: row[name] for name in ("model", "passed", "rules", "canonical_hash", "report_key")}
    return {**said, **{name: report.get(name) for name in _SHOWN}}


def told(found: Mapping[str, object]) -> Iterator[str]:
    """Metrics in a line each, then the gate's rules: what was found, what was asked; at last what nobody asks for."""
    yield "metrics"
    yield from (f"  {name:<32} {interval(entry)}" for name, entry in _table(found["metrics"]).items())
    yield f"gate: {'passed' if found['passed'] else 'REFUSED'}"
    points = {f"golden.{point.get('name')}": point for point in _entries(found["golden"])}
    yield from (_rule(rule, points.get(str(rule["rule"]))) for rule in _entries(found["rules"]))
    yield from _unasked(found)


def _unasked(found: Mapping[str, object]) -> Iterator[str]:
    """Evidence that lies in the folder and decides nothing."""
    asked = {str(rule["rule"]).partition(".")[0] for rule in _entries(found["rules"])}
    for name in ("golden", "behaviour"):
        if _entries(found[name]) and name not in asked:
            yield f"  {name}.toml is there, and gate.toml does not ask for it: add [{name}] required = true"


def whole(found: Mapping[str, object]) -> Iterator[str]:
    """The same with every golden point and behaviour test, required by the gate or not, and the champion."""
    yield from told(found)
    for title, name in (("golden points", "golden"), ("behaviour tests", "behaviour")):
        entries = _entries(found[name])
        yield title if entries else f"{title}: none"
        yield from (f"  {_word(entry)}  {entry.get('name')!s:<32} {_entry(entry)}" for entry in entries)
    yield from _champion(found["champion"], found["canonical_hash"])


def _champion(champion: object, identity: object) -> Iterator[str]:
    if not isinstance(champion, Mapping):
        yield "champion: none to compare with"
        return
    if champion.get("canonical_hash") == identity:
        yield f"champion: {champion['version']}, which is this very model: nothing to compare"
        return
    yield f"champion: {champion['version']}, on {champion['n']:,} rows that it was not trained on"
    if champion.get("why"):
        yield f"  not compared: {champion['why']}"
    yield from (f"  {f'{name} minus its {name}':<32} {interval(gap)}" for name, gap in _table(champion["differences"]).items())


def _rule(rule: Mapping[str, JSON], point: Mapping[str, JSON] | None) -> str:
    return (
        f"  {_ruled(rule)}  {rule['rule']!s:<32} {_number(rule.get('value')):>10}  {_asked(rule, point):<22}  {rule['sentence']}"
    )


def _asked(rule: Mapping[str, JSON], point: Mapping[str, JSON] | None) -> str:
    """A golden point's and a champion's threshold is how far the value may be away, and no bound on it."""
    if point is not None:
        return _expected(point)
    if rule["threshold"] is None:
        return ""
    word = "tolerance" if str(rule["rule"]).startswith("champion.") else "bound"
    return f"{word} {_number(rule['threshold'])}"


def _ruled(rule: Mapping[str, JSON]) -> str:
    """Nothing was passed where there was no champion, or the same model, to compare with."""
    idle = rule.get("passed") and rule.get("value") is None and str(rule["rule"]).startswith("champion.")
    return "-     " if idle else _word(rule)


def _word(entry: Mapping[str, JSON]) -> str:
    if entry.get("checked") is False:
        return "not checked"
    return "passed" if entry.get("passed") else "failed"


def _entry(entry: Mapping[str, JSON]) -> str:
    if entry.get("sentence"):
        return str(entry["sentence"])
    return f"{_number(entry.get('value'))}, {_expected(entry)}"


def _expected(point: Mapping[str, JSON]) -> str:
    return f"expected {_number(point.get('expected'))} +- {_number(point.get('tolerance'))}"


def interval(entry: object) -> str:
    value, low, high = (_number(_table(entry).get(name)) for name in ("value", "low", "high"))
    return value if "-" in (low, high) else f"{value} (95 % {low} to {high})"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, int | float) and not isinstance(value, bool) else "-"


def _table(value: object) -> Mapping[str, JSON]:
    return value if isinstance(value, Mapping) else {}


def _entries(value: object) -> list[Mapping[str, JSON]]:
    return cast("list[Mapping[str, JSON]]", value or [])
