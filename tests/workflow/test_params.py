"""A parameter typed by a person is read or refused by its name."""

from __future__ import annotations

import inspect
from dataclasses import dataclass

import pytest

from werk.core.errors import InputError
from werk.workflow.params import parse_value


@dataclass(frozen=True, slots=True)
class Fit:
    learning_rate: float = 0.5
    share: float | None = None


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "Infinity", "1e999"])
def test_a_number_must_be_finite(text: str) -> None:
    for part in ("learning_rate", "share"):
        with pytest.raises(InputError, match=f"'params.{part}' must be finite") as refused:
            parse_value("params", Fit, Fit(), None, {part: text})
        assert (refused.value.code, refused.value.exit_code) == ("param-unreadable", 2)
    with pytest.raises(InputError, match="'rate' must be finite"):
        parse_value("rate", float, inspect.Parameter.empty, text, {})


def test_finite_numbers_are_read() -> None:
    assert parse_value("params", Fit, Fit(), None, {"learning_rate": "1e-3", "share": "none"}) == Fit(0.001)
    assert parse_value("name", str, "x", "nan", {}) == "nan", "a text may say so"
