import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from werk.core.errors import InputError
from werk.registry import Decision, Gate, RuleVerdict, decide

REPORT: dict[str, Any] = {
    "metrics": {"auc": {"value": 0.8, "low": 0.75, "high": 0.85}, "ece": {"value": 0.03}, "log_loss": 0.4},
    "golden": [{"name": "storm", "passed": True, "value": 0.71, "expected": 0.7, "tolerance": 0.02}],
    "behaviour": [{"name": "more-delay-is-later", "kind": "direction", "passed": True, "value": 1.0, "sentence": "It is."}],
    "slices": [{"name": "EWR", "metrics": {"auc": {"value": 0.7}}}, {"name": "JFK", "metrics": {"auc": {"value": 0.6}}}],
    "bias": [{"name": "carrier=AA", "metric": "DI", "value": 0.9}],
    "n": 100,
    "canonical_hash": "werk-canon/1:memory:aa",
    "champion": None,
}


def verdict(gate: dict[str, Any], report: dict[str, Any] | None = None) -> RuleVerdict:
    [rule] = decide(Gate.of(gate), report if report is not None else REPORT).rules
    return rule


def auc(value: object) -> dict[str, Any]:
    return {"metrics": {"auc": value}}


@pytest.mark.parametrize(
    ("bound", "passed"),
    [
        ({"min": 0.8}, True),
        ({"min": 0.8000001}, False),
        ({"max": 0.8}, True),
        ({"max": 0.7999999}, False),
        ({"min": 0.75, "on": "low"}, True),
        ({"min": 0.76, "on": "low"}, False),
        ({"max": 0.85, "on": "high"}, True),
        ({"max": 0.84, "on": "high"}, False),
    ],
)
def test_equality_at_the_boundary_passes(bound: dict[str, Any], passed: bool) -> None:
    assert verdict(auc(bound)).passed is passed


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf"), None, "0.9", True])
@pytest.mark.parametrize("bound", [{"min": 0.1}, {"max": 1.0}])
def test_what_is_no_finite_number_fails_and_is_not_forgiven(value: object, bound: dict[str, float]) -> None:
    gate = {"metrics": {"auc": bound, "log_loss": {"max": 1.0}}, "allow_unchecked": True}
    for entry in (value, {"value": value}):
        assert not decide(Gate.of(gate), {"metrics": {"auc": entry, "log_loss": 0.4}}).passed


def test_nan_can_be_written_as_json() -> None:
    rule = verdict(auc({"min": 0.1}), {"metrics": {"auc": {"value": float("nan")}}})
    assert json.loads(json.dumps(rule.to_json(), allow_nan=False))["value"] is None
    assert "not a finite number" in rule.sentence


@pytest.mark.parametrize(
    ("gate", "report"),
    [
        ({"metrics": {"acu": {"min": 0.1}}}, REPORT),
        ({"metrics": {"ece": {"max": 0.1, "on": "high"}}}, REPORT),
        (auc({"min": 0.1}), {}),
        (auc({"min": 0.1}), {"metrics": None}),
        ({"golden": {}}, {**REPORT, "golden": []}),
        ({"golden": {}}, {"golden": "all fine"}),
        ({"behaviour": {"required": True}}, {}),
        ({"slices": {"auc": {"min": 0.1}}}, {**REPORT, "slices": []}),
        ({"bias": {"DPL": {"max": 0.1}}}, REPORT),
        ({"calibration": {"max": 0.1}}, {"metrics": {}}),
        ({"champion": {"metric": "auc"}}, {"metrics": {"auc": 0.8}}),
        ({"champion": {"metric": "auc"}}, {"metrics": {"auc": 0.8}, "champion": {}}),
        (
            {"champion": {"metric": "auc"}},
            {"metrics": {"auc": 0.8}, "champion": {"why": "d:1 was trained on all 9 rows.", "metrics": {}, "differences": {}}},
        ),
        ({"latency": {"p95_ms": {"max": 1}}}, REPORT),
        ({"latency": {"p95_ms": {"max": 1}}}, {"latency": {}}),
    ],
)
def test_missing_input_is_not_checked_and_fails_by_default(gate: dict[str, Any], report: dict[str, Any]) -> None:
    decision = decide(Gate.of(gate), report)
    assert not decision.passed
    assert all(not rule.checked and rule.sentence.startswith("Not checked: ") for rule in decision.rules)
    assert not decide(Gate.of({**gate, "allow_unchecked": True}), report).passed, "nothing at all was checked"


