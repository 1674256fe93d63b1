"""Laws of the metrics: what no ranking or reordering may change."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from werk.core.canonical import token_digest
from werk.models.metrics import auc, auc_difference

scored = st.lists(st.tuples(st.integers(-50, 50), st.booleans()), min_size=2, max_size=60)
tokens = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)


@given(scored)
def test_auc_mirrors_and_ignores_scale(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], float)
    found, mirrored = auc(scores, labels), auc(-scores, labels)
    assert auc(scores * 8 + 3, labels) == found
    if found.value is None:
        assert labels.min() == labels.max()
        return
    assert found.low is not None
    assert found.high is not None
    assert mirrored.value == pytest.approx(1 - found.value)
    assert 0 <= found.low <= found.value <= found.high <= 1


@given(scored)
def test_a_difference_changes_sign_with_its_sides(pairs: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([p[0] for p in pairs], float), np.array([p[1] for p in pairs], float)
    other = scores[::-1].copy()
    one, two = auc_difference(scores, other, labels), auc_difference(other, scores, labels)
    if one.value is not None and two.value is not None:
        assert one.value == pytest.approx(-two.value)


@given(tokens, tokens)
def test_different_values_have_different_tokens(one: object, two: object) -> None:
    assert (token_digest(one) == token_digest(two)) == _same(one, two)


def _same(one: object, two: object) -> bool:
    """Equal in type and value all the way down; dicts whatever their order."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(_same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(map(_same, one, two))
    return repr(one) == repr(two)
