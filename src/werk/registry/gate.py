"""What a model must show before it may be registered, as declared in `gate.toml`."""

from __future__ import annotations

import math
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from werk.core.canonical import digest_of
from werk.core.errors import InputError, unknown
from werk.core.nouns import Assurance

Side = Literal["value", "low", "high"]
Table = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Bound:
    """A metric's least and greatest value, both still allowed; `on` its value or an end of its interval.

    A slice or group with fewer than `min_rows` rows is too small to be held to it.
    """

    metric: str
    min: float | None = None
    max: float | None = None
    on: Side = "value"
    min_rows: int = 0


@dataclass(frozen=True, slots=True)
class Required:
    """Golden points or behaviour tests: all in the report pass, `names` are among them, and there are at least `least`."""

    names: tuple[str, ...] = ()
    least: int = 1


@dataclass(frozen=True, slots=True)
class NotWorse:
    """The challenger's metric is at most `tolerance` worse than the champion's on the same rows."""

    metric: str
    tolerance: float = 0.0
    higher_is_better: bool = True
    on: Side = "value"


@dataclass(frozen=True, slots=True)
class Gate:
    """What a model must show to be registered, as `gate.toml` says it; `Gate.load(path)` reads and checks one.

    `assurance` is the least sureness the approval needs; `allow_unchecked` lets rules pass that found no input.

    ```toml gate.toml
    [metrics.auc]
    min = 0.72
    on = "low"                        # the lower end of its interval; default "value"
    [golden]
    required = true                   # or the names of points that must be there
    [behaviour]
    required = ["more-rain-is-later"]
    [slices.auc]
    min = 0.60                        # in every slice that has the metric
    min_rows = 200                    # and at least so many rows; default 0
    [bias.accuracy_difference]
    max = 0.1
    [calibration]
    metric = "ece"
    max = 0.05
    [champion]
    metric = "auc"                    # of errors (mae, rmse, mape, log_loss, brier, ece) less is better
    tolerance = 0.005
    [latency.p95_ms]
    max = 0.5                         # milliseconds for one row
    [approval]
    assurance = "local"               # local-self | local | oidc
    ```
    """

    metrics: tuple[Bound, ...] = ()
    golden: Required | None = None
    behaviour: Required | None = None
    slices: tuple[Bound, ...] = ()
    bias: tuple[Bound, ...] = ()
    calibration: Bound | None = None
    champion: NotWorse | None = None
    latency: tuple[Bound, ...] = ()
    allow_unchecked: bool = False
    assurance: Assurance = "local-self"

    @classmethod
    def load(cls, path: Path | str) -> Gate:
        """The gate in a TOML file; `InputError` names a wrong key, a threshold that is no number, or a gate without rules."""
        return cls.of(_read(Path(path)))

    @classmethod
    def of(cls, table: Table) -> Gate:
        """The gate of a parsed `gate.toml`."""
        _check_keys(table, _SECTIONS, "gate.toml")
        gate = cls(
            metrics=_bounds(table, "metrics"),
            golden=_required(table, "golden"),
            behaviour=_required(table, "behaviour"),
            slices=_bounds(table, "slices"),
            bias=_bounds(table, "bias"),
            calibration=_calibration(table),
            champion=_champion(table),
            latency=_bounds(table, "latency"),
            allow_unchecked=_flag(table, "allow_unchecked", False, "gate.toml"),
            assurance=_assurance(table),
        )
        if not any(getattr(gate, name) for name in _RULES):
            raise InputError(
                "This gate has no rule, so it would let everything pass.", code="gate-empty", hint="Add [metrics.auc]."
            )
        return gate

    @property
    def sha256(self) -> str:
        """Of its rules, so that comments and line ends in the file do not count."""
        return digest_of(asdict(self))


_RULES = ("metrics", "golden", "behaviour", "slices", "bias", "calibration", "champion", "latency")
_SECTIONS = (*_RULES, "approval", "allow_unchecked")
_UNIT = ("auc", "accuracy", "brier", "ece", "macro_f1", "f1", "precision", "recall")  # never below 0 or above 1
_ERRORS = ("mae", "rmse", "mape", "log_loss", "brier", "ece", "baseline_mae", "baseline_rmse")  # never below 0, less is better


