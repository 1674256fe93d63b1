"""The journal beside bare SQLite inserts of the same rows at the same durability."""

from __future__ import annotations

from benchmarks.measure import Line, Trial, compared, in_turn, median, spread, worker

_INSIDE = {
    "append": "one fact a transaction, synchronous FULL, WAL; hash chain, projection and dedupe key included; opening is not",
    "batch": "1,000 facts a transaction, synchronous FULL, WAL; hash chain, projection and dedupe keys included; opening is not",
}


def run(quick: bool) -> list[Line]:
    single, batched = (300, 5_000) if quick else (2_000, 50_000)
    ours, bare = in_turn(3, worker("journal_werk", single, batched), worker("journal_bare", single, batched))
    lines = [
        compared(
            "journal",
            name,
            ours,
            bare,
            against="limit",
            unit="facts/s",
            target=">= 0.4 of bare",
            met=lambda werk, limit: werk >= 0.4 * limit,
            inside=_INSIDE[name],
            name=name,
        )
        for name in ("append", "batch")
    ]
    return [
        *lines,
        _alone(ours, "verify", "facts/s", 100_000, "re-hash every body and link, replay and compare the projections"),
        _alone(ours, "replay", "facts/s", 25_000, "every projection from all facts, in memory"),
        _alone(ours, "as_of", "ms", None, "the rows of one projection at the middle of the journal, filtered by key"),
        _alone(ours, "lineage", "ms", None, "all facts of one subject among all facts"),
    ]


def _alone(trials: list[Trial], name: str, unit: str, least: float | None, inside: str) -> Line:
    value = median(trials, name)
    return Line(
        case="journal",
        metric=name.replace("_", "-"),
        werk=value,
        peer=None,
        limit=None,
        unit=unit,
        ratio=None,
        target=f">= {least:,.0f} {unit}" if least else "none",
        met=value >= least if least else None,
        inside=inside,
        werk_spread=spread(trials, name),
        werk_peak_mb=max(trial.peak_mb for trial in trials),
    )
