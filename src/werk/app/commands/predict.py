"""Score rows by hand with a registered version, and ask an old prediction again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import polars as pl

from werk import data, registry
from werk.app.answers import Answer
from werk.app.wiring import Session, opened
from werk.core.errors import InputError, unknown
from werk.core.nouns import ModelVersion, Snapshot
from werk.models import Model
from werk.pipelines.explanation import Explained
from werk.pipelines.explanation import explain as ask_again
from werk.pipelines.steps import load
from werk.serving.score import score

SHOWN = 10
GIVEN = "given"


def predict(model: str, source: str, out: Path | None, project: Path | None, profile: str | None) -> Answer:
    """Nothing is written into the lake: this is a question, not a batch run."""
    with opened(project, profile) as session:
        mv = registry.resolve(session.p, model)
        scored = asked(session, mv, source)
    if out is not None:
        _write(scored, out)
    shown = scored.drop("model", "version", "canonical_hash", "input_snapshot")
    record = {"model": str(mv), "rows": len(scored), "out": str(out) if out else None}
    if out is not None:
        return Answer(record=record, text=f"{len(scored):,} rows scored by {mv}, written to {out}")
    return Answer(rows=shown.to_dicts()) if len(shown) <= SHOWN else Answer(rows=shown.to_dicts(), text=_head(shown, str(mv)))


def asked(session: Session, mv: ModelVersion, source: str | pl.DataFrame) -> pl.DataFrame:
    """A row an answer, by the rows of a file, of a table, or given as they are."""
    loaded = load(session.p, mv)
    frame, origin = _rows(session, source) if isinstance(source, str) else (source, GIVEN)
    frame = _keyed(loaded, frame)
    _check_columns(loaded, frame)
    return score(session.p, mv, loaded, numbers(loaded, frame), input_snapshot=origin)


def _keyed(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """A key that landing makes of what a row says is made here too."""
    missing = [name for name in (*model.features, *model.key) if name not in frame.columns]
    return data.with_content_key(frame, model.features) if missing == [*data.CONTENT_KEY] else frame


def _head(scored: pl.DataFrame, mv: str) -> str:
    with pl.Config(tbl_rows=SHOWN, tbl_hide_dataframe_shape=True, tbl_hide_column_data_types=True):
        return f"{scored.head(SHOWN)}\n{len(scored):,} rows scored by {mv}; --out FILE keeps them all"


def _rows(session: Session, source: str) -> tuple[pl.DataFrame, str]:
    """A file's rows, or those of a table at its newest or named version."""
    if Path(source).suffix:
        path = Path(source)
        if path.is_file() or "/" in source or path.suffix[1:] in ("parquet", "csv", "jsonl"):
            return data.read_file(path)
    table, at, _ = source.partition("@")
    snapshot = Snapshot.parse(source) if at else Snapshot(table, data.latest(session.p, table))
    return data.scan(session.p, snapshot.table, snapshot.version).collect(), str(snapshot)


def _check_columns(model: Model, frame: pl.DataFrame) -> None:
    for name in (*model.features, *model.key):
        if name not in frame.columns:
            kind = "feature" if name in model.features else "key column"
            hint = f"The rows have: {', '.join(frame.columns[:20])}."
            raise unknown(f"{kind} in these rows:", name, frame.columns, code="feature-missing", hint=hint)


def numbers(model: Model, frame: pl.DataFrame) -> pl.DataFrame:
    """A text where a number belongs is named by its row; a column without any value, which a CSV gives as text, is gaps."""
    names = [one for one in model.features if one not in model.categories and frame.schema[one] == pl.String]
    for name in names:
        if where := data.misfit(frame[name], "number"):
            said = f"Column '{name}' is text, not a number: {where}."
            raise InputError(said, code="feature-type", hint="Mend the cell, or leave it empty if its value is not known.")
    return frame.with_columns(pl.col(name).cast(pl.Null) for name in names if not frame[name].count())


def _write(scored: pl.DataFrame, out: Path) -> None:
    writers: dict[str, Callable[[Path], object]] = {
        ".parquet": scored.write_parquet,
        ".csv": scored.write_csv,
        ".jsonl": scored.write_ndjson,
    }
    if out.suffix not in writers:
        raise InputError(f"{out.name} is none of the known kinds.", code="out-kind", hint=f"End it in {', '.join(writers)}.")
    try:
        writers[out.suffix](out)
    except OSError as closed:
        raise InputError(f"{out} cannot be written: {closed}.", code="out-unwritable", hint="Name another file.") from closed


def explain(id: str, project: Path | None, profile: str | None) -> Answer:
    with opened(project, profile) as session:
        found = ask_again(session.p, id)
    return Answer(record=found.to_json(), text="\n".join(_said(found)))


def _said(found: Explained) -> list[str]:
    of = f" of {found.of}" if found.of else ""
    lines = [f"{found.prediction}  score {found.score!r}{of}, asked again: {found.again!r} (equal)"]
    lines.append(f"by {found.model} in {found.run}" if found.run else f"by {found.model}, served as {found.deployment}")
    lines.append(f"  {'base':<24} {'':>12} {found.base:+.4f}")
    return lines + [f"  {one.feature:<24} {_short(one.value):>12} {one.added:+.4f}" for one in found.contributions[:12]]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else "-" if value is None else str(value)
