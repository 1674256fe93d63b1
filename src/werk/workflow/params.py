"""Parameters: from the text a person types, and to and from tagged JSON."""

from __future__ import annotations

import dataclasses
import inspect
import math
import types
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Union, cast, get_args, get_origin, get_type_hints

from werk.core.canonical import JSON
from werk.core.errors import InputError, unknown

_BOOLS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def parse_value(name: str, kind: Any, default: object, text: str | None, fields: Mapping[str, str]) -> object:
    """One parameter: its text, or its default with the given fields of a dataclass replaced."""
    if fields:
        return _with_fields(name, kind, default, fields)
    if text is not None:
        return _read(name, kind, text)
    if default is inspect.Parameter.empty:
        raise InputError(f"The parameter '{name}' is missing.", code="param-missing", hint=f"Add {name}=VALUE.")
    return default


def to_json(value: object) -> JSON:
    """JSON with a tag for what JSON lacks: `{"$date": ...}`, `{"$float": "nan"}`, `{"$class": ..., "fields": ...}`."""
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": repr(float(value))}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, datetime):
        return {"$datetime": _aware(value).isoformat()}
    if isinstance(value, date):
        return {"$date": value.isoformat()}
    if isinstance(value, list | tuple):
        items = [to_json(item) for item in value]
        return items if isinstance(value, list) else {"$tuple": items}
    if isinstance(value, dict) and all(isinstance(key, str) and not key.startswith("$") for key in value):
        return {key: to_json(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        found = {f.name: to_json(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"$class": class_name(type(value)), "fields": found}
    raise InputError(
        f"A value of type {type(value).__qualname__} cannot be kept between steps.",
        code="value-kind",
        hint="Return a frame, JSON values, a frozen dataclass or a model; pickle is not used.",
    )


def from_json(value: JSON, allowed: Iterable[type] = ()) -> object:
    """The value `to_json` wrote; dataclasses only of the `allowed` classes."""
    if isinstance(value, list):
        return [from_json(item, allowed) for item in value]
    if not isinstance(value, dict):
        return value
    if "$datetime" in value:
        return datetime.fromisoformat(str(value["$datetime"]))
    if "$float" in value:
        return float(str(value["$float"]))
    if "$date" in value:
        return date.fromisoformat(str(value["$date"]))
    if "$tuple" in value:
        return tuple(from_json(item, allowed) for item in cast("list[JSON]", value["$tuple"]))
    if "$class" in value:
        return _instance(value, {class_name(cls): cls for cls in allowed}, allowed)
    return {key: from_json(item, allowed) for key, item in value.items()}


def class_name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _instance(value: Mapping[str, JSON], classes: Mapping[str, type], allowed: Iterable[type]) -> object:
    name = str(value["$class"])
    if name not in classes:
        raise unknown("allowed class", name, classes, code="class-refused", hint="Annotate the input with its class.")
    fields = cast("dict[str, JSON]", value["fields"])
    return classes[name](**{key: from_json(item, allowed) for key, item in fields.items()})


def _with_fields(name: str, kind: Any, default: object, given: Mapping[str, str]) -> object:
    if not dataclasses.is_dataclass(kind) or not isinstance(kind, type):
        raise InputError(f"The parameter '{name}' has no fields.", code="param-fields", hint=f"Write {name}=VALUE.")
    hints = get_type_hints(kind)
    values: dict[str, object] = {}
    for key, text in given.items():
        if key not in hints:
            raise unknown(f"field of parameter '{name}'", key, hints, code="param-unknown")
        values[key] = _read(f"{name}.{key}", hints[key], text)
    if default is not inspect.Parameter.empty:
        return dataclasses.replace(cast("Any", default), **values)
    try:
        return kind(**values)
    except TypeError as missing:
        raise InputError(f"The parameter '{name}' is incomplete: {missing}.", code="param-missing") from missing


def _read(name: str, kind: Any, text: str) -> object:
    if get_origin(kind) in (Union, types.UnionType):
        if text.lower() in ("none", "null") and type(None) in get_args(kind):
            return None
        kind = next(part for part in get_args(kind) if part is not type(None))
    try:
        return _finite(name, _convert(kind, text))
    except (ValueError, KeyError) as wrong:
        shown = getattr(kind, "__name__", str(kind))
        raise InputError(
            f"'{_short(text)}' is not a {shown}, which the parameter '{name}' takes.",
            code="param-unreadable",
            hint="Dates are written 2013-01-01, times 2013-01-01T00:00:00+00:00, truth values true or false.",
        ) from wrong


def _finite(name: str, value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        raise InputError(
            f"The parameter '{name}' must be finite and is {value}.", code="param-unreadable", hint="Give it a number."
        )
    return value


def _short(text: str) -> str:
    told = text.encode("utf-8", "backslashreplace").decode()
    return told if len(told) <= 80 else f"{told[:60]}... ({len(told)} characters)"


def _convert(kind: Any, text: str) -> object:
    if kind is bool:
        return _BOOLS[text.lower()]
    if kind is datetime:
        return _aware(datetime.fromisoformat(text))
    if kind is date:
        return date.fromisoformat(text)
    if kind in (int, float):
        return kind(text)
    if kind in (str, Any):
        text.encode()  # half a surrogate pair, as a terminal of another encoding gives it, is no text
        return text
    raise InputError(f"A parameter of type {kind} cannot be typed as text.", code="param-kind", hint="Give it a default.")


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise InputError(
            f"The time {at.isoformat()} has no time zone.", code="time-naive", hint="Add one, e.g. 2013-07-01T00:00:00+00:00."
        )
    return at
