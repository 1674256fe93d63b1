"""Why a column is left out of the features: it teaches nothing, it is an id, or it was hardly known before the outcome."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from werk.data import CONTENT_KEY

# A text of more values than this names things rather than kinds of them, and teaches a model nothing about the next thing.
MOST_VALUES = 64
# Where so many rows of one value all had the outcome, and few rows have it, that value was hardly known before.
ENOUGH_ROWS, RARE = 20, 0.25
# One column that ranks the outcomes so well, alone, is more likely written after them than so good a sign.
TELLING = 0.99
_BINS, _ROWS_A_BIN = 256, 20
_ID = re.compile(r"(?:^|[^a-z])(?:id|uid|udi|uuid|guid|key|index|idx|no|nr|nummer|row|rownum|serial)(?:$|[^a-z])|^$|^unnamed: 0$")
_AFTERWARDS = (
    *("prediction", "predictions", "predicted", "predicts", "outcome", "label", "target", "actual", "resolved", "resolution"),
    *("repair", "repaired", "closed", "settled", "recovered", "postmortem", "diagnosis", "vorhersage", "ergebnis"),
)
Floats = NDArray[np.float64]


def suspects(frame: pl.DataFrame, names: Sequence[str], outcome: pl.Series, task: str) -> dict[str, str]:
    """The columns that should not be features, each with the reason; `outcome` as numbers, classes counted from 0."""
    known, labels = frame.filter(outcome.is_not_null()), outcome.drop_nulls().to_numpy().astype(np.float64)
    why = {name: useless(frame[name]) or _id(frame[name]) or _named(name) for name in names}
    why |= {name: _telling(known[name], labels, task) for name, reason in why.items() if not reason}
    return {name: reason for name, reason in {**why, **_beside(frame, names, why)}.items() if reason}


def useless(series: pl.Series) -> str:
    """Why a column can teach nothing, empty when it can."""
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Boolean)):
        return f"a {str(series.dtype).partition('(')[0].lower()}"
    values = series.n_unique()  # a value that is sometimes missing tells something
    if values < 2:
        return "always the same"
    return f"text of {values:,} values" if series.dtype == pl.String and values > MOST_VALUES else ""


def named_like_an_id(name: str) -> bool:
    """
    >>> [named_like_an_id(name) for name in ("UID", "Product ID", "customerId", "paid", "node")]
    [True, True, True, False, False]
    """
    return bool(_ID.search(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).strip().lower()))


def _id(series: pl.Series) -> str:
    """A number that tells rows apart says where a row stands, not what it is."""
    if series.name in CONTENT_KEY:
        return "a row's own name"
    if not series.dtype.is_integer():
        return ""
    values = series.n_unique()
    if values == len(series) and (named_like_an_id(series.name) or series.is_sorted() or series.is_sorted(descending=True)):
        return "a number that counts the rows"
    return f"an id by its name, {values:,} values" if values > MOST_VALUES and named_like_an_id(series.name) else ""


def _named(name: str) -> str:
    words = set(re.split(r"[^a-z]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower()))
    found = next((word for word in _AFTERWARDS if word in words), None)
    return f"known only afterwards, by its name: '{found}'" if found else ""


def _telling(values: pl.Series, outcome: Floats, task: str) -> str:
    """What a column that tells the outcome by itself gives away, and how."""
    if len(values) < 2 or outcome.min() == outcome.max():
        return ""
    if task == "binary" and (said := _pure(values, outcome == 1)):
        return said
    kind, found = _ranked(values, outcome, task)
    return f"tells the outcome alone: {kind} {found:.3f}" if found >= TELLING else ""


def _pure(values: pl.Series, hit: NDArray[np.bool_]) -> str:
    """A value, or a gap, whose rows all had the rare outcome."""
    rare = hit if hit.mean() <= 0.5 else ~hit
    if rare.mean() > RARE:
        return ""
    told = values if values.n_unique() <= MOST_VALUES else values.is_null()
    by = pl.DataFrame({"value": told, "rare": rare}).group_by("value").agg(pl.len().alias("rows"), pl.col("rare").all())
    found = by.filter(pl.col("rare") & (pl.col("rows") >= ENOUGH_ROWS)).sort("rows", descending=True)
    if found.is_empty():
        return ""
    value, rows, _ = found.row(0)
    where = value if told is values else "missing" if value else "there"
    return f"tells the outcome: where it is {where} ({rows:,} rows), the outcome is always {int(rare is hit)}"


def _ranked(values: pl.Series, outcome: Floats, task: str) -> tuple[str, float]:
    if task == "regression":
        return "R²", max(_r2(_guesses(values, outcome), outcome), _straight(values, outcome))
    if task == "binary":
        return "AUC", max(_auc(_guesses(values, outcome), outcome == 1), _auc_of(values, outcome == 1))
    each = [outcome == one for one in np.unique(outcome)]
    return "AUC", float(np.mean([_auc(_guesses(values, hit.astype(np.float64)), hit) for hit in each]))


def _guesses(values: pl.Series, outcome: Floats) -> Floats:
    """For each row the mean outcome of the rows of its bin, itself and every other half left out."""
    bins, half = _binned(values), np.random.default_rng(0).permutation(len(values)) % 2  # by position rows may alternate
    guess = np.empty(len(values))
    for side in (0, 1):
        learnt = half != side
        sums = np.bincount(bins[learnt], outcome[learnt], minlength=bins.max() + 1)
        rows = np.bincount(bins[learnt], minlength=bins.max() + 1)
        mean = np.where(rows, sums / np.maximum(rows, 1), outcome[learnt].mean())
        guess[~learnt] = mean[bins[~learnt]]
    return guess


def _binned(values: pl.Series) -> NDArray[np.int64]:
    """A number by its rank, anything else by its value; a gap is a bin of its own."""
    from scipy.stats import rankdata

    whole = values.rank("dense") if not values.dtype.is_float() else values.fill_nan(None).rank("dense")
    most = min(_BINS, max(2, len(values) // _ROWS_A_BIN))
    place = whole.fill_null(0).to_numpy().astype(np.int64)
    if values.dtype.is_numeric() and place.max() > most:
        average = rankdata(place)
        place = np.where(place == 0, 0, 1 + (average * most / (len(place) + 1)).astype(np.int64))
    return place


def _auc_of(values: pl.Series, hit: NDArray[np.bool_]) -> float:
    """Of a number as it is, or turned round: a small file has no bins to speak of."""
    if not values.dtype.is_numeric():
        return 0.5
    there = (values.is_not_null() & values.cast(pl.Float64).is_not_nan()).fill_null(False).to_numpy()
    found = _auc(values.cast(pl.Float64).to_numpy()[there], hit[there])
    return max(found, 1 - found)


def _auc(scores: Floats, hit: NDArray[np.bool_]) -> float:
    from scipy.stats import rankdata

    ones, others = int(hit.sum()), int((~hit).sum())
    if not ones or not others:
        return 0.5
    return float((rankdata(scores)[hit].sum() - ones * (ones + 1) / 2) / (ones * others))


def _r2(guess: Floats, outcome: Floats) -> float:
    return float(1 - ((guess - outcome) ** 2).sum() / ((outcome - outcome.mean()) ** 2).sum())


def _straight(values: pl.Series, outcome: Floats) -> float:
    """R² of a line through the values, or through their ranks."""
    from scipy.stats import rankdata

    if not values.dtype.is_numeric():
        return 0.0
    numbers = values.cast(pl.Float64).fill_nan(None)
    there = numbers.is_not_null().to_numpy()
    if there.sum() < len(there) / 2 or not numbers.is_finite().fill_null(True).all():
        return 0.0
    x, y = numbers.to_numpy()[there], outcome[there]
    pairs = ((x, y), (rankdata(x), rankdata(y)))
    return max((float(np.corrcoef(a, b)[0, 1] ** 2) for a, b in pairs if a.std() and b.std()), default=0.0)


def _beside(frame: pl.DataFrame, names: Sequence[str], why: Mapping[str, str]) -> dict[str, str]:
    """A flag in one block with flags that tell the outcome is of their kind, even where it told too little to be caught."""
    flags = [name for name in names if frame[name].drop_nulls().n_unique() == 2 and frame[name].dtype != pl.String]
    told = [name for name in flags if why.get(name, "").startswith("tells the outcome")]
    if len(told) < 2:
        return {}
    at = {name: place for place, name in enumerate(frame.columns)}
    reach = set(range(min(at[one] for one in told) - 1, max(at[one] for one in told) + 2))
    rest = [name for name in flags if not why.get(name) and at[name] in reach and _rare(frame[name])]
    return {name: f"stands with {', '.join(told[:4])}, which tell the outcome" for name in rest}


def _rare(flag: pl.Series) -> bool:
    share = flag.cast(pl.Float64).mean()
    return isinstance(share, float) and min(share, 1 - share) <= RARE
