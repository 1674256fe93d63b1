"""From a prediction's id to the files it came from, beside bare SQL over the same tables and rows."""

from __future__ import annotations

from dataclasses import replace

from benchmarks.measure import Line, Trial, alone, compared, in_turn, worker


def run(quick: bool) -> list[Line]:
    trainings, batches, rows, questions = (200, 5, 10_000, 10) if quick else (2_000, 20, 50_000, 40)
    [trials] = in_turn(3, worker("lineage", trainings, batches, rows, questions))
    size = f"{batches * rows:,} predictions in {batches} files, {trainings:,} versions of a model, {trainings * 10:,} facts"
    asked = "a warm process, one question after the other, each to both in turn, median"
    query = compared(
        "lineage",
        "prediction to files",
        _named(trials, "werk"),
        _named(trials, "bare"),
        against="limit",
        unit="ms",
        target="none",
        met=None,
        inside=f"{size}; {asked}; limit: DuckDB on the Parquet files and SQLite on the journal's tables, edges by hand",
        name="ms",
    )
    inside = f"{size}; the aliases of one model as of the middle of the journal, replayed into memory, median"
    return [query, alone("lineage", "as-of aliases", trials, "as_of", unit="ms", inside=inside)]


def _named(trials: list[Trial], name: str) -> list[Trial]:
    return [replace(trial, values={"ms": trial.values[name]}) for trial in trials]
