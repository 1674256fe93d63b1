import pytest

from werk.core.journal import Fact, NewFact, Upsert
from werk.monitoring.facts import PROJECTIONS, _facts
from werk.monitoring.model_quality import check_model


def written(new: NewFact) -> Fact:
    return Fact(1, "p", 0, "a", new.kind, new.subject, new.run, new.body, "", "", "", new.dedupe_key)


@pytest.mark.parametrize(("auc", "verdict", "facts"), [(0.60, "violation", 2), (0.70, "ok", 1), (None, "cannot say", 1)])
def test_only_a_violation_starts_something(auc: float | None, verdict: str, facts: int) -> None:
    new = list(_facts("delay:3", check_model("AUC", "July", auc, (0.66, 0.72)), None))
    assert [fact.kind for fact in new] == ["monitor.checked", "drift.detected"][:facts]
    assert len({fact.dedupe_key for fact in new}) == facts
    (change,) = PROJECTIONS[0].apply(written(new[0]))
    assert isinstance(change, Upsert)
    assert change.row["verdict"] == verdict
    assert (change.row["model"], change.row["version"]) == ("delay", "3")
