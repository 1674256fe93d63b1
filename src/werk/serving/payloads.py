"""The two wire formats clients already speak: Open Inference Protocol v2 and MLflow's invocations."""

from __future__ import annotations

import heapq
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from werk.core.errors import InputError, unknown
from werk.serving.signature import Signature, shown

OUTPUTS = ("score", "prediction_id")
_WIDTHS = {"FP16": "<e", "FP32": "<f", "FP64": "<d"}
_SIGNED = {f"INT{bits}": (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1) for bits in (8, 16, 32, 64)}
_RANGES = {**_SIGNED, **{f"UINT{bits}": (0, 2**bits - 1) for bits in (8, 16, 32, 64)}}
_WHOLE = tuple(_RANGES)
DATATYPES = ("BOOL", "BYTES", *_WIDTHS, *_WHOLE)
_INFINITE = float("inf")
_LIMIT_ROWS = 10_000
_LIMIT_ID = 256  # it stands in the log with every row


@dataclass(frozen=True, slots=True)
class Request:
    """`count` rows by column; `id` is the caller's, given back in the answer with the `outputs` that were asked for."""

    columns: dict[str, list[object]]
    count: int
    id: str | None = None
    outputs: tuple[str, ...] = OUTPUTS


def parse_json(body: bytes) -> dict[str, Any]:
    """The body's object; NaN, infinities, broken UTF-8 and nesting beyond 1,024 levels are refused by the parser."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as broken:
        raise InputError(
            f"The body is not JSON: {broken}.", code="json-malformed", hint="Send null for NaN or infinity."
        ) from None
    if not isinstance(value, dict):
        raise _shape("The body must be a JSON object.")
    return value


def invocation(body: dict[str, Any], signature: Signature) -> Request:
    """Rows of an MLflow request: exactly one of dataframe_split, dataframe_records, instances, inputs."""
    present = [name for name in _INVOCATIONS if name in body]
    if len(present) != 1:
        named = ", ".join(repr(name[:80]) for name in list(body)[:5]) or "nothing"
        said = f"has {' and '.join(present) or named}"
        raise InputError(f"The body {said[:200]}.", code="payload-shape", hint=f"Send exactly one of {', '.join(_INVOCATIONS)}.")
    return _limited(_INVOCATIONS[present[0]](body[present[0]], signature))


def inference(body: dict[str, Any], signature: Signature) -> Request:
    """Rows of an Open Inference Protocol v2 request: one tensor a feature, or one (n, k) tensor of all features."""
    tensors, asked = body.get("inputs"), body.get("id")
    if not isinstance(tensors, list) or not tensors or not all(isinstance(t, dict) for t in tensors):
        raise _shape("'inputs' must be a list of tensors.")
    if asked is not None and not (isinstance(asked, str) and len(asked) <= _LIMIT_ID):
        raise _shape(f"'id' must be text of at most {_LIMIT_ID} characters.")
    _check_plain(body)
    signature.check_width(len(tensors), "tensors")
    only, outputs = tensors[0], _outputs(body.get("outputs"), signature)
    if len(tensors) == 1 and only.get("name") not in signature.features and _rank(only) == 2:
        data = _tensor(only, signature)
        width = only["shape"][1]
        rows = [data[at : at + width] for at in range(0, len(data), width)] if width else []
        return _limited(_from_lists(list(signature.features), rows, asked, outputs))
    _check_once([_name(tensor) for tensor in tensors])
    return _limited(_from_columns({_name(t): _column(t, signature) for t in tensors}, asked, outputs))


def _check_plain(about: dict[str, Any]) -> None:
    parameters = about.get("parameters", {})
    if not isinstance(parameters, dict):
        raise _shape("'parameters' must be a JSON object.")
    if any(name.startswith("binary_data") and value is not False for name, value in parameters.items()):
        raise _shape("Binary tensors are neither read nor written.")


def _outputs(asked: object, signature: Signature) -> tuple[str, ...]:
    """Which outputs the caller wants: all, unless they are named."""
    there = (*OUTPUTS, "class") if signature.classes else OUTPUTS
    if asked is None:
        return there
    if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
        raise _shape("'outputs' must be a list of objects with a 'name'.")
    for one in asked[: len(there) + 1]:  # among one more than there are, one is strange or there twice
        _check_plain(one)
        if one.get("name") not in there:
            raise unknown("output", _word(one.get("name")), there, code="output-unknown")
    _check_once([one["name"] for one in asked[: len(there) + 1]])
    return tuple(one["name"] for one in asked) or there


def _check_once(names: Sequence[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise _shape(f"'{name[:80]}' is there more than once.")
        seen.add(name)


def _word(value: object) -> str:
    """What was said where one of a few words must stand, short enough to be compared with them."""
    return value[:80] if isinstance(value, str) else shown(value)


def _rank(tensor: dict[str, Any]) -> int:
    shape = tensor.get("shape")
    return len(shape) if isinstance(shape, list) else 0


def _name(tensor: dict[str, Any]) -> str:
    name = tensor.get("name")
    if not isinstance(name, str):
        raise _shape("Every tensor needs a 'name'.")
    return name


def _column(tensor: dict[str, Any], signature: Signature) -> list[object]:
    data, shape = _tensor(tensor, signature), tensor["shape"]
    if len(shape) > 2 or (len(shape) == 2 and shape[1] != 1):
        raise _shape(f"Tensor '{_name(tensor)[:80]}' has shape {str(shape)[:80]}; one feature's is [n] or [n, 1].")
    return data


def _tensor(tensor: dict[str, Any], signature: Signature) -> list[object]:
    name, kind, shape, data = _name(tensor), tensor.get("datatype"), tensor.get("shape"), tensor.get("data")
    if not isinstance(kind, str) or kind not in DATATYPES:
        raise unknown("datatype", _word(kind), DATATYPES, code="datatype-unknown")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or not all(type(n) is int and n >= 0 for n in shape):
        raise _shape(f"Tensor '{name[:80]}' needs a 'shape' of one or two whole numbers.")
    if not isinstance(data, list):
        raise _shape(f"Tensor '{name[:80]}' needs its 'data' as a JSON list.")
    _check_plain(tensor)
    flat = _flat(name, data, shape)
    _check_count(shape[0])
    _check_kind(name, kind, signature)
    return _typed(name, kind, flat)


def _flat(name: str, data: list[Any], shape: list[int]) -> list[object]:
    """The values row by row: given so, or as a list a row."""
    nested = bool(data) and isinstance(data[0], list)
    if nested and not (len(shape) == 2 and all(isinstance(row, list) and len(row) == shape[1] for row in data)):
        raise _shape(f"Tensor '{name[:80]}' has shape {str(shape)[:80]} but other rows.")
    flat = [item for row in data for item in row] if nested else data
    if len(flat) != shape[0] * (shape[1] if len(shape) == 2 else 1):
        raise _shape(f"Tensor '{name[:80]}' has shape {str(shape)[:80]} but {len(flat)} values.")
    return flat


def _check_kind(name: str, kind: str, signature: Signature) -> None:
    wants_text = name in signature.codes
    fits = kind in ("BYTES", "BOOL", *_WHOLE) if wants_text else kind != "BYTES"
    if not fits and name in signature.features:
        wanted = "BYTES" if wants_text else "FP64"
        raise InputError(f"Feature '{name}' takes {wanted}, not {kind}.", code="feature-type", hint=f"Send it as {wanted}.")


def _typed(name: str, kind: str, values: list[object]) -> list[object]:
    """What the datatype can hold, and nothing else; a number is the one that its width keeps. Null stays: it is not known."""
    if kind in _WIDTHS:
        return _rounded(name, kind, values)
    allowed = {"BOOL": bool, "BYTES": str}.get(kind, int)
    low, high = _RANGES.get(kind, (0, 0))
    for at, value in enumerate(values):
        if value is not None and (type(value) is not allowed or (type(value) is int and not low <= value <= high)):
            raise _unfit(name, kind, at, value)
    return values


def _rounded(name: str, kind: str, values: list[object]) -> list[object]:
    wide = _WIDTHS[kind]
    out: list[object] = []
    for at, value in enumerate(values):
        if value is not None and type(value) not in (int, float):
            raise _unfit(name, kind, at, value)
        kept = value if value is None or kind == "FP64" else _kept(value, wide)
        if kept == _INFINITE or kept == -_INFINITE:
            raise _unfit(name, kind, at, value)
        out.append(kept)
    return out


def _kept(value: Any, code: str) -> float:
    """The nearest number of this width, infinite when there is none."""
    try:
        kept: float = struct.unpack(code, struct.pack(code, float(value)))[0]
    except OverflowError:
        return _INFINITE
    return kept


def _unfit(name: str, kind: str, at: int, value: object) -> InputError:
    said = f"Tensor '{name[:80]}' is {kind}, value {at} is {shown(value)}."
    return InputError(said, code="value-range", hint="Send what the datatype holds, or null for a value that is not known.")


def _split(value: object, signature: Signature) -> Request:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list) or not isinstance(value.get("data"), list):
        raise _shape("'dataframe_split' needs the lists 'columns' and 'data'.")
    names = value["columns"]
    signature.check_width(len(names), "columns")
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise _shape("The names in 'columns' must be text, each once.")
    return _from_lists(names, value["data"])


def _records(value: object, signature: Signature) -> Request:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _shape("'dataframe_records' must be a list of objects.")
    _check_count(len(value))
    names = value[0].keys() if value else signature.features
    signature.check_width(len(names), "fields")
    for at, row in enumerate(value):
        if row.keys() != names:
            raise _uneven(at, names ^ row.keys())
    return Request({name: [row[name] for row in value] for name in names}, len(value))


def _instances(value: object, signature: Signature) -> Request:
    if not isinstance(value, list):
        raise _shape("'instances' must be a list of rows.")
    if value and isinstance(value[0], list):
        return _from_lists(list(signature.features), value)
    return _records(value, signature)


def _inputs(value: object, signature: Signature) -> Request:
    if not isinstance(value, dict):
        return _instances(value, signature)
    if value and not any(isinstance(column, list) for column in value.values()):
        return _records([value], signature)
    if not all(isinstance(column, list) for column in value.values()):
        raise _shape("'inputs' must hold one list a feature.")
    signature.check_width(len(value), "columns")
    return _from_columns(value)


_INVOCATIONS: dict[str, Callable[[object, Signature], Request]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _from_lists(
    names: list[str], rows: Sequence[object], asked: str | None = None, outputs: tuple[str, ...] = OUTPUTS
) -> Request:
    _check_count(len(rows))
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            said = f"{len(row)} values" if isinstance(row, list) else "no list"
            raise _shape(f"Row {at} has {said}, {len(names)} are expected.")
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return Request(dict(zip(names, columns, strict=True)), len(rows), asked, outputs)


def _from_columns(columns: dict[str, list[object]], asked: str | None = None, outputs: tuple[str, ...] = OUTPUTS) -> Request:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise _shape(f"The columns have different lengths: {sorted(lengths)[:5]}.")
    return Request(columns, lengths.pop() if lengths else 0, asked, outputs)


def _limited(request: Request) -> Request:
    if request.count == 0:
        raise _shape("The request has no rows.")
    _check_count(request.count)
    return request


def _check_count(rows: int) -> None:
    """Asked before the rows are gone through."""
    if rows > _LIMIT_ROWS:
        raise InputError(
            f"{rows} rows are more than one request may hold.",
            code="rows-too-many",
            hint=f"Send at most {_LIMIT_ROWS} at once, or score the table as a batch.",
        )


def _uneven(at: int, names: set[str]) -> InputError:
    named = ", ".join(name[:80] for name in heapq.nsmallest(5, names))
    return _shape(f"Row {at} has other fields than row 0: {named}.")


def _shape(message: str) -> InputError:
    return InputError(message, code="payload-shape", hint="GET /v2/models/{name} describes what the model takes.")
