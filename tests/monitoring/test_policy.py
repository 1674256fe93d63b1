from pathlib import Path

import pytest

from werk.core.errors import InputError
from werk.core.nouns import Usage
from werk.monitoring import MonitorVerdict, Policy, Prices, Thresholds, cost_line


def said(monitor: str, verdict: str = "violation", **values: float) -> MonitorVerdict:
    return MonitorVerdict(monitor, "July", verdict, "A sentence.", values)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("verdict", "starts"),
    [
        (said("model quality", auc_below=0.06, label_h=0.0), True),
        (said("model quality", auc_below=0.01, label_h=-0.3), True),
        (said("model quality", "cannot say", auc_below=0.06), False),
        (said("prediction drift", psi=0.25), True),
        (said("prediction drift", broken=3), False),
        (said("feature drift", share=0.6), True),
        (said("feature drift", "ok", share=0.6), False),
        (said("data quality"), False),
        (said("bias"), False),
        (said("cost", eur=9.0), False),
    ],
)
def test_what_starts_a_retraining(verdict: MonitorVerdict, starts: bool) -> None:
    assert Policy().retrains(verdict) is starts


def test_a_cause_can_be_moved_and_switched_off() -> None:
    shift = said("model quality", auc_below=0.0, label_h=-0.3)
    assert not Policy.from_mapping({"label_h": False}).retrains(shift)
    assert not Policy.from_mapping({"label_h": 0.4}).retrains(shift)
    assert Policy.from_mapping({}) == Policy()


@pytest.mark.parametrize(
    "table", [{"label": 0.2}, {"label_h": True}, {"label_h": "0.2"}, {"label_h": -1}, {"label_h": float("nan")}]
)
def test_a_policy_that_says_nothing_clear_is_refused(table: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Policy.from_mapping(table)


def test_cost_adds_up_by_the_price_file() -> None:
    prices = Prices.from_mapping({"cpu_hour_eur": 0.04, "gb_hour_eur": 0.01})
    usages = [Usage(1800.0, 2000.0, 10, 3600.0), Usage(1800.0, 2000.0, 30, 0.0)]
    line = cost_line("July", usages, prices)
    assert line.verdict == "ok"
    assert line.values["eur"] == pytest.approx(0.05)
    assert line.values["peak_bytes"] == 30


def test_cost_without_price_or_measurement_cannot_be_said() -> None:
    assert cost_line("July", [], Prices(1.0, 1.0)).verdict == "cannot say"
    assert cost_line("July", [Usage(1.0, 1.0, 1, 1.0)], None).verdict == "cannot say"
    assert cost_line("July", [Usage(3600.0, 1.0, 1, 0.0)], Prices(1.0, 1.0, window_eur=0.5)).verdict == "violation"


@pytest.mark.parametrize("table", [{}, {"cpu_hour_eur": 1.0, "gb_hour": 1.0}, {"cpu_hour_eur": "1", "gb_hour_eur": 1.0}])
def test_a_price_file_is_checked(table: dict[str, object]) -> None:
    with pytest.raises(InputError):
        Prices.from_mapping(table)


def test_the_page_for_ml_engineers_says_what_the_code_retrains_on() -> None:
    page = (Path(__file__).parents[2] / "docs" / "ml_engineer.md").read_text(encoding="utf-8")
    margin = Thresholds().auc_margin
    assert Policy().auc_below == margin
    assert f"AUC more than {margin} below the accepted interval" in page
