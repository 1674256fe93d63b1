import pytest

from werk.core.journal import Fact, NewFact, Upsert
from werk.monitoring import PROJECTIONS, MonitorVerdict, Policy
from werk.monitoring.facts import _facts


def written(new: NewFact) -> Fact:
    return Fact(1, "p", 0, "a", new.kind, new.subject, new.run, new.body, "", "", "", new.dedupe_key)


def said(verdict: str, below: float = 0.06) -> MonitorVerdict:
    return MonitorVerdict("model quality", "July", verdict, "A sentence.", {"auc_below": below, "label_h": 0.0})  # type: ignore[arg-type]


@pytest.mark.parametrize(("verdict", "facts"), [("violation", 2), ("ok", 1), ("cannot say", 1)])
def test_only_a_violation_starts_something(verdict: str, facts: int) -> None:
    new = list(_facts("delay:3", said(verdict), None, Policy(), None))
    assert [fact.kind for fact in new] == ["monitor.checked", "drift.detected"][:facts]
    assert len({fact.dedupe_key for fact in new}) == facts
    (change,) = PROJECTIONS[0].apply(written(new[0]))
    assert isinstance(change, Upsert)
    assert change.row["verdict"] == verdict
    assert (change.row["model"], change.row["version"]) == ("delay", "3")
