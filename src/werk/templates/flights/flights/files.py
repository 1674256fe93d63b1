"""The five tables straight from their Parquet files, for a script or a test that has no lake at hand."""

from __future__ import annotations

from pathlib import Path

import polars as pl

TABLES = ("flights", "weather", "planes", "airlines", "airports")
TEXT_TIMES = {"raw.flights": "time_hour", "raw.weather": "time_hour"}


class Files:
    """What the lake answers after landing: `scan("raw.flights")`, with times as times."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def scan(self, table: str, /) -> pl.LazyFrame:
        rows = pl.scan_parquet(self._folder / f"{table.removeprefix('raw.')}.parquet")
        times = (TEXT_TIMES[table],) if table in TEXT_TIMES else ()
        return rows.with_columns(pl.col(time).str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_zone="UTC") for time in times)
