"""What one row must hold: checks a request's columns against the model and turns them into its numbers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from werk.core.errors import InputError
from werk.models.compiled import Model

Columns = Mapping[str, Sequence[object]]
_NUMBERS = frozenset({float, int, bool, type(None)})  # bool included: the batch path casts it the same way

_PLAIN = _NUMBERS | {str}
_LOOKED_AT = 200  # names compared for "did you mean": each takes some ten microseconds of everybody's time
_WHOLE, _BOOLEAN = re.compile(r"-?\d+"), re.compile("true|false")


@dataclass(frozen=True, slots=True)
class Signature:
    """`codes` hold each category feature's numbers by value; key columns may come along and are only logged."""

    features: tuple[str, ...]
    codes: Mapping[str, Mapping[str, float]]
    key: tuple[str, ...]
    known: frozenset[str]
    classes: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: Model) -> Signature:
        codes = {name: {value: float(at) for at, value in enumerate(values)} for name, values in model.categories.items()}
        return cls(model.features, codes, model.key, frozenset((*model.features, *model.key)), model.classes)

    def check_width(self, count: int, what: str) -> None:
        """Far more names than the model has are refused unread; a few too many are read, so that the wrong one can be named."""
        most = 2 * len(self.known) + 16
        if count > most:
            raise InputError(
                f"{count} {what} are more than this model could take.",
                code="columns-too-many",
                hint=f"It takes {len(self.features)} features.",
            )

    def encode(self, columns: Columns, count: int) -> NDArray[np.float64]:
        """The rows as the model was trained, bit for bit as the batch path has them; raises `InputError` naming the column."""
        self._check_names(columns)
        self._check_key(columns)
        values = [self._column(name, columns[name]) for name in self.features]
        return np.ascontiguousarray(np.array(values, dtype=np.float64).reshape(len(self.features), count).T)

    def _column(self, name: str, values: Sequence[object]) -> Sequence[object]:
        known = self.codes.get(name)
        return _numbers(name, values) if known is None else _coded(name, values, known)

    def _check_key(self, columns: Columns) -> None:
        """It is only logged, with every row: a name, not a document."""
        for name in self.key:
            if name not in self.features and not _PLAIN.issuperset(map(type, columns.get(name, ()))):
                at, value = next((at, value) for at, value in enumerate(columns[name]) if type(value) not in _PLAIN)
                raise _mistyped(name, "a text or a number", at, value)

    def _check_names(self, columns: Collection[str]) -> None:
        absent = [name for name in self.features if name not in columns]
        strange = [name for name in columns if name not in self.known]
        if not absent and not strange:
            return
        if strange:
            near = difflib.get_close_matches(strange[0][:80], (absent or self.features)[:_LOOKED_AT], n=1, cutoff=0.5)
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


def _numbers(name: str, values: Sequence[object]) -> Sequence[object]:
    if _NUMBERS.issuperset(map(type, values)):  # the whole column at C speed; NumPy reads None as NaN
        return values
    at, value = next((at, value) for at, value in enumerate(values) if type(value) not in _NUMBERS)
    raise _mistyped(name, "a number", at, value)


def _coded(name: str, values: Sequence[object], codes: Mapping[str, float]) -> list[float]:
    out: list[float] = []
    for at, value in enumerate(values):
        if value is None:
            out.append(np.nan)
        elif isinstance(value, str):
            out.append(codes.get(value, np.nan))
        elif isinstance(value, int) and _may_name(value, codes):
            out.append(codes.get(_spelled(value), np.nan))
        else:
            raise _mistyped(name, "text", at, value)
    return out


def _may_name(value: int, codes: Mapping[str, float]) -> bool:
    """Whole numbers and booleans name categories too, where some of those are such: one never seen is no mistake."""
    if not codes or _spelled(value) in codes:
        return True
    kind = _BOOLEAN if isinstance(value, bool) else _WHOLE
    return any(map(kind.fullmatch, codes))


def _spelled(value: int) -> str:
    """As the data frame spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _mistyped(name: str, wanted: str, at: int, value: object) -> InputError:
    said = f"'{name}' needs {wanted}, row {at} has {shown(value)}."
    return InputError(said, code="feature-type", hint="Send null for a value that is not known.")


def shown(value: object) -> str:
    """A caller's value, short enough for a sentence."""
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = repr(value[:61] if isinstance(value, str) else value)
    return text if len(text) <= 60 else f"{text[:60]}..."