def test_unchecked_can_be_allowed_beside_what_passed() -> None:
    gate = {"metrics": {"auc": {"min": 0.5}, "f1": {"min": 0.5}}}
    assert not decide(Gate.of(gate), REPORT).passed
    assert decide(Gate.of({**gate, "allow_unchecked": True}), REPORT).passed
    assert not decide(Gate.of({**gate, "allow_unchecked": True}), {"metrics": {"auc": 0.4}}).passed


def test_misspelt_metric_is_hinted() -> None:
    assert "did you mean 'auc'?" in verdict({"metrics": {"acu": {"min": 0.1}}}).sentence


@pytest.mark.parametrize(
    ("change", "passed"),
    [
        ({}, True),
        ({"value": 0.72}, True),
        ({"value": 0.7201}, False),
        ({"passed": False}, False),
        ({"passed": "yes"}, False),
        ({"value": 0.9}, False),
        ({"value": float("nan")}, False),
        ({"tolerance": float("nan")}, False),
        ({"tolerance": float("inf")}, False),
        ({"expected": None}, False),
    ],
)
def test_golden_point_passes_by_its_numbers(change: dict[str, Any], passed: bool) -> None:
    point = {**REPORT["golden"][0], "expected": 0.7, "tolerance": 0.0200001, **change}
    assert verdict({"golden": {"required": True}}, {"golden": [point]}).passed is passed


def test_named_points_and_tests_must_be_there() -> None:
    gate = Gate.of({"golden": {"required": ["storm", "sun"]}, "behaviour": {"required": ["more-delay-is-latter"]}})
    decision = decide(gate, REPORT)
    assert [rule.rule for rule in decision.failed] == ["golden.sun", "behaviour.more-delay-is-latter"]
    assert "did you mean 'more-delay-is-later'?" in decision.failed[1].sentence


def test_failed_behaviour_test_outside_the_list_still_fails() -> None:
    failed = {"name": "other", "kind": "invariance", "passed": False, "value": 0.2, "sentence": "It moved."}
    gate = Gate.of({"behaviour": {"required": ["more-delay-is-later"]}})
    decision = decide(gate, {**REPORT, "behaviour": [*REPORT["behaviour"], failed]})
    assert [rule.sentence for rule in decision.failed] == ["It moved."]


def test_every_slice_counts() -> None:
    decision = decide(Gate.of({"slices": {"auc": {"min": 0.65}}}), REPORT)
    assert [rule.rule for rule in decision.failed] == ["slices.auc[JFK].min"]


@pytest.mark.parametrize(("min_rows", "failed"), [(0, 3), (50, 2), (51, 1)])
def test_slice_too_small_is_not_held_to_the_bound(min_rows: int, failed: int) -> None:
    slices = [{"name": str(n), "n": n, "metrics": {"auc": {"value": 0.1}}} for n in (49, 50, None)]
    decision = decide(Gate.of({"slices": {"auc": {"min": 0.5, "min_rows": min_rows}}}), {"slices": slices})
    assert len(decision.failed) == failed


def test_only_small_slices_are_not_checked() -> None:
    slices = [{"name": "a", "n": 3, "metrics": {"auc": {"value": 0.9}}}]
    rule = verdict({"slices": {"auc": {"min": 0.5, "min_rows": 10}}}, {"slices": slices})
    assert not rule.checked


def test_bias_bound() -> None:
    assert verdict({"bias": {"DI": {"min": 0.8}}}).passed
    assert not verdict({"bias": {"DI": {"min": 0.95}}}).passed


def test_calibration_bound() -> None:
    assert verdict({"calibration": {"max": 0.03}}).passed
    assert not verdict({"calibration": {"max": 0.02}}).passed
    assert verdict({"calibration": {"metric": "log_loss", "max": 0.4}}).passed


