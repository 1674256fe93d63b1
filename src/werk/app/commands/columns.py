"""What the columns of a file are to a model: its key, its outcome, its features; written as a contract and as Python."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import yaml

from werk.core.errors import InputError, unknown
from werk.data import misfit, read_file

# A text of more values than this names things rather than kinds of them, and teaches a model nothing about the next thing.
MOST_VALUES = 64
# Where so many rows of one value all had the rarer outcome, or one column ranks them so well, it was hardly known before.
ENOUGH_ROWS, TELLING_AUC = 20, 0.99
# A text of which no more than this share is no number was likely meant as a number; one word may stand for what is not known.
FEW_CELLS, ONE_WORD = 0.1, 0.5
CODE = re.compile(r"^TABLE = .*?^CATEGORIES = .*?$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Columns:
    """`left_out` are columns that are no features, each with the reason; `types` are those of the contract.

    `telling` are features that tell the outcome all by themselves: likely they became known with it. `seen` is how small and
    how large each number was; `nearly` are texts that would be numbers but for a few cells, with the first of those.
    """

    source: Path
    table: str
    key: tuple[str, ...]
    target: str
    features: tuple[str, ...]
    categories: tuple[str, ...]
    left_out: tuple[str, ...]
    types: dict[str, str]
    telling: tuple[str, ...] = ()
    seen: tuple[str, ...] = ()
    nearly: tuple[str, ...] = ()


def columns_of(source: Path, target: str | None, key: list[str]) -> Columns:
    """Read the whole file; `InputError` names a column that is missing or cannot be what it was named for."""
    frame, _ = read_file(source)
    _check_target(frame, target)
    _check_key(frame, key)
    assert target is not None
    others = [frame[name] for name in frame.columns if name not in (target, *key)]
    why = {series.name: _useless(series) for series in others}
    features = tuple(name for name, reason in why.items() if not reason)
    if not features:
        raise InputError(f"{source.name} has no column to learn from.", code="features-missing", hint=_listed(why))
    categories = tuple(name for name in features if frame.schema[name] in (pl.String, pl.Boolean))
    left_out = tuple(f"{_on_a_line(name)} ({reason})" for name, reason in why.items() if reason)
    types = {name: _type(frame, name, target, key) for name in (*key, target, *features)}
    telling = tuple(name for name in features if _tells(frame, name, target))
    further = telling, _seen(frame, types), _nearly(others)
    return Columns(source, _table(source), tuple(key), target, features, categories, left_out, types, *further)


def _check_target(frame: pl.DataFrame, target: str | None) -> None:
    if target is None:
        found = [series.name for series in frame if _binary(series)]
        hint = f"It could be: {', '.join(found[:8])}." if found else "No column has 1 and 0 only: add one."
        raise InputError("It is not said which column is to be predicted (--target).", code="target-unnamed", hint=hint)
    if target not in frame.columns:
        raise unknown("column", target, frame.columns, code="column-unknown")
    if not _binary(frame[target]):
        values = frame[target].drop_nulls().unique().sort().to_list()
        shown = ", ".join(map(str, values[:4])) + (", ..." if len(values) > 4 else "")
        hint = "Write 1 (or true) for what is to be predicted and 0 for everything else; leave unknown outcomes empty."
        raise InputError(f"The outcome '{target}' is {shown or 'empty'}, not 1 and 0.", code="target-not-binary", hint=hint)


def _binary(series: pl.Series) -> bool:
    """1 and 0 (as numbers or booleans), and both of them."""
    return not series.dtype.is_nested() and series.drop_nulls().unique().sort().to_list() in ([0, 1], [False, True])


def _check_key(frame: pl.DataFrame, key: list[str]) -> None:
    for name in key:
        if name not in frame.columns:
            raise unknown("column", name, frame.columns, code="column-unknown")
    if not key:
        raise InputError("It is not said which column tells rows apart (--key).", code="key-unnamed", hint=_would_do(frame))
    rows = frame.select(key)
    bad = rows.filter(pl.any_horizontal(pl.all().is_null()) | rows.is_duplicated())
    if len(bad):
        said = f"The key ({', '.join(key)}) is null or not unique: {bad.row(0)}."
        raise InputError(said, code="key-tie", hint=_would_do(frame))


def _would_do(frame: pl.DataFrame) -> str:
    named = [series for series in frame if series.dtype.is_integer() or series.dtype in (pl.String, pl.Date)]
    found = [series.name for series in named if not series.null_count() and series.n_unique() == len(frame)]
    return f"It could be: {', '.join(found[:8])}." if found else "No single column does; add a number to each row if need be."


def _useless(series: pl.Series) -> str:
    """Why a column is no feature, empty when it can be one."""
    if not (series.dtype.is_numeric() or series.dtype in (pl.String, pl.Boolean)):
        return f"a {str(series.dtype).partition('(')[0].lower()}"
    values = series.n_unique()  # a value that is sometimes missing tells something
    if values < 2:
        return "always the same"
    return f"text of {values:,} values" if series.dtype == pl.String and values > MOST_VALUES else ""


def _nearly(columns: list[pl.Series]) -> tuple[str, ...]:
    """One cell that is no number makes a text of all the others, and so does one word for what is not known."""
    texts = [series.drop_nulls() for series in columns if series.dtype == pl.String]
    odd = {text.name: text.filter(text.cast(pl.Float64, strict=False).is_null()) for text in texts}
    most = {text.name: len(text) * (ONE_WORD if odd[text.name].n_unique() == 1 else FEW_CELLS) for text in texts}
    few = [series for series in columns if series.name in odd and 0 < len(odd[series.name]) <= most[series.name]]
    return tuple(f"{_on_a_line(one.name)} ({misfit(one, 'number')})" for one in few)


def _tells(frame: pl.DataFrame, name: str, target: str) -> bool:
    known = frame.select(value=name, outcome=pl.col(target).cast(pl.Float64)).drop_nulls("outcome")
    if known["value"].n_unique() <= MOST_VALUES:
        return _pure(known)
    return _pure(known.with_columns(pl.col("value").is_null())) or _ranks(known.drop_nulls()) >= TELLING_AUC


def _pure(known: pl.DataFrame) -> bool:
    """Whether all rows of some value, and enough of them, had the rarer outcome."""
    ones = known["outcome"].to_numpy().mean()
    told = known.group_by("value").agg(pl.len().alias("rows"), (pl.col("outcome") == float(ones < 0.5)).all().alias("all"))
    return not told.filter(pl.col("all") & (pl.col("rows") >= ENOUGH_ROWS)).is_empty()


def _ranks(known: pl.DataFrame) -> float:
    """The AUC of a column as it is, or turned round; 0.5 where one outcome is missing."""
    hit = known["outcome"].to_numpy() == 1
    ones, others = int(hit.sum()), int((~hit).sum())
    if not ones or not others:
        return 0.5
    auc = (known["value"].cast(pl.Float64).rank().to_numpy()[hit].sum() - ones * (ones + 1) / 2) / (ones * others)
    return float(max(auc, 1 - auc))


def _type(frame: pl.DataFrame, name: str, target: str, key: list[str]) -> str:
    """The ODCS type; a measured value is a number although all of today's are whole."""
    dtype = frame.schema[name]
    if dtype.is_integer() and name in (target, *key):
        return "integer"
    named = {pl.String: "string", pl.Boolean: "boolean", pl.Date: "date"}
    return next((word for kind, word in named.items() if dtype == kind), "number" if dtype.is_numeric() else "timestamp")


