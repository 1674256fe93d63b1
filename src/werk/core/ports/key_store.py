"""Signing keys and data keys that never leave it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable


class KeyStore(Protocol):
    """Ed25519 signing keys and AES-256-GCM wrapping keys, by name; made on first use.

    1. `sign` returns one 64-byte signature per message, valid under `public_key` of the same name.
    2. `public_key` is the 32 raw bytes of RFC 8032 and never changes for a name.
    3. `wrap` encrypts data keys (<= 64 bytes) bound to `context`; `unwrap` with another context is `Refused`.
    4. After `destroy`, `unwrap` and `sign` of that name are `Refused` for good, and the name is not made anew.
    5. Two processes making the same key at once end with one key.
    """

    def sign(self, name: str, messages: Sequence[bytes]) -> list[bytes]: ...

    def public_key(self, name: str) -> bytes: ...

    def wrap(self, name: str, keys: Sequence[bytes], *, context: bytes) -> list[bytes]: ...

    def unwrap(self, name: str, wrapped: Sequence[bytes], *, context: bytes) -> list[bytes]: ...

    def destroy(self, name: str) -> None: ...


@runtime_checkable
class PortableKeys(Protocol):
    """A capability beyond the port: a name's secret can be carried to another store (a key kept in hardware cannot).

    1. `exported` is all the name needs; `imported` into a store without the name signs, unwraps and is destroyed alike.
    2. `imported` of what the store has already changes nothing; of another secret it is `Refused`.
    """

    def exported(self, name: str) -> bytes: ...

    def imported(self, name: str, secret: bytes) -> None: ...
