"""What an outcome asks for: one of two, one of several, or how much."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from werk.core.errors import InputError, unknown
from werk.data import misfit
from werk.models.task import MOST_CLASSES, Task, checked_task, in_order, numbered, spelled

# Whole numbers of no more values than this name grades or kinds more often than amounts.
FEW_NUMBERS = 10
# A class of fewer rows is hardly learnt, and hardly measured on the rows held out.
FEW_ROWS = 30


@dataclass(frozen=True, slots=True)
class Outcome:
    """`values` as the file has them; `guessed` says that nobody named the task; `classes` are those of a multiclass task."""

    values: pl.Series
    task: Task
    guessed: bool = False
    classes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return self.values.name

    def numbers(self) -> pl.Series:
        """As numbers, classes counted from 0, null where nobody knows yet."""
        return pl.Series(self.name, numbered(self.values, self.task, self.classes)).fill_nan(None)

    def rare(self) -> tuple[str, ...]:
        """The classes with few rows, with how many."""
        if not self.classes:
            return ()
        rows = dict(spelled(self.values).drop_nulls().value_counts().rows())
        return tuple(f"{one} ({rows[one]})" for one in self.classes if rows[one] < FEW_ROWS)


def outcome_of(frame: pl.DataFrame, target: str | None, task: str | None) -> Outcome:
    """The named column as what is to be predicted; `InputError` says why it cannot be, and what could."""
    asked = None if task is None else checked_task(task)
    if target is None:
        found = [series.name for series in frame if _binary(series)]
        hint = f"It could be: {', '.join(found[:8])}." if found else "Name the column that you want to know of new rows."
        raise InputError("It is not said which column is to be predicted (--target).", code="target-unnamed", hint=hint)
    if target not in frame.columns:
        raise unknown("column", target, frame.columns, code="column-unknown")
    values = frame[target]
    _check_something(values)
    meant = asked or _guess(values)
    if meant == "binary" and not _binary(values):
        raise InputError(
            f"The outcome '{target}' is {_some_of(values)}, not 1 and 0.",
            code="target-not-binary",
            hint="Write 1 (or true) for what is to be predicted and 0 for everything else, or name another --task.",
        )
    if meant == "regression":
        _check_number(values)
    guessed = asked is None and meant != "binary"
    return Outcome(values, meant, guessed, _classes(values) if meant == "multiclass" else ())


def _check_something(values: pl.Series) -> None:
    name = values.name
    if not values.count():
        raise InputError(f"The outcome '{name}' is empty.", code="target-empty", hint="Name the column that has it (--target).")
    if values.dtype.is_nested() or values.dtype.is_temporal() or values.dtype == pl.Binary:
        kind = str(values.dtype).partition("(")[0].lower()
        hint = "An outcome is 1 or 0, a number, or one of several names."
        raise InputError(f"The outcome '{name}' is a {kind}, which no model of werk answers with.", code="target-kind", hint=hint)
    if values.drop_nulls().n_unique() == 1:
        raise InputError(
            f"The outcome '{name}' is always {values.drop_nulls()[0]}: there is nothing to learn.",
            code="target-constant",
            hint="Take rows in which it came out otherwise as well.",
        )


def _guess(values: pl.Series) -> Task:
    if _binary(values):
        return "binary"
    if not values.dtype.is_numeric():
        return "multiclass"
    known = values.drop_nulls()
    whole = values.dtype.is_integer() or (known.is_finite().all() and (known % 1 == 0).all())
    return "multiclass" if whole and known.n_unique() <= FEW_NUMBERS else "regression"


def _check_number(values: pl.Series) -> None:
    name = values.name
    if not values.dtype.is_numeric():
        said = f": {misfit(values, 'number')}" if values.dtype == pl.String else ""
        hint = "Mend those cells, or leave them empty; names need --task multiclass."
        raise InputError(f"The outcome '{name}' is no number{said}.", code="target-not-number", hint=hint)
    bad = (~values.cast(pl.Float64).is_finite()).arg_true()
    if len(bad):
        raise InputError(
            f"The outcome '{name}' is no finite number in {len(bad):,} rows, first in row {bad[0] + 1:,}.",
            code="target-not-finite",
            hint="Leave empty what nobody knows yet.",
        )


def _classes(values: pl.Series) -> tuple[str, ...]:
    """`InputError` where they are too many, or fractions."""
    names = spelled(values).drop_nulls().unique()
    if len(names) > MOST_CLASSES:
        odd = f" ({misfit(values, 'number')})" if values.dtype == pl.String else ""
        raise InputError(
            f"The outcome '{values.name}' has {len(names):,} values, more than the {MOST_CLASSES} classes that are learnt{odd}.",
            code="target-classes",
            hint="Join the rare ones. Is it a number (1.5, not 1,5), mend the cells that are none; then --task regression.",
        )
    return in_order(names)


def _binary(series: pl.Series) -> bool:
    """1 and 0 (as numbers or booleans), and both of them."""
    return not series.dtype.is_nested() and series.drop_nulls().unique().sort().to_list() in ([0, 1], [False, True])


def _some_of(series: pl.Series) -> str:
    values = series.drop_nulls().unique().sort().to_list()
    return ", ".join(map(str, values[:4])) + (", ..." if len(values) > 4 else "")