@pytest.mark.parametrize(
    ("rule", "champion", "passed"),
    [
        ({}, None, True),
        ({}, {"metrics": {"auc": {"value": 0.8}}}, True),
        ({}, {"metrics": {"auc": {"value": 0.81}}}, False),
        ({"tolerance": 0.02}, {"metrics": {"auc": {"value": 0.81}}}, True),
        ({"higher_is_better": False}, {"metrics": {"auc": {"value": 0.7}}}, False),
        ({"higher_is_better": False}, {"metrics": {"auc": {"value": 0.9}}}, True),
        ({}, {"differences": {"auc": {"value": float("nan")}}}, False),
        ({"on": "low", "tolerance": 0.01}, {"differences": {"auc": {"value": 0.0, "low": -0.02, "high": 0.02}}}, False),
        ({"on": "low", "tolerance": 0.02}, {"differences": {"auc": {"value": 0.0, "low": -0.02, "high": 0.02}}}, True),
        ({"on": "low"}, {"metrics": {"auc": {"value": 0.1}}}, False),
    ],
)
def test_challenger_is_not_worse_than_the_champion(rule: dict[str, Any], champion: Any, passed: bool) -> None:
    gate = {"champion": {"metric": "auc", **rule}}
    assert verdict(gate, {**REPORT, "champion": champion}).passed is passed


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        ("", "gate-empty", "no rule"),
        ("[golden]\nrequired = false", "gate-empty", "no rule"),
        ("[metrisc.auc]\nmin = 1", "gate-key-unknown", "Did you mean 'metrics'"),
        ("[metrics.auc]\nmim = 1", "gate-key-unknown", "Did you mean 'min'"),
        ("[metrics.auc]\n", "gate-malformed", "neither 'min' nor 'max'"),
        ("[metrics.auc]\nmin = nan", "gate-malformed", "finite"),
        ("[metrics.auc]\nmax = inf", "gate-malformed", "finite"),
        ("[metrics.auc]\nmin = true", "gate-malformed", "finite"),
        ("[metrics.auc]\nmin = '0.7'", "gate-malformed", "finite"),
        ("[metrics.auc]\nmin = 0.8\nmax = 0.7", "gate-malformed", "above"),
        ("[metrics.auc]\nmin = 0.8\non = 'lower'", "gate-side-unknown", "low"),
        ("[metrics]\nauc = 0.7", "gate-malformed", "metrics.auc"),
        ("[champion]\ntolerance = 0.1", "gate-malformed", "metric"),
        ("[champion]\nmetric='auc'\ntolerance = -0.1", "gate-malformed", "below zero"),
        ("[behaviour]\nrequired = 'x'", "gate-malformed", "list"),
        ("[metrics.auc]\nmin = 0\nmin_rows = 3", "gate-key-unknown", "min_rows"),
        ("[slices.auc]\nmin = 0\nmin_rows = -3", "gate-malformed", "count"),
        ("[golden]\nleast = -1", "gate-malformed", "count"),
        ("[metrics.auc]\nmin=0\n[approval]\nassurance='odic'", "gate-assurance-unknown", "oidc"),
        ("[metrics.auc]\nmin = -5", "gate-harmless", "let every model pass"),
        ("[metrics.accuracy]\nmin = -0.1\nmax = 1.1", "gate-harmless", "metrics.accuracy"),
        ("[slices.auc]\nmin = -1", "gate-harmless", "slices.auc"),
        ("[metrics.brier]\nmax = 1.5", "gate-harmless", "metrics.brier"),
        ("[calibration]\nmax = 2", "gate-harmless", "calibration"),
        ("[golden]\nrequired = []\nleast = 0", "gate-harmless", "golden"),
        ("[golden]\nrequired = true\nleast = 0", "gate-harmless", "golden"),
        ("[behaviour]\nleast = 0", "gate-harmless", "behaviour"),
        ("[metrics.auc", "gate-malformed", "TOML"),
    ],
)
def test_wrong_gate_file_is_named(tmp_path: Path, text: str, code: str, sentence: str) -> None:
    (tmp_path / "gate.toml").write_text(text)
    with pytest.raises(InputError, match=sentence) as wrong:
        Gate.load(tmp_path / "gate.toml")
    assert wrong.value.code == code


