"""A contract says what a table's rows must be; compiled, it is one pass over them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import polars as pl
import polars.selectors as cs
import yaml

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError, unknown
from werk.data.content_key import CONTENT_KEY, with_content_key

Severity = Literal["required", "warning"]
RuleKind = Literal["not_null", "unique", "range", "allowed", "pattern", "reference", "finite"]

# ODCS logical types; a whole column is parsed or the landing is refused, never cast value by value.
_TYPES: Mapping[str, tuple[type[pl.DataType], ...]] = {
    "string": (pl.String,),
    "integer": (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32),
    "number": (pl.Float32, pl.Float64, pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.Decimal),
    "boolean": (pl.Boolean,),
    "date": (pl.Date,),
    "timestamp": (pl.Datetime,),
    "time": (pl.Time,),
    "array": (pl.List, pl.Array),
    "object": (pl.Struct,),
}
# A time of day with a zone: the end of a mere date (2026-01-02) looks like one.
ZONED = r"[T ]\d{2}.*(?:[zZ]|[+-]\d{2}(?::?\d{2})?)$"


@dataclass(frozen=True, slots=True)
class Rule:
    """One thing a row must be. Rows breaking a `required` rule are quarantined, rows breaking a `warning` are counted."""

    name: str
    kind: RuleKind
    columns: tuple[str, ...]
    severity: Severity
    low: float | None = None
    high: float | None = None
    allowed: tuple[str | int | float, ...] = ()
    pattern: str = ""
    table: str = ""
    column: str = ""

    @property
    def implied(self) -> bool:
        """Nobody wrote it, so it is told of only where a row breaks it."""
        return self.kind == "finite"


@dataclass(frozen=True, slots=True)
class Contract:
    """`columns` maps a column's name to its ODCS logical type, empty where the contract leaves it open."""

    table: str
    version: str
    owner: str
    description: str
    columns: Mapping[str, str]
    rules: tuple[Rule, ...]
    sha256: str
    file: str = field(default="", compare=False)
    later: tuple[str, ...] = ()  # outcomes, which a delivery may come without
    content: tuple[str, ...] = ()  # the columns that a row's key is made of, where it has none of its own

    @property
    def references(self) -> tuple[str, ...]:
        return tuple(sorted({rule.table for rule in self.rules if rule.kind == "reference"}))


