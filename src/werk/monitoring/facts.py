"""Verdicts as facts, and the table read from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from werk.core.canonical import JSON, digest_of
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Row, Upsert
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

    The same verdict on the same input is written once per version, window and monitor, whatever run says it again.
    """
    by = policy or Policy()
    return p.journal.append([fact for verdict in verdicts for fact in _facts(str(mv), verdict, run, by, report_key)])


def timeline(p: Platform, mv: ModelVersion | str) -> list[Row]:
    """The newest verdict per window and monitor."""
    model, _, version = str(mv).rpartition(":")
    return p.journal.rows("monitors", {"model": model, "version": version}, order=("window", "monitor"))


def _facts(mv: str, said: MonitorVerdict, run: str | None, policy: Policy, report_key: str | None) -> Iterable[NewFact]:
    core: dict[str, JSON] = {
        "monitor": said.monitor,
        "window": said.window,
        "sentence": said.sentence,
        "values": dict(said.values),
    }
    key = f"{mv}/{said.window}/{said.monitor}/{digest_of({'verdict': said.verdict, 'values': core['values']})}"
    yield NewFact("monitor.checked", mv, {**core, "verdict": said.verdict, "report_key": report_key}, run, f"monitor/{key}")
    if policy.retrains(said):
        yield NewFact("drift.detected", mv, core, run, f"drift/{key}")