def _seen(frame: pl.DataFrame, types: dict[str, str]) -> tuple[str, ...]:
    numbers = [frame[name].cast(pl.Float64) for name, kind in types.items() if kind == "number"]
    ranges = [(one.name, one.filter(one.is_finite()).to_numpy()) for one in numbers]
    return tuple(f"{_on_a_line(name)}: {found.min():g} to {found.max():g}" for name, found in ranges if len(found))


def _on_a_line(text: str) -> str:
    """As it may stand in a comment."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _table(source: Path) -> str:
    word = re.sub(r"[^a-z0-9]+", "_", source.stem.lower()).strip("_")
    return f"raw.{word if re.match('[a-z]', word) else f'rows_{word}'.rstrip('_')}"


def as_code(columns: Columns) -> str:
    """The constants at the top of the template's pipelines."""
    lines = [
        f"TABLE = {_text(columns.table)}",
        f"KEY = {_tuple(columns.key)}  # tells every row apart",
        f"TARGET = {_text(columns.target)}  # 1 or 0; empty where nobody knows yet",
        "# Nothing that is known only afterwards belongs here: a model would learn from it and fail when it counts.",
        f"FEATURES = {_tuple(columns.features)}",
        *([f"# Left out: {', '.join(columns.left_out)}."] if columns.left_out else []),
        f"CATEGORIES = {_tuple(columns.categories)}",
    ]
    return "\n".join(lines)


def as_contract(columns: Columns, owner: str = "") -> str:
    """An ODCS 3.1 contract: types, a key that is unique, an outcome of two values. Ranges are yours to add."""
    properties = [_property(name, kind, columns) for name, kind in columns.types.items()]
    name = columns.table.partition(".")[2]
    tree = {
        "apiVersion": "v3.1.0",
        "kind": "DataContract",
        "id": name.replace("_", "-"),
        "version": "1.0.0",
        "status": "active",
        "description": {"purpose": f"The rows of {columns.source.name}, as they were when the use case began."},
        "customProperties": [{"property": "zone", "value": "raw"}],
        "schema": [{"name": name, "physicalType": "table", "properties": properties}],
    }
    return _to_judge(columns) + yaml.safe_dump(tree, sort_keys=False, allow_unicode=True)


def _to_judge(columns: Columns) -> str:
    """What was there is not what may be there, so it is no rule until somebody makes it one."""
    lines = [
        "No range is checked yet, so 1e300 would land unsaid. Judge what was seen, and write what may be to the column, as in",
        "logicalTypeOptions: {minimum: 0, maximum: 100}. Seen:",
        *(f"  {one}" for one in columns.seen),
    ]
    return "".join(f"# {line}\n" for line in lines) if columns.seen else ""


def _property(name: str, kind: str, columns: Columns) -> dict[str, object]:
    made: dict[str, object] = {"name": name, "logicalType": kind}
    if name in columns.key:
        made["primaryKey"] = True
    if name == columns.target and kind != "boolean":
        made["logicalTypeOptions"] = {"minimum": 0, "maximum": 1}
    return made


def _tuple(names: tuple[str, ...]) -> str:
    if len(line := ", ".join(map(_text, names))) < 80:
        return f"({line},)" if names else "()"
    return "(\n" + "".join(f"    {_text(name)},\n" for name in names) + ")"


def _text(name: str) -> str:
    """As Python source in double quotes."""
    quoted = repr(name)
    return '"' + quoted[1:-1].replace("\\'", "'") + '"' if '"' not in name else quoted


def _listed(why: dict[str, str]) -> str:
    return "Left out: " + ", ".join(f"{name} ({reason})" for name, reason in why.items()) + "." if why else "Add some."
