"""Verdicts as facts, and the table read from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from werk.core.canonical import JSON, digest_of
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Reader, Row, Upsert
from werk.core.nouns import ModelVersion
from werk.core.platform import Platform
from werk.monitoring.policy import Policy
from werk.monitoring.verdict import MonitorVerdict


def _apply(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    model, _, version = fact.subject.rpartition(":")
    said = {name: body[name] for name in ("window", "monitor", "verdict", "sentence", "values", "report_key")}
    yield Upsert({"model": model, "version": version, **said})


PROJECTIONS = (
    Projection(
        name="monitors",
        columns=(
            *(Column(n) for n in ("model", "version", "window", "monitor", "verdict", "sentence")),
            Column("values", "json"),
            Column("report_key"),
        ),
        key=("model", "version", "window", "monitor"),
        kinds=("monitor.checked",),
        apply=_apply,
    ),
)


def record(
    p: Platform,
    mv: ModelVersion | str,
    verdicts: Sequence[MonitorVerdict],
    run: str | None = None,
    *,
    policy: Policy | None = None,
    report_key: str | None = None,
) -> list[Fact]:
    """Write what the monitors said about a model version, and `drift.detected` for what the policy retrains on.

    What stands already as the newest answer is not written again, whoever says it, and a run says the same once: resumed, it
    adds nothing. An answer that comes back after another one is news, so that the newest fact is what holds now.
    """
    by = policy or Policy()
    with p.journal.write() as writer:
        news = [(said, before) for said in verdicts if _is_news(said, before := _standing(writer, str(mv), said))]
        return writer.append([fact for said, before in news for fact in _facts(str(mv), said, run, by, report_key, before)])


def timeline(p: Platform, mv: ModelVersion | str) -> list[Row]:
    """The newest verdict per window and monitor."""
    model, _, version = str(mv).rpartition(":")
    return p.journal.rows("monitors", {"model": model, "version": version}, order=("window", "monitor"))


def _standing(journal: Reader, mv: str, said: MonitorVerdict) -> Row | None:
    """The newest answer of this monitor about this window of this version."""
    model, _, version = mv.rpartition(":")
    where = {"model": model, "version": version, "window": said.window, "monitor": said.monitor}
    return next(iter(journal.rows("monitors", where, limit=1)), None)


def _is_news(said: MonitorVerdict, before: Row | None) -> bool:
    return before is None or _digest(before["verdict"], before["values"]) != _digest(said.verdict, dict(said.values))


def _digest(verdict: JSON, values: JSON) -> str:
    return digest_of({"verdict": verdict, "values": values})


def _facts(
    mv: str, said: MonitorVerdict, run: str | None, policy: Policy, report_key: str | None, before: Row | None = None
) -> Iterable[NewFact]:
    """The key names who says it: a run, with the table versions it is pinned to; without one, the answer that it follows."""
    core: dict[str, JSON] = {
        "monitor": said.monitor,
        "window": said.window,
        "sentence": said.sentence,
        "values": dict(said.values),
    }
    origin = run or f"after-{before['seq'] if before else 0}"
    key = f"{mv}/{said.window}/{said.monitor}/{_digest(said.verdict, core['values'])}/{origin}"
    yield NewFact("monitor.checked", mv, {**core, "verdict": said.verdict, "report_key": report_key}, run, f"monitor/{key}")
    if policy.retrains(said):
        yield NewFact("drift.detected", mv, core, run, f"drift/{key}")
