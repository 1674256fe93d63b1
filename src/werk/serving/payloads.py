"""The two wire formats clients already speak: Open Inference Protocol v2 and MLflow's invocations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from werk.core.errors import InputError, unknown
from werk.serving.signature import Signature

_NUMERIC = ("FP16", "FP32", "FP64")
_WHOLE = tuple(f"{sign}INT{bits}" for sign in ("", "U") for bits in (8, 16, 32, 64))
DATATYPES = ("BOOL", "BYTES", *_NUMERIC, *_WHOLE)
_LIMIT_ROWS = 10_000


@dataclass(frozen=True, slots=True)
class Request:
    """`count` rows by column; `id` is the caller's, given back in the answer."""

    columns: dict[str, list[object]]
    count: int
    id: str | None = None


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
        said = f"has {' and '.join(present)}" if present else f"has {', '.join(map(repr, list(body)[:5])) or 'nothing'}"
        raise InputError(f"The body {said[:200]}.", code="payload-shape", hint=f"Send exactly one of {', '.join(_INVOCATIONS)}.")
    return _limited(_INVOCATIONS[present[0]](body[present[0]], signature))


def inference(body: dict[str, Any], signature: Signature) -> Request:
    """Rows of an Open Inference Protocol v2 request: one tensor a feature, or one (n, k) tensor of all features."""
    tensors, asked = body.get("inputs"), body.get("id")
    if not isinstance(tensors, list) or not tensors or not all(isinstance(t, dict) for t in tensors):
        raise _shape("'inputs' must be a list of tensors.")
    if asked is not None and not isinstance(asked, str):
        raise _shape("'id' must be text.")
    only = tensors[0]
    if len(tensors) == 1 and only.get("name") not in signature.features and _rank(only) == 2:
        data = _tensor(only, signature)
        width = only["shape"][1]
        rows = [data[at : at + width] for at in range(0, len(data), width)] if width else []
        return _limited(_from_lists(list(signature.features), rows, asked))
    return _limited(_from_columns({_name(t): _column(t, signature) for t in tensors}, asked))


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
        raise unknown("datatype", str(kind)[:80], DATATYPES, code="datatype-unknown")
    if not isinstance(shape, list) or not 1 <= len(shape) <= 2 or not all(type(n) is int and n >= 0 for n in shape):
        raise _shape(f"Tensor '{name[:80]}' needs a 'shape' of one or two whole numbers.")
    if not isinstance(data, list):
        raise _shape(f"Tensor '{name[:80]}' needs its 'data' as a JSON list.")
    flat = [item for row in data for item in row] if data and all(isinstance(row, list) for row in data) else data
    size = shape[0] * (shape[1] if len(shape) == 2 else 1)
    if len(flat) != size:
        raise _shape(f"Tensor '{name[:80]}' has shape {shape} but {len(flat)} values.")
    _check_kind(name, kind, signature)
    return flat


def _check_kind(name: str, kind: str, signature: Signature) -> None:
    wants_text = name in signature.codes
    fits = kind == "BYTES" or kind in _WHOLE if wants_text else kind != "BYTES"
    if name in signature.features and not fits:
        wanted = "BYTES" if wants_text else "FP64"
        raise InputError(f"Feature '{name}' takes {wanted}, not {kind}.", code="feature-type", hint=f"Send it as {wanted}.")


def _split(value: object, signature: Signature) -> Request:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list) or not isinstance(value.get("data"), list):
        raise _shape("'dataframe_split' needs the lists 'columns' and 'data'.")
    names = value["columns"]
    if not all(isinstance(name, str) for name in names) or len(set(names)) != len(names):
        raise _shape("The names in 'columns' must be text, each once.")
    return _from_lists(names, value["data"])


def _records(value: object, signature: Signature) -> Request:
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise _shape("'dataframe_records' must be a list of objects.")
    names = value[0].keys() if value else signature.features
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
    return _from_columns(value)


_INVOCATIONS: dict[str, Callable[[object, Signature], Request]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _from_lists(names: list[str], rows: Sequence[object], asked: str | None = None) -> Request:
    for at, row in enumerate(rows):
        if not isinstance(row, list) or len(row) != len(names):
            said = f"{len(row)} values" if isinstance(row, list) else "no list"
            raise _shape(f"Row {at} has {said}, {len(names)} are expected.")
    columns = [list(column) for column in zip(*rows, strict=True)] if rows else [[] for _ in names]
    return Request(dict(zip(names, columns, strict=True)), len(rows), asked)


def _from_columns(columns: dict[str, list[object]], asked: str | None = None) -> Request:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise _shape(f"The columns have different lengths: {sorted(lengths)[:5]}.")
    return Request(columns, lengths.pop() if lengths else 0, asked)


def _limited(request: Request) -> Request:
    if request.count == 0:
        raise _shape("The request has no rows.")
    if request.count > _LIMIT_ROWS:
        raise InputError(
            f"{request.count} rows are more than one request may hold.",
            code="rows-too-many",
            hint=f"Send at most {_LIMIT_ROWS} at once, or score the table as a batch.",
        )
    return request


def _uneven(at: int, names: set[str]) -> InputError:
    return _shape(f"Row {at} has other fields than row 0: {', '.join(sorted(names))[:200]}.")


def _shape(message: str) -> InputError:
    return InputError(message, code="payload-shape", hint="GET /v2/models/{name} describes what the model takes.")
