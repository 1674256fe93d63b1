"""One way to write a value as bytes, so that equal values have equal hashes everywhere."""

from __future__ import annotations

import hashlib
import json
import struct
from collections.abc import Mapping, Sequence

# One encoder for all: `json.dumps` makes a new one for every call with these settings.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


def canonical_json(value: object) -> str:
    """Compact JSON with sorted keys, UTF-8 kept, NaN and infinities refused (`ValueError`).

    >>> canonical_json({"b": 1, "a": [1.5, None, "ü"]})
    '{"a":[1.5,null,"ü"],"b":1}'
    """
    return _ENCODER.encode(value)


def sha256_hex(data: bytes | str) -> str:
    """Lower-case hex SHA-256 of bytes, or of a text's UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value in canonical form.

    >>> digest_of({"a": 1}) == digest_of({"a": 1})
    True
    """
    return sha256_hex(canonical_json(value))


def token_digest(value: object) -> str:
    """SHA-256 of typed, length-prefixed tokens, so that no two different values share bytes.

    Dicts go by sorted key, tuples count as lists, -0.0 differs from 0.0. Other types are refused (`TypeError`).

    >>> token_digest(["ab", "c"]) == token_digest(["a", "bc"])
    False
    """
    return hashlib.sha256(_token(value)).hexdigest()


def _token(value: object) -> bytes:
    kind, body = _typed(value)
    return kind + len(body).to_bytes(8, "little") + body


def _typed(value: object) -> tuple[bytes, bytes]:
    if value is None:
        return b"n", b""
    if isinstance(value, bool | int):
        return (b"o" if isinstance(value, bool) else b"i"), str(int(value)).encode()
    if isinstance(value, float):
        return b"f", struct.pack("<d", float("nan") if value != value else value)
    if isinstance(value, str):
        return b"s", value.encode()
    if isinstance(value, bytes):
        return b"b", value
    if isinstance(value, list | tuple):
        return b"l", b"".join(_token(item) for item in value)
    if isinstance(value, dict):
        return b"d", b"".join(_token(key) + _token(value[key]) for key in sorted(value))
    raise TypeError(f"{type(value).__qualname__} has no canonical form")
