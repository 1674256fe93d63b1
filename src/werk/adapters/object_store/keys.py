"""Which keys every object store accepts."""

from __future__ import annotations

import re
from collections.abc import Iterable

from werk.core.errors import InputError

_KEY = re.compile(r"[A-Za-z0-9._-]+(?:/[A-Za-z0-9._-]+)*")


def check_keys(keys: Iterable[str]) -> None:
    for key in keys:
        if not _KEY.fullmatch(key) or {".", ".."} & set(key.split("/")):
            raise InputError(
                f"'{key}' is not a usable object key.",
                code="key-malformed",
                hint="Use '/'-separated segments of letters, digits, '.', '_' or '-'.",
            )


def missing(key: str) -> InputError:
    return InputError(f"There is no object '{key}'.", code="object-unknown", hint="List the store to see its keys.")
