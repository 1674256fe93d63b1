"""Keys that live as long as the process, and the cryptography both key stores share."""

from __future__ import annotations

import re
import secrets
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from werk.core.errors import InputError, Refused

KEY_BYTES = 64
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*(?:\.[a-z0-9_-]+)*")
_SCHEME = b"\x01"
_NONCE_BYTES = 12
_DATA_KEY_BYTES = 64


@dataclass(frozen=True, slots=True, repr=False)
class KeyPair:
    """One name's two secrets: an Ed25519 seed and an AES-256 key. No `repr`, so that neither reaches a log."""

    name: str
    seed: bytes
    wrapping: bytes

    @classmethod
    def of(cls, name: str, secret: bytes) -> KeyPair:
        return cls(name, secret[:32], secret[32:KEY_BYTES])

    def public_key(self) -> bytes:
        return self._signer().public_key().public_bytes_raw()

    def sign(self, messages: Sequence[bytes]) -> list[bytes]:
        signer = self._signer()
        return [signer.sign(message) for message in messages]

    def wrap(self, keys: Sequence[bytes], context: bytes) -> list[bytes]:
        for key in keys:
            _check_data_key(key)
        cipher, bound = AESGCM(self.wrapping), self._bound_to(context)
        nonces = [secrets.token_bytes(_NONCE_BYTES) for _ in keys]
        return [_SCHEME + nonce + cipher.encrypt(nonce, key, bound) for nonce, key in zip(nonces, keys, strict=True)]

    def unwrap(self, wrapped: Sequence[bytes], context: bytes) -> list[bytes]:
        return [self._unwrap(blob, self._bound_to(context)) for blob in wrapped]

    def _unwrap(self, blob: bytes, bound: bytes) -> bytes:
        nonce, body = blob[1 : 1 + _NONCE_BYTES], blob[1 + _NONCE_BYTES :]
        if blob[:1] != _SCHEME or len(nonce) != _NONCE_BYTES:
            raise self._not_ours()
        try:
            return AESGCM(self.wrapping).decrypt(nonce, body, bound)
        except InvalidTag:
            raise self._not_ours() from None

    def _signer(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def _bound_to(self, context: bytes) -> bytes:
        return b"werk-wrap\0" + self.name.encode() + b"\0" + context

    def _not_ours(self) -> Refused:
        return Refused(
            f"The key '{self.name}' did not wrap this data key for this context.",
            code="unwrap-refused",
            hint="Unwrap it with the name and the context it was wrapped with.",
        )


class MemoryKeyStore:
    def __init__(self) -> None:
        self._pairs: dict[str, KeyPair] = {}
        self._destroyed: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def sign(self, name: str, messages: Sequence[bytes]) -> list[bytes]:
        return self._pair(name).sign(messages)

    def public_key(self, name: str) -> bytes:
        """Also of a destroyed name, so that what it once signed can still be checked."""
        return self._destroyed.get(name) or self._pair(name).public_key()

    def wrap(self, name: str, keys: Sequence[bytes], *, context: bytes) -> list[bytes]:
        return self._pair(name).wrap(keys, context)

    def unwrap(self, name: str, wrapped: Sequence[bytes], *, context: bytes) -> list[bytes]:
        return self._pair(name).unwrap(wrapped, context)

    def destroy(self, name: str) -> None:
        check_key_name(name)
        with self._lock:
            pair = self._pairs.pop(name, None)
            self._destroyed.setdefault(name, pair.public_key() if pair else b"")

    def _pair(self, name: str) -> KeyPair:
        check_key_name(name)
        with self._lock:
            if name in self._destroyed:
                raise destroyed(name)
            if name not in self._pairs:
                self._pairs[name] = KeyPair.of(name, secrets.token_bytes(KEY_BYTES))
            return self._pairs[name]


def check_key_name(name: str) -> None:
    if not _NAME.fullmatch(name) or len(name) > 100:
        raise InputError(
            f"'{name}' is not a usable key name.",
            code="key-name-malformed",
            hint="Use lower-case letters, digits, '-', '_' and single dots, at most 100 characters.",
        )


def destroyed(name: str) -> Refused:
    return Refused(
        f"The key '{name}' was destroyed.", code="key-destroyed", hint="What it protected stays unreadable; use a new name."
    )


def _check_data_key(key: bytes) -> None:
    if not 0 < len(key) <= _DATA_KEY_BYTES:
        raise InputError(
            f"A data key has 1 to {_DATA_KEY_BYTES} bytes, this one has {len(key)}.",
            code="data-key-size",
            hint="Wrap a data key and encrypt the data with that.",
        )
