"""One way to write a value as bytes, so that equal values have equal hashes everywhere."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

JSON = None | bool | int | float | str | Sequence["JSON"] | Mapping[str, "JSON"]


def canonical_json(value: object) -> str:
    """Compact JSON with sorted keys, UTF-8 kept, NaN and infinities refused (`ValueError`).

    >>> canonical_json({"b": 1, "a": [1.5, None, "ü"]})
    '{"a":[1.5,null,"ü"],"b":1}'
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def sha256_hex(data: bytes | str) -> str:
    """Lower-case hex SHA-256 of bytes, or of a text's UTF-8."""
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def digest_of(value: object) -> str:
    """SHA-256 of a JSON value in canonical form.

    >>> digest_of({"a": 1}) == digest_of({"a": 1})
    True
    """
    return sha256_hex(canonical_json(value))
