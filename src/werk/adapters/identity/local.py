"""Who runs this process, by the operating system's word: environment variables have no say."""

from __future__ import annotations

import os
import re
import socket
from pathlib import Path

from werk.core.canonical import sha256_hex
from werk.core.errors import Refused
from werk.core.ports.identity import Proof

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{32,512}")
_MACHINE_IDS = (Path("/etc/machine-id"), Path("/var/lib/dbus/machine-id"))


class LocalIdentity:
    def prove(self, credential: str | None) -> Proof:
        if credential is not None:
            return prove_token(credential)
        account, name = _account()
        return Proof(f"os:{account}@{_machine()}", name, "os")


def prove_token(token: str) -> Proof:
    """The proof of a bearer token: its SHA-256, from which the 256 random bits cannot be guessed back."""
    if not _TOKEN.fullmatch(token):
        raise Refused(
            "This token is not one that werk issued: it is empty, too short or has other characters.",
            code="token-malformed",
            hint="Pass the token exactly as it was printed when it was issued.",
        )
    digest = sha256_hex(token)
    return Proof(f"token:{digest}", f"token {digest[:8]}", "token")


def _account() -> tuple[str, str]:
    """The account's stable id and its name for people; on Windows the login name is both."""
    if not hasattr(os, "getuid"):
        login = os.getlogin()
        return login, login
    import pwd  # POSIX only, so not at the top

    uid = os.getuid()
    try:
        return str(uid), pwd.getpwuid(uid).pw_name
    except KeyError:  # a container may run under a uid without an account
        return str(uid), f"uid {uid}"


def _machine() -> str:
    """Stable over renames of the host; hashed, because a machine id is not meant to be shown."""
    for path in _MACHINE_IDS:
        try:
            found = path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if found:
            return sha256_hex(f"werk:{found}")[:16]
    return socket.gethostname()