@pytest.mark.parametrize(
    "text",
    [
        "[metrics.auc]\nmin = 0",  # asks that it is there
        "[metrics.brier]\nmax = 1",
        "[metrics.auc]\nmin = -1\nmax = 0.9",
        "[metrics.log_loss]\nmax = 5",
        "[golden]\nrequired = ['storm']\nleast = 0",
        "[golden]\nrequired = []",
    ],
)
def test_a_rule_that_a_model_can_miss_is_one(text: str, tmp_path: Path) -> None:
    (tmp_path / "gate.toml").write_text(text)
    assert Gate.load(tmp_path / "gate.toml")


def test_absent_gate_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="There is no gate"):
        Gate.load(tmp_path / "gate.toml")


JSON_LIKE = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.floats() | st.text("ab", max_size=2),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["value", "name", "auc", "passed"]), inner),
    max_leaves=8,
)
WHOLE = Gate.of(
    {
        "metrics": {"auc": {"min": 0.5, "max": 0.9, "on": "low"}},
        "golden": {},
        "behaviour": {"required": ["a"]},
        "slices": {"auc": {"min": 0}},
        "bias": {"auc": {"max": 1}},
        "calibration": {"max": 0.1},
        "champion": {"metric": "auc"},
    }
)


@given(st.dictionaries(st.sampled_from(["metrics", "golden", "behaviour", "slices", "bias", "champion"]), JSON_LIKE))
def test_any_report_gets_a_decision_and_the_same_one_again(report: dict[str, Any]) -> None:
    decision: Decision = decide(WHOLE, report)
    assert not decision.passed, "none of these has an interval for auc"
    assert decide(WHOLE, report).rules_json() == decision.rules_json()
    assert all(rule.sentence and rule.rule for rule in decision.rules)


SLOW = {"latency": {"p50_ms": 1.2, "p95_ms": 2.25, "rows": 300, "size_bytes": 9_427_983, "rounds": 25_000}}


def test_a_slow_model_is_refused_with_what_it_took_and_why() -> None:
    rule = verdict({"latency": {"p95_ms": {"max": 0.5}}}, SLOW)
    assert (rule.rule, rule.passed, rule.value, rule.threshold) == ("latency.p95_ms.max", False, 2.25, 0.5)
    assert "2.25" in rule.sentence
    assert "25,000 rounds" in rule.sentence
    assert "9.4 MB" in rule.sentence
    assert verdict({"latency": {"p95_ms": {"max": 2.25}}}, SLOW).passed


def test_the_champion_is_named_with_the_rows_that_were_fair() -> None:
    compared = {"version": "d:1", "n": 900, "seen": 100, "why": None, "differences": {"auc": {"value": 0.01, "low": -0.002}}}
    rule = verdict({"champion": {"metric": "auc", "on": "low", "tolerance": 0.01}}, {"champion": compared})
    assert rule.passed
    assert "d:1" in rule.sentence
    assert "900 rows" in rule.sentence
    assert "100 others left out, as d:1 was trained on them" in rule.sentence
    unknown = verdict({"champion": {"metric": "auc"}}, {"champion": {**compared, "seen": None}})
    assert "whether d:1 was trained on some of them is not known" in unknown.sentence


def test_a_model_is_not_compared_with_itself() -> None:
    itself = {"version": "d:1", "n": 9, "canonical_hash": REPORT["canonical_hash"], "differences": {"auc": {"value": 0.0}}}
    rule = verdict({"champion": {"metric": "auc"}}, {**REPORT, "champion": itself})
    assert (rule.passed, rule.value) == (True, None)
    assert rule.sentence == "The champion d:1 is this very model (the same canonical hash): nothing to compare."
    other = verdict({"champion": {"metric": "auc"}}, {**REPORT, "champion": {**itself, "canonical_hash": "another"}})
    assert "differs by +0" in other.sentence
    unnamed = verdict({"champion": {"metric": "auc"}}, {"champion": {**itself, "canonical_hash": None}, "canonical_hash": None})
    assert "this very model" not in unnamed.sentence


def test_why_a_champion_could_not_be_compared_is_passed_on() -> None:
    why = {"version": "d:1", "n": 0, "seen": 9, "why": "d:1 was trained on all 9 rows.", "metrics": {}, "differences": {}}
    assert verdict({"champion": {"metric": "auc"}}, {"champion": why}).sentence == "Not checked: d:1 was trained on all 9 rows."
