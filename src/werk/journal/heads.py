"""Signed heads kept outside the database: without them a cut tail or a wholly rewritten chain would pass."""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk.core.canonical import canonical_json
from werk.core.errors import Failed, InputError
from werk.core.journal import Damage, Head
from werk.core.nouns import to_micros, utc_now
from werk.journal.sql import SqlJournal

_SIGNED = ("at", "hash", "journal", "seq")


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One line of `<heads_dir>/<journal id>.jsonl`; `sig` is Ed25519 (base64) over the canonical JSON of the rest."""

    journal: str
    seq: int
    hash: str
    at: int
    sig: str

    def line(self) -> str:
        return canonical_json({**self.signed(), "sig": self.sig})

    def signed(self) -> Mapping[str, Any]:
        return {name: getattr(self, name) for name in _SIGNED}


def heads_file(heads_dir: Path, journal: str) -> Path:
    return heads_dir / f"{journal}.jsonl"


def sign_head(journal: SqlJournal) -> Head:
    """Append the signed head to the heads file (synced to disk); nothing is written when it has not moved."""
    outside = journal.outside
    if outside.heads_dir is None or outside.sign is None:
        raise InputError("This journal's head cannot be signed.", code="heads-unset", hint="Open it with `heads_dir` and `sign`.")
    head = journal.head()
    path = heads_file(outside.heads_dir, journal.id)
    if head.seq == 0 or any(f'"hash":"{head.hash}"' in line for line in _lines(path)[-1:]):
        return head
    unsigned = {"journal": journal.id, "seq": head.seq, "hash": head.hash, "at": to_micros(utc_now())}
    signature = base64.b64encode(outside.sign(canonical_json(unsigned).encode())).decode()
    _append(path, canonical_json({**unsigned, "sig": signature}))
    return head


def _append(path: Path, line: str) -> None:
    try:
        _append_durably(path, line)
    except OSError as blocked:
        raise Failed(
            f"What was done is recorded, but its signed head cannot be written to {path}: {blocked.strerror}.",
            code="heads-unwritable",
            hint="Give this user room and rights there; the next command signs it.",
        ) from blocked


def _append_durably(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    torn = path.exists() and path.stat().st_size > 0 and not path.read_bytes().endswith(b"\n")
    with path.open("a", encoding="utf-8", newline="\n") as file:
        file.write(("\n" if torn else "") + line + "\n")
        file.flush()
        os.fsync(file.fileno())


def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []


def last_signed(journal: SqlJournal) -> Head | None:
    """The newest head signed on this machine, None when there is none; nothing is checked."""
    folder = journal.outside.heads_dir
    lines = _lines(heads_file(folder, journal.id)) if folder is not None else []
    if not lines:
        return None
    newest = json.loads(lines[-1])
    return Head(int(newest["seq"]), str(newest["hash"]))


def check_heads(
    heads_dir: Path | None, journal: str, public_key: bytes | None, hashes: Mapping[int, str]
) -> tuple[int, list[Damage]]:
    """How many signed heads lie outside the database, and which of them the chain does not bear out.

    `hashes` are the chain's own, by seq. Heads nobody can check are one damage, never silence.
    """
    if heads_dir is None or not heads_dir.is_dir():
        return 0, []
    path = heads_file(heads_dir, journal)
    lines = _lines(path)
    if not lines:
        others = any(heads_dir.glob("*.jsonl"))
        return 0, [Damage("heads", path.name, "journal", f"There are signed heads, but none of {journal}.")] if others else []
    if public_key is None:
        return len(lines), [Damage("heads", path.name, "sig", f"{len(lines)} signed heads could not be checked without the key.")]
    key = Ed25519PublicKey.from_public_bytes(public_key)
    return len(lines), [damage for number, line in enumerate(lines, 1) for damage in _judge(number, line, journal, key, hashes)]


def _judge(number: int, line: str, journal: str, key: Ed25519PublicKey, hashes: Mapping[int, str]) -> Iterator[Damage]:
    where = f"line {number}"
    try:
        head = SignedHead(**json.loads(line))
        key.verify(base64.b64decode(head.sig, validate=True), canonical_json(head.signed()).encode())
    except (ValueError, TypeError, binascii.Error, InvalidSignature):
        yield Damage("heads", where, "sig", "The signed head was changed, or signed with another key.")
        return
    if head.journal != journal:
        yield Damage("heads", where, "journal", f"The signed head belongs to {head.journal}.")
    elif head.seq not in hashes:
        yield Damage("facts", f"seq={head.seq}", "seq", f"Fact {head.seq} was signed as the head and is gone: the tail was cut.")
    elif hashes[head.seq] != head.hash:
        yield Damage("facts", f"seq={head.seq}", "hash", f"Fact {head.seq} is not the one that was signed: rewritten.")
