"""What one row must hold: checks a request's columns against the model and turns them into its numbers."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.models.compiled import Model

Columns = Mapping[str, Sequence[object]]


@dataclass(frozen=True, slots=True)
class Signature:
    """`codes` hold each category feature's numbers by value; key columns may come along and are only logged."""

    features: tuple[str, ...]
    codes: Mapping[str, Mapping[str, float]]
    key: tuple[str, ...]

    @classmethod
    def of(cls, model: Model) -> Signature:
        codes = {name: {value: float(at) for at, value in enumerate(values)} for name, values in model.categories.items()}
        return cls(model.features, codes, model.key)

    def encode(self, columns: Columns, count: int) -> NDArray[np.float64]:
        """The rows as the model was trained, bit for bit as the batch path has them; raises `InputError` naming the column."""
        self._check_names(columns)
        values = np.empty((count, len(self.features)), dtype=np.float64)
        for at, name in enumerate(self.features):
            known = self.codes.get(name)
            values[:, at] = _numbers(name, columns[name]) if known is None else _coded(name, columns[name], known)
        return values

    def _check_names(self, columns: Collection[str]) -> None:
        absent = [name for name in self.features if name not in columns]
        strange = [name for name in columns if name not in self.features and name not in self.key]
        if not absent and not strange:
            return
        if strange:
            near = difflib.get_close_matches(strange[0], absent or self.features, n=1, cutoff=0.5)
            did = f" Did you mean '{near[0]}'?" if near else ""
            raise InputError(
                f"The model has no feature '{strange[0][:80]}'.{did}",
                code="feature-unknown",
                hint=f"It takes {_listed(self.features)}.",
            )
        raise InputError(
            f"The request lacks {_listed(absent)}.", code="feature-missing", hint="Send null for a value that is not known."
        )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names[:20]) + (f" and {len(names) - 20} more" if len(names) > 20 else "")


def _numbers(name: str, values: Sequence[object]) -> list[float]:
    return _each(name, values, "a number", _number)


def _number(value: object) -> float:
    if value is None:
        return np.nan
    if isinstance(value, int | float):  # bool included: the batch path casts it the same way
        return float(value)
    raise TypeError


def _coded(name: str, values: Sequence[object], codes: Mapping[str, float]) -> list[float]:
    def code(value: object) -> float:
        if value is None:
            return np.nan
        if isinstance(value, str) or type(value) is int:  # whole numbers name categories too, as text
            return codes.get(str(value), np.nan)
        raise TypeError

    return _each(name, values, "text", code)


def _each(name: str, values: Sequence[object], wanted: str, convert: Callable[[object], float]) -> list[float]:
    out: list[float] = []
    for at, value in enumerate(values):
        try:
            out.append(convert(value))
        except TypeError:
            raise InputError(
                f"Feature '{name}' needs {wanted}, row {at} has {_shown(value)}.",
                code="feature-type",
                hint="Send null for a value that is not known.",
            ) from None
    return out


def _shown(value: object) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:60]}..."
