"""What was said of each window, in the order in which it was said: a later word never takes the place of an earlier one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from werk.core.journal import Fact, Row
from werk.core.nouns import Verdict
from werk.core.platform import Platform
from werk.monitoring import MONITORS
from werk.monitoring.verdict import COST, MODEL_QUALITY
from werk.pipelines.seen import trained_rows
from werk.pipelines.story.measures import MEASURES
from werk.pipelines.story.nouns import Again, Month, Said


@dataclass(frozen=True, slots=True)
class Statement:
    """One answer of one monitor; `time` counts how often this version had been checked on this window, from 1."""

    window: str
    version: str
    monitor: str
    verdict: Verdict
    sentence: str
    values: Mapping[str, Any]
    run: str | None
    time: int

    @property
    def auc(self) -> float | None:
        """Or the mean error of a regression, or the share of right answers of a multiclass model."""
        measured: Mapping[str, Any] = next((self.values[one.key] for one in MEASURES.values() if self.values.get(one.key)), {})
        return cast("float | None", measured.get("value"))

    @property
    def share(self) -> float | None:
        """Or the mean outcome of a regression, or the share of the class that was the commonest at acceptance."""
        if shares := self.values.get("label_shares"):
            before = self.values.get("baseline_label_shares") or shares
            return cast("float | None", shares.get(max(before, key=before.__getitem__)))
        return cast("float | None", self.values.get("label_share", self.values.get("label_mean")))

    @property
    def known(self) -> int | None:
        return self.values.get("known")


def statements(p: Platform) -> list[Statement]:
    """Of the project's own model; a cost that stayed within its limit is measured anew by every run and is no news."""
    of: dict[tuple[str, str], list[Statement]] = {}
    found: list[Statement] = []
    for fact in p.journal.facts(kinds=("monitor.checked",)):
        model, _, version = fact.subject.rpartition(":")
        if fact.body and model == p.project.name and fact.body["monitor"] in MONITORS:
            before = of.setdefault((str(fact.body["window"]), version), [])
            said = _statement(fact, version, before)
            if not _idle(said, before):
                before.append(said)
                found.append(said)
    return found


def months(p: Platform) -> Iterator[Month]:
    """One window each, by the version that scored it first; whatever was measured later stands beside it."""
    quality = [said for said in statements(p) if said.monitor == MODEL_QUALITY]
    trained = trained_rows(p, p.project.name)
    for window, versions in _scored(p).items():
        month = _month(p.project.name, window, versions, [said for said in quality if said.window == window])
        yield replace(month, trained=trained.get((next(iter(versions)), window), 0))


def answers(p: Platform) -> Iterator[Said]:
    """Every answer by window, a window's in the order in which they were given."""
    scored = _scored(p)
    found = statements(p)
    firsts = {said.window: said.version for said in reversed(found)} | {window: next(iter(of)) for window, of in scored.items()}
    for said in sorted(found, key=lambda one: one.window):
        model = f"{p.project.name}:{said.version}"
        again = said.version != firsts[said.window]
        yield Said(said.monitor, said.window, said.verdict, said.sentence, model, again, said.time)


def _statement(fact: Fact, version: str, before: Sequence[Statement]) -> Statement:
    body = cast("dict[str, Any]", fact.body)
    time = _time(body["monitor"], fact.run, before)
    said = (body["monitor"], body["verdict"], body["sentence"], body["values"])
    return Statement(body["window"], version, *said, fact.run, time)


def _time(monitor: str, run: str | None, before: Sequence[Statement]) -> int:
    """What one run says is one time; a monitor that speaks twice has begun another."""
    if not before:
        return 1
    last = before[-1]
    spoken = any(said.monitor == monitor and said.time == last.time for said in before)
    return last.time + (spoken or run != last.run)


def _idle(said: Statement, before: Sequence[Statement]) -> bool:
    earlier = [one.verdict for one in before if one.monitor == COST]
    return said.monitor == COST and said.verdict == "ok" and earlier[-1:] == ["ok"]


def _month(model: str, window: str, versions: Mapping[str, int], said: Sequence[Statement]) -> Month:
    """Outcomes come late: the first word is the first that could measure, and before one could, the newest."""
    first, rows = next(iter(versions.items()))
    of_first = [one for one in said if one.version == first]
    measured = [one for one in of_first if one.auc is not None]
    head = next(iter([*measured, *reversed(of_first)]), None)
    later = [_again(model, one, head) for one in said if one is not head and one.auc is not None]
    silent = [Again(f"{model}:{other}") for other in versions if other not in {first, *(one.version for one in said)}]
    share, auc = (head.share, head.auc) if head else (None, None)
    return Month(window, rows, share, auc, f"{model}:{first}", (*later, *silent))


def _again(model: str, one: Statement, first: Statement | None) -> Again:
    """Its share and number of outcomes only where they differ from those known at first."""
    name = f"{model}:{one.version}"
    if first is None or first.auc is None:
        return Again(name, one.auc, one.share, one.known)
    known = None if one.known == first.known else one.known
    return Again(name, one.auc, None if one.share == first.share else one.share, known)


def _scored(p: Platform) -> dict[str, dict[str, int]]:
    """Per window the versions that scored it and how many rows at first, whoever came first first."""
    found: dict[str, dict[str, int]] = {}
    for row in p.journal.rows("predictions_written", {"model": p.project.name}, order=("version",)):
        found.setdefault(str(row["window"]), {}).setdefault(str(row["model_version"]), _rows(row))
    return dict(sorted(found.items()))


def _rows(row: Row) -> int:
    return int(cast("int", row["rows"] or 0))
