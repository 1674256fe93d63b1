"""The promises of the KeyStore port, one function per number; promise 5 needs two processes and has its own entry."""

from __future__ import annotations

import multiprocessing
import secrets
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk.core.errors import InputError, Refused
from werk.core.ports.key_store import KeyStore


def signatures_are_valid_under_the_public_key(keys: KeyStore) -> None:
    """Promise 1: one 64-byte signature per message, in order, and none fits another message or name."""
    messages = [b"", b"one", b"two" * 1000]
    signatures = keys.sign("signer", messages)
    public = Ed25519PublicKey.from_public_bytes(keys.public_key("signer"))
    for message, signature in zip(messages, signatures, strict=True):
        assert len(signature) == 64
        public.verify(signature, message)
    assert not _fits(public, signatures[0], b"one")
    assert not _fits(public, keys.sign("other-signer", [b"one"])[0], b"one")
    assert keys.sign("signer", []) == []


def public_key_never_changes(keys: KeyStore) -> None:
    """Promise 2: 32 raw bytes, the same before and after use, its own for each name."""
    first = keys.public_key("stable")
    keys.sign("stable", [b"x"])
    keys.wrap("stable", [b"k"], context=b"")
    assert len(first) == 32
    assert keys.public_key("stable") == first
    assert keys.public_key("stable-2") != first


def wrapped_keys_open_with_their_context_only(keys: KeyStore) -> None:
    """Promise 3: context and name are bound; a changed byte is `Refused`; more than 64 bytes are an `InputError`."""
    plain = [secrets.token_bytes(32), secrets.token_bytes(64), b"k"]
    wrapped = keys.wrap("wrapper", plain, context=b"raw.people/name")
    assert keys.unwrap("wrapper", wrapped, context=b"raw.people/name") == plain
    assert not any(key in blob for key, blob in zip(plain[:2], wrapped[:2], strict=True))
    assert _refused(lambda: keys.unwrap("wrapper", wrapped, context=b"raw.people/mail"))
    assert _refused(lambda: keys.unwrap("wrapper-2", wrapped, context=b"raw.people/name"))
    for at in range(len(wrapped[0])):
        changed = wrapped[0][:at] + bytes([wrapped[0][at] ^ 1]) + wrapped[0][at + 1 :]
        assert _refused(lambda blob=changed: keys.unwrap("wrapper", [blob], context=b"raw.people/name"))  # type: ignore[misc]
    for cut in (b"", wrapped[0][:5], wrapped[0][:-1]):
        assert _refused(lambda blob=cut: keys.unwrap("wrapper", [blob], context=b"raw.people/name"))  # type: ignore[misc]
    try:
        keys.wrap("wrapper", [b"x" * 65], context=b"")
    except InputError:
        return
    raise AssertionError("wrapped 65 bytes")


def equal_keys_wrap_differently(keys: KeyStore) -> None:
    """Promise 3: AES-GCM never sees a nonce twice, so two wraps of one key do not show that they are equal."""
    assert len(set(keys.wrap("nonces", [b"k" * 32] * 50, context=b""))) == 50


def destroyed_name_is_refused_for_good(keys: KeyStore) -> None:
    """Promise 4: used or never used, the name is not made anew; destroying twice is no error."""
    wrapped = keys.wrap("gone", [b"k" * 32], context=b"")
    for name in ("gone", "never-made"):
        keys.destroy(name)
        keys.destroy(name)
        assert _refused(lambda n=name: keys.sign(n, [b"x"]))  # type: ignore[misc]
        assert _refused(lambda n=name: keys.unwrap(n, wrapped, context=b""))  # type: ignore[misc]
        assert _refused(lambda n=name: keys.wrap(n, [b"k"], context=b""))  # type: ignore[misc]


def public_key_outlives_its_key(keys: KeyStore) -> None:
    """Promises 2 and 4: what a destroyed name has signed can still be checked."""
    before, signature = keys.public_key("retired"), keys.sign("retired", [b"kept"])[0]
    keys.destroy("retired")
    assert keys.public_key("retired") == before
    assert _fits(Ed25519PublicKey.from_public_bytes(before), signature, b"kept")


def two_processes_end_with_one_key(make: Callable[[], KeyStore], *, processes: int = 3, names: int = 20) -> None:
    """Promise 5, for stores that outlive a process: `make` is picklable and opens the same store everywhere."""
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        seen = list(pool.map(_public_keys, [make] * processes, [names] * processes))
    assert all(other == seen[0] for other in seen)
    assert len(set(seen[0])) == names


def _public_keys(make: Callable[[], KeyStore], names: int) -> list[bytes]:
    return [make().public_key(f"raced-{n}") for n in range(names)]


def _fits(public: Ed25519PublicKey, signature: bytes, message: bytes) -> bool:
    try:
        public.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _refused(call: Callable[[], object]) -> bool:
    try:
        call()
    except Refused:
        return True
    return False


SUITE = (
    signatures_are_valid_under_the_public_key,
    public_key_never_changes,
    wrapped_keys_open_with_their_context_only,
    equal_keys_wrap_differently,
    destroyed_name_is_refused_for_good,
    public_key_outlives_its_key,
)
