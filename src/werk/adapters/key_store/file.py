"""Keys as files that only their owner can read, outside every project folder."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from werk.adapters.key_store.memory import KEY_BYTES, KeyPair, check_key_name, destroyed
from werk.core.errors import Refused, Tampered

_POSIX = os.name == "posix"
_NOFOLLOW = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)


class FileKeyStore:
    """One file of 64 random bytes per name (Ed25519 seed, AES-256 key), mode 0600 in a folder of mode 0700.

    A destroyed name keeps a tombstone that holds its public key. Nothing is touched before the first call.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        self._folder = Path(path).expanduser() if path is not None else default_folder()

    def sign(self, name: str, messages: Sequence[bytes]) -> list[bytes]:
        return self._pair(name).sign(messages)

    def public_key(self, name: str) -> bytes:
        """Also of a destroyed name, so that what it once signed can still be checked."""
        check_key_name(name)
        return self._last_public_key(name) or self._pair(name).public_key()

    def wrap(self, name: str, keys: Sequence[bytes], *, context: bytes) -> list[bytes]:
        return self._pair(name).wrap(keys, context)

    def unwrap(self, name: str, wrapped: Sequence[bytes], *, context: bytes) -> list[bytes]:
        return self._pair(name).unwrap(wrapped, context)

    def destroy(self, name: str) -> None:
        check_key_name(name)
        self._ready_folder()
        # The tombstone comes first: killed in between, the name is refused although its file still lies there.
        _create(self._tombstone(name), self._parting_public_key(name))
        self._key(name).unlink(missing_ok=True)
        _sync(self._folder)

    def exported(self, name: str) -> bytes:
        self._pair(name)
        return _read_private(self._key(name))

    def imported(self, name: str, secret: bytes) -> None:
        check_key_name(name)
        self._ready_folder()
        self._refuse_destroyed(name)
        if len(secret) != KEY_BYTES:
            raise Tampered(f"The secret of '{name}' is damaged.", code="key-damaged", hint="Use another backup.")
        _create(self._key(name), secret)
        if _read_private(self._key(name)) != secret:
            raise Refused(
                f"This machine has another key '{name}' already.",
                code="key-exists",
                hint="Set WERK_HOME to a new folder, or give the project a key store of its own.",
            )

    def _pair(self, name: str) -> KeyPair:
        check_key_name(name)
        self._ready_folder()
        self._refuse_destroyed(name)
        if not self._key(name).exists():
            _create(self._key(name), secrets.token_bytes(KEY_BYTES))
            # A destroy between the check and the file would otherwise have been undone.
            self._refuse_destroyed(name)
        return KeyPair.of(name, _read_private(self._key(name)))

    def _refuse_destroyed(self, name: str) -> None:
        if self._tombstone(name).exists():
            self._key(name).unlink(missing_ok=True)
            raise destroyed(name)

    def _parting_public_key(self, name: str) -> bytes:
        """Of an exposed key too: that it was exposed is the best reason to destroy it. Empty when there is none."""
        try:
            secret = self._key(name).read_bytes()
        except OSError:
            return b""
        return KeyPair.of(name, secret).public_key() if len(secret) == KEY_BYTES else b""

    def _last_public_key(self, name: str) -> bytes | None:
        try:
            return self._tombstone(name).read_bytes()
        except FileNotFoundError:
            return None

    def _ready_folder(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = self._folder.stat()
        if _POSIX and (found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), 0)):
            raise _exposed("key folder", self._folder, "700")

    def _key(self, name: str) -> Path:
        return self._folder / f"{name}.key"

    def _tombstone(self, name: str) -> Path:
        return self._folder / f"{name}.destroyed"


def default_folder() -> Path:
    home = os.environ.get("WERK_HOME")
    return Path(home) / "keys" if home else Path.home() / ".local" / "share" / "werk" / "keys"


def _create(path: Path, data: bytes) -> None:
    """Write the file whole with mode 0600, or leave the one that is already there."""
    unfinished = path.with_name(f"{path.name}~{secrets.token_hex(8)}")
    handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NOFOLLOW, 0o600)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        _link(unfinished, path)
    finally:
        unfinished.unlink(missing_ok=True)
    _sync(path.parent)


def _link(unfinished: Path, path: Path) -> None:
    try:
        os.link(unfinished, path)  # unlike a rename, a link never replaces the file a faster process has made
    except FileExistsError:
        return


def _read_private(path: Path) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | _NOFOLLOW)
    except FileNotFoundError:
        raise destroyed(path.stem) from None
    except OSError as blocked:
        raise Refused(
            f"The key file {path} cannot be opened: {blocked.strerror}.",
            code="key-unreadable",
            hint="It must be a plain file that you own.",
        ) from None
    with os.fdopen(handle, "rb") as file:
        _check_private(os.fstat(file.fileno()), path)
        data = file.read(KEY_BYTES + 1)
    if len(data) != KEY_BYTES:
        raise Tampered(f"The key file {path} is damaged.", code="key-damaged", hint="Restore it from a backup.")
    return data


def _check_private(found: os.stat_result, path: Path) -> None:
    if not _POSIX:
        return
    if not stat.S_ISREG(found.st_mode) or found.st_mode & 0o077 or found.st_uid not in (os.geteuid(), 0):
        raise _exposed("key file", path, "600")


def _exposed(what: str, path: Path, mode: str) -> Refused:
    return Refused(
        f"The {what} {path} is open to other users of this machine.",
        code="key-exposed",
        hint=f"Run: chmod {mode} {path} (and make sure that you own it).",
    )


def _sync(folder: Path) -> None:
    if not _POSIX:
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
