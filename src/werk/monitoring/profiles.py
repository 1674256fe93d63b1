"""How one column's values fall into cells cut once on the training rows, so that every window is counted alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Literal, cast

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.core.canonical import JSON

Kind = Literal["number", "category", "other"]
Counts = NDArray[np.int64]

BINS = 10
MOST_NAMES = 500
DISCRETE = 20
BEYOND = 0.1  # a value this share of the training span outside of it counts as out of range
MODE_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Profile:
    """The cells of a column and what training put into them.

    `counts` has one entry per cell and four at its end: unseen category, out of range, not finite, null. Numbers have
    `edges` (first and last bound the known range), categories `names`; `more_names` says that some had no room.
    """

    kind: Kind
    dtype: str
    rows: int
    counts: tuple[int, ...]
    edges: tuple[float, ...] = ()
    names: tuple[str, ...] = ()
    more_names: bool = False

    @property
    def cells(self) -> Counts:
        return np.array(self.counts, dtype=np.int64)

    @property
    def valueless(self) -> bool:
        """Training held nothing but nulls and non-finite values, so nothing can be compared with it."""
        return sum(self.counts[-2:]) == self.rows

    def count(self, values: pl.Series) -> Counts:
        """How a window of the same kind falls into the cells."""
        if self.kind == "number":
            return _count_numbers(values, self.edges)
        if self.kind == "category":
            return _count_names(values, self.names)
        return _tail(len(values) - values.null_count(), null=values.null_count())

    def to_json(self) -> dict[str, JSON]:
        return cast("dict[str, JSON]", {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(self).items()})

    @classmethod
    def from_json(cls, data: Mapping[str, JSON]) -> Profile:
        fields = {name: tuple(v) if isinstance(v, list) else v for name, v in data.items()}
        return cls(**fields)  # type: ignore[arg-type]  # keys are exactly the fields written by to_json


def kind_of(dtype: pl.DataType) -> Kind:
    if dtype.is_numeric() or dtype.is_temporal():
        return "number"
    return "category" if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Boolean) else "other"


def profile(values: pl.Series) -> Profile:
    kind, dtype, rows = kind_of(values.dtype), str(values.dtype), len(values)
    if kind == "number":
        edges = _edges(_finite(values))
        return Profile(kind, dtype, rows, _whole(_count_numbers(values, edges)), edges=edges)
    if kind == "category":
        names = _names(values)
        counts = _count_names(values, names)
        return Profile(kind, dtype, rows, _whole(counts), names=names, more_names=bool(counts[-4]))
    return Profile(kind, dtype, rows, _whole(_tail(rows - values.null_count(), null=values.null_count())))


def _edges(values: NDArray[np.float64]) -> tuple[float, ...]:
    """Tenths of the rows; a value that many rows share gets a cell of its own and the tenths are those of the others."""
    if not len(values):
        return ()
    distinct, seen = np.unique(values, return_counts=True)
    low, high = float(distinct[0]), float(distinct[-1])
    margin = max((high - low) * BEYOND, abs(high) * 1e-9, 1e-9)
    inner = _midpoints(distinct) if len(distinct) <= DISCRETE else _tenths(values, distinct, seen)
    cuts = np.unique([low - margin, *inner, np.nextafter(high + margin, np.inf)])
    return tuple(cuts[np.isfinite(cuts)].tolist())


def _midpoints(distinct: NDArray[np.float64]) -> list[float]:
    return list(distinct[:-1] / 2 + distinct[1:] / 2)


def _tenths(values: NDArray[np.float64], distinct: NDArray[np.float64], seen: Counts) -> list[float]:
    mode, alone = distinct[seen.argmax()], bool(seen.max() > MODE_SHARE * len(values))
    others = values[values != mode] if alone else values
    cuts = list(np.quantile(others, np.linspace(0, 1, BINS + 1)[1:-1]))
    return [*cuts, mode, np.nextafter(mode, np.inf)] if alone else cuts


def _names(values: pl.Series) -> tuple[str, ...]:
    counted = _text(values).drop_nulls().value_counts().rows()
    return tuple(name for name, _ in sorted(counted, key=lambda row: (-row[1], row[0]))[:MOST_NAMES])


def _count_numbers(values: pl.Series, edges: tuple[float, ...]) -> Counts:
    finite, nulls = _finite(values), values.null_count()
    at = np.searchsorted(np.array(edges), finite, side="right")
    found = np.bincount(at, minlength=len(edges) + 1)
    outside = int(found[0] + found[-1]) if edges else len(finite)
    broken = len(values) - nulls - len(finite)
    return np.concatenate([found[1:-1], _tail(0, outside, broken, nulls)]).astype(np.int64)


def _count_names(values: pl.Series, names: tuple[str, ...]) -> Counts:
    seen: dict[str | None, int] = dict(_text(values).value_counts().rows())
    nulls = seen.pop(None, 0)
    known = [seen.pop(name, 0) for name in names]
    return np.concatenate([np.array(known, dtype=np.int64), _tail(sum(seen.values()), null=nulls)])


def _tail(unseen: int, outside: int = 0, broken: int = 0, null: int = 0) -> Counts:
    return np.array([unseen, outside, broken, null], dtype=np.int64)


def _finite(values: pl.Series) -> NDArray[np.float64]:
    physical = values.drop_nulls().to_physical() if values.dtype.is_temporal() else values.drop_nulls()
    numbers = physical.cast(pl.Float64, strict=False).drop_nulls().to_numpy()
    return cast("NDArray[np.float64]", numbers[np.isfinite(numbers)])


def _text(values: pl.Series) -> pl.Series:
    return values.cast(pl.String)


def _whole(counts: Counts) -> tuple[int, ...]:
    return tuple(int(count) for count in counts)
