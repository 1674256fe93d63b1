"""Blobs by key: payloads, model packages, reports, signed heads."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from werk.core.errors import InputError

_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    key: str
    size_bytes: int


class ObjectStore(Protocol):
    """Keys are `/`-separated segments of letters, digits, `.`, `_`, `-`; values are bytes.

    1. `put` of one key is atomic: a reader sees the old or the new bytes, never a part; a kill leaves no half object.
    2. `put(if_absent=True)` leaves existing objects alone and returns the keys it wrote; two racing writers: exactly one wins.
    3. `get` returns the bytes of every key asked for; a missing one is an `InputError` naming it.
    4. `list` yields keys below a prefix in sorted order.
    5. `delete` of a missing key is not an error.
    6. A key outside the alphabet, absolute, empty or with `..` is an `InputError`.
    """

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]: ...

    def get(self, keys: Sequence[str]) -> dict[str, bytes]: ...

    def exists(self, keys: Sequence[str]) -> set[str]: ...

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]: ...

    def delete(self, keys: Sequence[str]) -> None: ...


def check_keys(keys: Iterable[str]) -> None:
    """Promise 6, the same in every adapter."""
    for key in keys:
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise InputError(
                f"'{key}' is not a usable object key.",
                code="key-malformed",
                hint="Use '/'-separated segments of letters, digits, '.', '_' or '-'.",
            )


def missing(key: str) -> InputError:
    return InputError(f"There is no object '{key}'.", code="object-unknown", hint="List the store to see its keys.")
