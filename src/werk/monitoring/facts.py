"""Verdicts as facts, and the table read from them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from werk.core.canonical import JSON, digest_of
from werk.core.journal import Change, Column, Fact, NewFact, Projection, Row, Upsert
from werk.core.platform import Platform
from werk.monitoring.verdict import MonitorVerdict


def _apply(fact: Fact) -> Iterable[Change]:
    body = fact.body or {}
    model, _, version = fact.subject.rpartition(":")
    said = {name: body[name] for name in ("window", "monitor", "verdict", "sentence", "values")}
    yield Upsert({"model": model, "version": version, **said})


PROJECTIONS = (
    Projection(
        name="monitors",
        columns=(
            *(Column(n) for n in ("model", "version", "window", "monitor", "verdict", "sentence")),
            Column("values", "json"),
        ),
        key=("model", "version", "window", "monitor"),
        kinds=("monitor.checked",),
        apply=_apply,
    ),
)


def record(p: Platform, mv: str, verdicts: Sequence[MonitorVerdict], run: str | None = None) -> list[Fact]:
    """Write what the monitors said about `model:version`; a violation also writes `drift.detected`."""
    return p.journal.append([fact for verdict in verdicts for fact in _facts(mv, verdict, run)])


def timeline(p: Platform, mv: str) -> list[Row]:
    model, _, version = mv.rpartition(":")
    return p.journal.rows("monitors", {"model": model, "version": version}, order=("window", "monitor"))


def _facts(mv: str, said: MonitorVerdict, run: str | None) -> Iterable[NewFact]:
    core: dict[str, JSON] = {
        "monitor": said.monitor,
        "window": said.window,
        "sentence": said.sentence,
        "values": dict(said.values),
    }
    checked: dict[str, JSON] = {**core, "verdict": said.verdict, "report_key": None}
    key = f"monitor/{mv}/{said.window}/{said.monitor}/{digest_of(checked)}"
    yield NewFact("monitor.checked", mv, checked, run, key)
    if said.verdict == "violation":
        yield NewFact("drift.detected", mv, core, run, f"drift/{key}")
