"""What the columns of a file are to a model: its key, its outcome, its features, and what is none of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from werk.app.own.expected import Trend, trends
from werk.app.own.moment import kind_of, times_in
from werk.app.own.outcome import Outcome, outcome_of
from werk.app.own.suspects import named_like_an_id, suspects
from werk.core.errors import InputError, unknown
from werk.data import CONTENT_KEY, misfit, read_file

# A text of which no more than this share is no number was likely meant as a number; one word may stand for what is not known.
FEW_CELLS, ONE_WORD = 0.1, 0.5
# What `product.predictions` says of each row beside its key.
_TAKEN = (
    *("prediction_id", "score", "model", "version", "canonical_hash", "input_snapshot", "window", "attributions", "run", "drift"),
    "_rule",
)


@dataclass(frozen=True, slots=True)
class Columns:
    """`left_out` are columns that are no features, each with the reason; `types` are those of the contract.

    `guessed` is what nobody said and the file suggested: "key", "task". By `time` the newest rows are held out; `times` are
    columns that could be it. `seen` is how small and how large each number was; `nearly` are
    texts that would be numbers but for a few cells, with the first of those. `known` of `rows` have an outcome.
    """

    source: Path
    table: str
    key: tuple[str, ...]
    outcome: Outcome
    features: tuple[str, ...]
    categories: tuple[str, ...]
    left_out: tuple[str, ...]
    types: Mapping[str, str]
    guessed: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    nearly: tuple[str, ...] = ()
    rows: int = 0
    known: int = 0
    time: str | None = None
    times: tuple[str, ...] = ()
    trends: tuple[Trend, ...] = ()

    @property
    def target(self) -> str:
        return self.outcome.name

    @property
    def made_key(self) -> bool:
        return self.key[-2:] == CONTENT_KEY


def columns_of(source: Path, target: str | None, key: Sequence[str], task: str | None = None, time: str | None = None) -> Columns:
    """Read the whole file; `InputError` names a column that is missing or cannot be what it was named for."""
    frame, _ = read_file(source)
    frame = frame.with_columns(pl.selectors.categorical().cast(pl.String), pl.selectors.enum().cast(pl.String))
    outcome = outcome_of(frame, target, task)
    found = tuple(key) or _key(frame, (outcome.name, time))
    _check_key(frame, found, outcome)
    moment = {time: _moment(frame, time, outcome.name)} if time else {}
    others = [name for name in frame.columns if name not in (outcome.name, time, *found)]
    why = suspects(frame, others, outcome.numbers(), outcome.task)
    features = tuple(name for name in others if name not in why)
    if not features:
        raise InputError(f"{source.name} has no column to learn from.", code="features-missing", hint=_listed(why))
    names = dict.fromkeys((*(name for name in found if name in frame.columns), *moment, outcome.name, *features))
    types = {name: _type(frame, name, outcome, found) for name in names} | moment
    return Columns(
        source=source,
        table=_table(source),
        key=found,
        outcome=outcome,
        features=features,
        categories=tuple(name for name in features if frame.schema[name] in (pl.String, pl.Boolean)),
        left_out=tuple(f"{on_a_line(name)} ({reason})" for name, reason in why.items()),
        types=types,
        guessed=(*(() if key else ("key",)), *(("task",) if outcome.guessed else ())),
        seen=tuple(_seen(frame, types)),
        nearly=_nearly([frame[name] for name in others]),
        rows=len(frame),
        known=outcome.values.count(),
        time=time,
        times=() if time else tuple(times_in(frame, others)),
        trends=tuple(trends(frame, features, outcome)),
    )


def _moment(frame: pl.DataFrame, time: str, target: str) -> str:
    if time == target:
        raise InputError(f"'{time}' is both the time and the outcome.", code="time-outcome", hint="Name another --time.")
    return kind_of(frame, time)


def _key(frame: pl.DataFrame, taken: Sequence[str | None]) -> tuple[str, ...]:
    """The first column that is named like an id and tells every row apart; else a key made of what a row says."""
    found = (series.name for series in _tells_apart(frame) if named_like_an_id(series.name))
    first = next((name for name in found if name not in (*taken, *_TAKEN)), None)
    return CONTENT_KEY if first is None else (first,)


def _check_key(frame: pl.DataFrame, key: tuple[str, ...], outcome: Outcome) -> None:
    if key == CONTENT_KEY:
        return
    target = outcome.name
    taken = {*_TAKEN, *(("class", *(f"p_{one}" for one in outcome.classes)) if outcome.classes else ())}
    for name in key:
        if name not in frame.columns:
            raise unknown("column", name, frame.columns, code="column-unknown")
        if name in taken:
            hint = "Rename it in the file."
            raise InputError(f"The key '{name}' has a name that werk's own tables need.", code="key-reserved", hint=hint)
    if target in key:
        said = f"'{target}' is both the key and the outcome."
        raise InputError(said, code="key-tie", hint=_would_do(frame))
    rows = frame.select(key)
    bad = rows.filter(pl.any_horizontal(pl.all().is_null()) | rows.is_duplicated())
    if len(bad):
        said = f"The key ({', '.join(key)}) is null or not unique in {len(bad):,} of {len(rows):,} rows, first {bad.row(0)}."
        raise InputError(said, code="key-tie", hint=_would_do(frame))


def _would_do(frame: pl.DataFrame) -> str:
    names = [series.name for series in _tells_apart(frame)]
    which = f"It could be: {', '.join(names[:8])}." if names else "No single column does."
    return f"{which} Name several (--key A --key B), or none: a key is then made of what each row says."


def _tells_apart(frame: pl.DataFrame) -> Iterator[pl.Series]:
    named = (series for series in frame if series.dtype.is_integer() or series.dtype in (pl.String, pl.Date))
    yield from (series for series in named if not series.null_count() and series.n_unique() == len(frame))


def _nearly(columns: list[pl.Series]) -> tuple[str, ...]:
    """One cell that is no number makes a text of all the others, and so does one word for what is not known."""
    texts = [series.drop_nulls() for series in columns if series.dtype == pl.String]
    odd = {text.name: text.filter(text.cast(pl.Float64, strict=False).is_null()) for text in texts}
    most = {text.name: len(text) * (ONE_WORD if odd[text.name].n_unique() == 1 else FEW_CELLS) for text in texts}
    few = [series for series in columns if series.name in odd and 0 < len(odd[series.name]) <= most[series.name]]
    return tuple(f"{on_a_line(one.name)} ({misfit(one, 'number')})" for one in few)


def _type(frame: pl.DataFrame, name: str, outcome: Outcome, key: Sequence[str]) -> str:
    """The ODCS type; a measured value is a number although all of today's are whole."""
    dtype = frame.schema[name]
    counted = key if outcome.task == "regression" else (outcome.name, *key)
    if dtype.is_integer() and name in counted:
        return "integer"
    named = {pl.String: "string", pl.Boolean: "boolean", pl.Date: "date"}
    return next((word for kind, word in named.items() if dtype == kind), "number" if dtype.is_numeric() else "timestamp")


def _seen(frame: pl.DataFrame, types: Mapping[str, str]) -> Iterator[str]:
    for name in (name for name, kind in types.items() if kind == "number"):
        found = frame[name].cast(pl.Float64)
        numbers = found.filter(found.is_finite()).to_numpy()
        if len(numbers):
            yield f"{on_a_line(name)}: {numbers.min():g} to {numbers.max():g}"


def on_a_line(text: str) -> str:
    """As it may stand in a comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _table(source: Path) -> str:
    word = re.sub(r"[^a-z0-9]+", "_", source.stem.lower()).strip("_")
    return f"raw.{word if re.match('[a-z]', word) else f'rows_{word}'.rstrip('_')}"


def _listed(why: Mapping[str, str]) -> str:
    return "Left out: " + ", ".join(f"{name} ({reason})" for name, reason in why.items()) + "." if why else "Add some."