def _read(path: Path) -> Table:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(
            f"There is no gate at {path}.", code="gate-missing", hint="Write gate.toml with [metrics.auc]."
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as broken:
        raise InputError(f"{path.name} is not TOML: {broken}.", code="gate-malformed", hint="Mend it and try again.") from None


def _bounds(table: Table, section: str) -> tuple[Bound, ...]:
    named = _section(table, section) or {}
    return tuple(_bound(metric, _section(named, metric, f"{section}.{metric}") or {}, f"{section}.{metric}") for metric in named)


def _bound(metric: str, table: Table, where: str) -> Bound:
    many = where.startswith(("slices.", "bias."))
    _check_keys(table, ("min", "max", "on", *(("min_rows",) if many else ())), where)
    least, most = (_number(table, side, where) if side in table else None for side in ("min", "max"))
    if least is None and most is None:
        raise _malformed(f"[{where}] has neither 'min' nor 'max'", "Say how low or high the metric may be.")
    if least is not None and most is not None and least > most:
        raise _malformed(f"[{where}] has a 'min' above its 'max'", "No value can pass: swap them.")
    if metric in _UNIT and (least is None or least < 0) and (most is None or most > 1):
        raise _harmless(f"[{where}]", f"'{metric}' lies between 0 and 1: set a bound that it can miss.")
    if metric in _ERRORS and (least is None or least <= 0) and most is None:
        raise _harmless(f"[{where}]", f"'{metric}' is an error, never below 0: say how large it may be (max).")
    if metric == "r2" and least is None and most is not None and most >= 1:
        raise _harmless(f"[{where}]", "'r2' is never above 1: say how large it must be (min).")
    return Bound(metric, least, most, _on(table, where), _count(table, "min_rows", 0, where))


def _required(table: Table, section: str) -> Required | None:
    found = _section(table, section)
    if found is None:
        return None
    _check_keys(found, ("required", "least"), section)
    named, least = found.get("required", True), _count(found, "least", 1, section)
    if isinstance(named, bool) and not named:
        return None
    if named in (True, []) and least == 0:
        raise _harmless(f"[{section}] with 'least' 0", "Set 'least' to 1 or more, or name what must be there.")
    if isinstance(named, bool):
        return Required((), least)
    if not isinstance(named, list) or not all(isinstance(name, str) for name in named):
        raise _malformed(f"'required' in [{section}] is neither true nor a list of names", 'Write required = true or ["a", "b"].')
    return Required(tuple(named), least)


def _calibration(table: Table) -> Bound | None:
    found = _section(table, "calibration")
    if found is None:
        return None
    _check_keys(found, ("metric", "min", "max", "on"), "calibration")
    return _bound(_word(found, "metric", "calibration", "ece"), {k: v for k, v in found.items() if k != "metric"}, "calibration")


def _champion(table: Table) -> NotWorse | None:
    found = _section(table, "champion")
    if found is None:
        return None
    _check_keys(found, ("metric", "tolerance", "higher_is_better", "on"), "champion")
    if "metric" not in found:
        raise _malformed("[champion] does not say which 'metric' to compare", 'Write metric = "auc".')
    tolerance = _number(found, "tolerance", "champion") if "tolerance" in found else 0.0
    if tolerance < 0:
        raise _malformed("'tolerance' in [champion] is below zero", "Say by how much the challenger may be worse.")
    metric = _word(found, "metric", "champion", "")
    higher = _flag(found, "higher_is_better", metric not in _ERRORS, "champion")
    return NotWorse(metric, tolerance, higher, _on(found, "champion"))


def _assurance(table: Table) -> Assurance:
    found = _section(table, "approval") or {}
    _check_keys(found, ("assurance",), "approval")
    said = _word(found, "assurance", "approval", "local-self")
    for known in get_args(Assurance):
        if said == known:
            chosen: Assurance = known
            return chosen
    raise unknown("assurance", said, get_args(Assurance), code="gate-assurance-unknown")


def _on(table: Table, where: str) -> Side:
    said = _word(table, "on", where, "value")
    for known in get_args(Side):
        if said == known:
            chosen: Side = known
            return chosen
    raise unknown(f"side of a metric for [{where}]", said, get_args(Side), code="gate-side-unknown")


def _section(table: Table, name: str, where: str = "") -> Table | None:
    found = table.get(name)
    if found is None or isinstance(found, dict):
        return found
    raise _malformed(f"[{where or name}] is not a table", f"Write it as [{where or name}] with keys below.")


def _check_keys(table: Table, known: Iterable[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise unknown(f"key of {where if where.endswith('.toml') else f'[{where}]'}", key, known, code="gate-key-unknown")


def _number(table: Table, key: str, where: str) -> float:
    value = table[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise _malformed(f"'{key}' in [{where}] is not a finite number", f"Write {key} = 0.5.")
    return float(value)


def _count(table: Table, key: str, default: int, where: str) -> int:
    value = table.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _malformed(f"'{key}' in [{where}] is not a count", f"Write {key} = 1.")
    return value


def _word(table: Table, key: str, where: str, default: str) -> str:
    value = table.get(key, default)
    if not isinstance(value, str):
        raise _malformed(f"'{key}' in [{where}] is not text", f'Write {key} = "...".')
    return value


def _flag(table: Table, key: str, default: bool, where: str) -> bool:
    value = table.get(key, default)
    if not isinstance(value, bool):
        raise _malformed(f"'{key}' in {where} is neither true nor false", f"Write {key} = true.")
    return value


def _harmless(rule: str, hint: str) -> InputError:
    return InputError(f"{rule} would let every model pass.", code="gate-harmless", hint=hint)


def _malformed(what: str, hint: str) -> InputError:
    return InputError(f"{what}.", code="gate-malformed", hint=hint)
