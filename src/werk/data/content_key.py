"""A key for rows that have none: a hash of what the row says, and which of several equal rows it is."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import polars as pl

CONTENT_KEY = ("row_content", "row_copy")


def with_content_key(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    """With `row_content` (32 hex digits, the same wherever the row stands) and `row_copy` (1, 2 ... among equal rows).

    The order of the columns counts for nothing, nor whether a number is written 1 or 1.0.
    """
    said = frame.select(sorted(columns))
    said = said.with_columns(said.select(pl.selectors.numeric() | pl.selectors.boolean()).cast(pl.Float64))
    hashes = [hashlib.sha256(repr(row).encode()).hexdigest()[:32] for row in said.rows()]
    content = pl.Series(CONTENT_KEY[0], hashes, dtype=pl.String)
    copies = pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(CONTENT_KEY[0]).alias(CONTENT_KEY[1])
    return frame.with_columns(content).with_columns(copies)
