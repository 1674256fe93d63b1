"""Change everything that was not yet known, and see which features notice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

import polars as pl

Frames = Mapping[str, pl.DataFrame]
KnownAt = Mapping[str, Mapping[str, pl.Expr]]


def leak_check(
    build: Callable[[Frames, datetime], pl.DataFrame], tables: Frames, cutoffs: Iterable[datetime], known_at: KnownAt
) -> list[str]:
    """The columns of `build(tables, cutoff)` that change once every value known only after the cutoff is noise.

    `known_at[table][column]` says when a value is known; columns not named there are taken as always known.
    """
    leaked: set[str] = set()
    for cutoff in cutoffs:
        before = build(tables, cutoff)
        after = build({name: _noised(frame, known_at.get(name, {}), cutoff) for name, frame in tables.items()}, cutoff)
        leaked |= {name for name in before.columns if not before[name].equals(after[name], null_equal=True)}
    return sorted(leaked)


def _noised(frame: pl.DataFrame, known_at: Mapping[str, pl.Expr], cutoff: datetime) -> pl.DataFrame:
    return frame.with_columns(
        pl.when(known > cutoff).then(_noise(column, frame.schema[column])).otherwise(pl.col(column)).alias(column)
        for column, known in known_at.items()
    )


def _noise(column: str, dtype: pl.DataType) -> pl.Expr:
    """Numbers only grow, so that a moved event stays after the cutoff."""
    return (pl.col(column).fill_null(0) + 1000).cast(dtype) if dtype.is_numeric() else pl.lit("noise")