def load_contract(path: Path) -> Contract:
    """The contract in an ODCS 3.1 file (https://bitol-io.github.io/open-data-contract-standard); `InputError` when it is none."""
    try:
        text = path.read_text(encoding="utf-8")
        tree = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"There is no contract at {path.name}.", code="contract-missing", hint="Check its path.") from None
    except OSError as closed:
        raise InputError(f"{path} cannot be read: {closed.strerror}.", code="contract-missing", hint="Check its path.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as broken:
        first = str(broken).splitlines()[0]
        raise InputError(f"{path.name} is not YAML: {first}.", code="contract-malformed", hint="Mend the file.") from None
    _check_standard(tree, path.name)
    schema = tree["schema"][0]
    properties: list[dict[str, Any]] = schema.get("properties") or []
    zone = str(_custom(tree).get("zone", "raw"))
    return Contract(
        table=f"{zone}.{schema['name']}",
        version=str(tree["version"]),
        owner=_owner(tree),
        description=str((tree.get("description") or {}).get("purpose", "")),
        columns={p["name"]: p.get("logicalType") or "" for p in properties},
        rules=tuple(_rules(properties, zone, path.name)),
        sha256=sha256_hex(text.replace("\r\n", "\n")),
        file=path.name,
        later=tuple(p["name"] for p in properties if _custom(p).get("arrivesLater")),
        content=tuple(_custom(schema).get("contentKey") or ()),
    )


def _custom(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {one.get("property"): one.get("value") for one in entry.get("customProperties") or []}


def _check_standard(tree: object, name: str) -> None:
    # Imported here because the standard's model costs 0.2 s of start-up that no other command needs.
    from open_data_contract_standard.model import OpenDataContractStandard
    from pydantic import ValidationError

    if not isinstance(tree, dict) or not tree.get("schema"):
        raise InputError(
            f"{name} holds no ODCS contract.", code="contract-malformed", hint="It needs kind, apiVersion and schema."
        )
    try:
        OpenDataContractStandard.model_validate(tree)
    except ValidationError as wrong:
        first = wrong.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(
            f"{name} is no valid ODCS contract: {where}: {first['msg']}.", code="contract-malformed", hint="Mend that entry."
        ) from None
    if not str(tree.get("apiVersion", "")).startswith("v3."):
        raise InputError(f"{name} has apiVersion {tree.get('apiVersion')}.", code="contract-version", hint="Write ODCS v3.1.0.")
    if len(tree["schema"]) != 1:
        raise InputError(
            f"{name} describes {len(tree['schema'])} tables.", code="contract-malformed", hint="One file, one table."
        )
    _check_named(tree, name)


def _check_named(tree: Mapping[str, Any], name: str) -> None:
    """What the standard leaves open and a table cannot do without."""
    properties = tree["schema"][0].get("properties") or []
    for what, entry, key in [("It", tree, "version"), ("Its schema", tree["schema"][0], "name"), *_entries(properties)]:
        if not entry.get(key):
            raise InputError(f"{name}: {what} has no {key}.", code="contract-malformed", hint=f"Write its {key}.")
    for prop in properties:
        if (kind := prop.get("logicalType")) and kind not in _TYPES:
            raise unknown("logical type", kind, _TYPES, code="contract-type")


def _entries(properties: Sequence[dict[str, Any]]) -> list[tuple[str, dict[str, Any], str]]:
    return [(f"Property {at}", prop, "name") for at, prop in enumerate(properties, 1)]


def _owner(tree: Mapping[str, Any]) -> str:
    team = tree.get("team") or {}
    members = team.get("members") if isinstance(team, dict) else team
    return next((m["username"] for m in members or [] if m.get("role") == "owner"), "")


def _rules(properties: Sequence[dict[str, Any]], zone: str, file: str) -> list[Rule]:
    keys = tuple(p["name"] for p in properties if p.get("primaryKey"))
    rules = [Rule(f"unique({', '.join(keys)})", "unique", keys, "required")] if keys else []
    for prop in properties:
        own = _declared(prop, zone) + [_checked(prop["name"], quality, file) for quality in prop.get("quality") or []]
        rules += [*own, *_implied(prop, own)]
    return rules


def _implied(prop: Mapping[str, Any], own: Sequence[Rule]) -> list[Rule]:
    """What nobody needs to write: a number is finite. NaN is no gap, so `not_null` alone would let it in."""
    if prop.get("logicalType") not in (None, "", "number"):
        return []
    name, needed = prop["name"], any(rule.kind == "not_null" and rule.severity == "required" for rule in own)
    return [Rule(f"finite({name})", "finite", (name,), "required" if needed else "warning")]


def _declared(prop: Mapping[str, Any], zone: str) -> list[Rule]:
    """What the property itself says: required, unique, options of its type, references."""
    name, options = prop["name"], prop.get("logicalTypeOptions") or {}
    rules = []
    if prop.get("required") or prop.get("primaryKey"):
        rules.append(Rule(f"not_null({name})", "not_null", (name,), "required"))
    if prop.get("unique"):
        rules.append(Rule(f"unique({name})", "unique", (name,), "required"))
    if "minimum" in options or "maximum" in options:
        low, high = options.get("minimum"), options.get("maximum")
        rules.append(Rule(f"range({name})", "range", (name,), "required", low=low, high=high))
    if "pattern" in options:
        rules.append(Rule(f"pattern({name})", "pattern", (name,), "required", pattern=options["pattern"]))
    for relation in prop.get("relationships") or []:
        table, _, column = str(relation["to"]).rpartition(".")
        rules.append(Rule(f"reference({name})", "reference", (name,), "warning", table=f"{zone}.{table}", column=column))
    return rules


def _checked(name: str, quality: Mapping[str, Any], file: str) -> Rule:
    """A library metric of the standard: `nullValues`, `duplicateValues`, `invalidValues`."""
    severity: Severity = "warning" if quality.get("severity") == "warning" else "required"
    metric, given = quality.get("metric") or quality.get("rule"), quality.get("arguments") or {}
    if metric in ("nullValues", "missingValues"):
        return Rule(f"not_null({name})", "not_null", (name,), severity)
    if metric == "duplicateValues":
        return Rule(f"unique({name})", "unique", (name,), severity)
    if metric == "invalidValues" and "validValues" in given:
        return Rule(f"allowed({name})", "allowed", (name,), severity, allowed=tuple(given["validValues"]))
    if metric == "invalidValues" and "pattern" in given:
        return Rule(f"pattern({name})", "pattern", (name,), severity, pattern=given["pattern"])
    raise InputError(
        f"{file} asks for the metric '{metric}' on '{name}', which cannot be checked.",
        code="contract-metric",
        hint="Known: nullValues, missingValues, duplicateValues, invalidValues with validValues or pattern.",
    )


def conform(contract: Contract, frame: pl.DataFrame) -> pl.DataFrame:
    """The frame with the contract's types: ISO text becomes UTC times; another type is an `InputError` naming the column."""
    made = CONTENT_KEY if contract.content else ()
    frame = frame.with_columns(pl.lit(None).alias(name) for name in contract.later if name not in frame.columns)
    for name in contract.columns:
        if name not in frame.columns and name not in made:
            near = difflib.get_close_matches(name, frame.columns, n=1)
            raise InputError(
                f"{contract.file or contract.table} names the column '{name}', which the data lacks."
                + (f" Did you mean '{near[0]}'?" if near else ""),
                code="column-missing",
                hint=f"The data has: {', '.join(frame.columns[:20])}.",
            )
    typed = frame.with_columns(_typed(contract, frame[name]) for name in contract.columns if name not in made)
    return with_content_key(typed, contract.content) if made else typed


def _typed(contract: Contract, series: pl.Series) -> pl.Series:
    wanted = contract.columns[series.name]
    if not wanted:
        return series
    if wanted == "timestamp":
        return _utc(contract, series)
    if _nothing_in(series):
        return series.cast(_TYPES[wanted][0])
    if wanted == "string" and isinstance(series.dtype, pl.Categorical | pl.Enum):
        return series.cast(pl.String)
    if not isinstance(series.dtype, _TYPES[wanted]):
        raise _changed(contract, series, wanted)
    return series


def _nothing_in(series: pl.Series) -> bool:
    """Without a value there is no type to be wrong: a CSV column that is empty from top to bottom is read as text."""
    return series.dtype == pl.Null or (series.dtype == pl.String and series.null_count() == len(series))


def _utc(contract: Contract, series: pl.Series) -> pl.Series:
    if _nothing_in(series):
        return series.cast(pl.Datetime("us", "UTC"))
    if series.dtype == pl.String:
        if not series.str.contains(ZONED).all():
            raise _changed(contract, series, "timestamp, ISO 8601 with a zone")
        try:
            return series.str.to_datetime(time_unit="us", time_zone="UTC", strict=True)
        except (pl.exceptions.InvalidOperationError, pl.exceptions.ComputeError):
            raise _changed(contract, series, "timestamp, ISO 8601 with a zone") from None
    if isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone:
        return series.dt.convert_time_zone("UTC").dt.cast_time_unit("us")
    raise _changed(contract, series, "timestamp with a time zone")


def _changed(contract: Contract, series: pl.Series, wanted: str) -> InputError:
    where = misfit(series, wanted)
    return InputError(
        f"Column '{series.name}' of {contract.table} is {series.dtype}, the contract says {wanted}{where and f': {where}'}.",
        code="type-changed",
        hint="Mend the source, or change the contract if the new type is meant.",
    )


def misfit(series: pl.Series, wanted: str) -> str:
    """The first value that is none of the wanted numbers, "row 17 has 'abc'", rows counted from 1; empty where all are."""
    odd = _no_numbers(series, wanted).arg_true()
    if not len(odd):
        return ""
    text = repr(series[int(odd[0])])
    shown = text if len(text) <= 60 else f"{text[:60]}..."
    return f"row {int(odd[0]) + 1:,} has {shown}" + (f", the first of {len(odd):,} such" if len(odd) > 1 else "")


def _no_numbers(series: pl.Series, wanted: str) -> pl.Series:
    """Where a value, if there is one, is no such number; nowhere if no number is wanted."""
    if series.dtype == pl.String and wanted in ("integer", "number"):
        return series.cast(pl.Int64 if wanted == "integer" else pl.Float64, strict=False).is_null() & series.is_not_null()
    if series.dtype.is_float() and wanted == "integer":
        return (series != series.round()).fill_null(False) | (~series.is_finite()).fill_null(False)
    return pl.Series([False] * len(series), dtype=pl.Boolean)


def marks(contract: Contract, frame: pl.DataFrame, referenced: Mapping[str, pl.DataFrame]) -> pl.DataFrame:
    """One column a rule, named by its place in the contract: true where a row breaks it. One pass over the rows."""
    try:
        return frame.select(broken(rule, referenced).alias(str(at)) for at, rule in enumerate(contract.rules))
    except (pl.exceptions.PolarsError, TypeError):
        _check_each(contract, frame, referenced)
        raise


def _check_each(contract: Contract, frame: pl.DataFrame, referenced: Mapping[str, pl.DataFrame]) -> None:
    """The pass over all rules does not say which of them it stumbled on."""
    for rule in contract.rules:
        try:
            frame.select(broken(rule, referenced))
        except (pl.exceptions.PolarsError, TypeError) as wrong:
            first = str(wrong).partition("\n")[0].rstrip(".")
            raise InputError(
                f"{contract.file or contract.table}: {rule.name} cannot be checked on {frame.schema[rule.columns[0]]}: {first}.",
                code="contract-rule",
                hint="Mend the rule, or the type of its column.",
            ) from None


def broken(rule: Rule, referenced: Mapping[str, pl.DataFrame]) -> pl.Expr:
    """True for each row that breaks the rule; a null breaks `not_null` only, NaN `finite` only."""
    column = pl.col(rule.columns[0])
    match rule.kind:
        case "not_null":
            return column.is_null()
        case "finite":
            # Of a column without a type it is asked where it holds floats: the text 'NaN' is a word.
            floats = cs.by_name(rule.columns[0]) & cs.float()
            return column.is_not_null() & ~pl.all_horizontal(column.is_not_null(), floats.is_finite())
        case "unique":
            keys = pl.struct(rule.columns)
            return keys.is_duplicated() & pl.all_horizontal(pl.col(name).is_not_null() for name in rule.columns)
        case "range":
            low, high, column = rule.low, rule.high, column.fill_nan(None)
            outside = pl.lit(False) if low is None else column < low
            return (outside if high is None else outside | (column > high)).fill_null(False)
        case "allowed":
            return ~column.is_in(list(rule.allowed)).fill_null(True)
        case "pattern":
            return ~column.str.contains(rule.pattern).fill_null(True)
        case "reference":
            known = referenced[rule.table].get_column(rule.column).unique()
            # A row that names nothing refers to nothing: it is counted with those that name what is not there.
            return ~column.is_in(known.implode()).fill_null(False)
