"""Signed heads kept outside the database: without them a cut tail or a wholly rewritten chain would pass."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from sqlalchemy import select

from werk.core.canonical import canonical_json
from werk.core.errors import Failed, InputError, Tampered
from werk.core.journal import Damage, Head
from werk.core.nouns import to_micros, utc_now
from werk.journal import lines, places
from werk.journal.places import Place
from werk.journal.sql import SqlJournal
from werk.journal.tables import FACTS

_SIGNED = ("at", "hash", "journal", "seq")


@dataclass(frozen=True, slots=True)
class SignedHead:
    """One line of a heads file; `sig` is Ed25519 (base64) over the canonical JSON of the rest."""

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
    """Where the heads of a journal lie that has never been copied or moved."""
    return heads_dir / f"{journal}.jsonl"


def signed_in(journal: SqlJournal) -> Path | None:
    """Where the heads of this journal lie that were signed at this place; None when they are kept nowhere."""
    folder = journal.outside.heads_dir
    if folder is None:
        return None
    place = _place(journal)
    return folder / place.heads if place else heads_file(folder, journal.id)


def meet(journal: SqlJournal) -> str | None:
    """Hold the journal against what this machine knows of its place, and remember a place that is new.

    `Tampered` when it has another id than the one met here before, or is not what was last signed. Returns a sentence where
    there was nothing to hold it against: what is met for the first time is trusted as it is. A journal that can only be read
    is not remembered.
    """
    if isinstance(journal.database.sealed, Tampered):
        raise journal.database.sealed
    if journal.outside.heads_dir is None:
        return None
    place, said = _place(journal), None
    if place is None:
        if journal.database.sealed:
            return None
        place, said = _first_met(journal, journal.outside.heads_dir)
    _check_place(journal, journal.outside.heads_dir, place)
    return said


def sign_head(journal: SqlJournal) -> Head:
    """Append the signed head to the heads file (synced to disk); nothing is written when it has not moved.

    A head that contradicts the last signed one is never signed (`Tampered`), nor that of a journal that may not be written.
    """
    outside = journal.outside
    if outside.heads_dir is None or outside.sign is None:
        raise InputError("This journal's head cannot be signed.", code="heads-unset", hint="Open it with `heads_dir` and `sign`.")
    meet(journal)
    path, head = signed_in(journal), journal.head()
    if path is None or head.seq == 0 or journal.database.sealed or newest(path) == head:
        return head
    unsigned = {"journal": journal.id, "seq": head.seq, "hash": head.hash, "at": to_micros(utc_now())}
    signature = base64.b64encode(outside.sign(canonical_json(unsigned).encode())).decode()
    with _kept(path, "What was done is recorded"):
        lines.append(path, [canonical_json({**unsigned, "sig": signature})])
    return head


def last_signed(journal: SqlJournal) -> Head | None:
    """The newest head signed on this machine, None when there is none; nothing is checked."""
    path = signed_in(journal)
    return newest(path) if path else None


def newest(path: Path) -> Head | None:
    """The highest head of the last lines: of two processes that sign at once, the slower may write the older one last."""
    found = [head for head in map(_head, lines.tail(path)) if head is not None]
    return max(found, key=lambda head: head.seq, default=None)


def _head(line: str) -> Head | None:
    said = lines.fields(line)
    seq, hash_ = said.get("seq"), said.get("hash")
    return Head(seq, hash_) if isinstance(seq, int) and isinstance(hash_, str) else None


@contextmanager
def _kept(path: Path, state: str) -> Iterator[None]:
    try:
        yield
    except OSError as blocked:
        raise Failed(
            f"{state}, and the signed heads cannot be written to {path}: {blocked.strerror}.",
            code="heads-unwritable",
            hint="Give this user room and rights there; the next command signs it.",
        ) from blocked


# --- places ---


def _place(journal: SqlJournal) -> Place | None:
    return places.known(journal.outside.heads_dir).get((journal.database.address, journal.project))


def _first_met(journal: SqlJournal, folder: Path) -> tuple[Place, str | None]:
    """Remember a place that is new: a fresh journal, another project's, one that was moved or copied, or an unknown one."""
    head, address = journal.head(), journal.database.address
    of_id = [place for place in places.known(folder).values() if place.journal == journal.id]
    here = [place.heads for place in of_id if place.address == address]
    name, said = (here[0], None) if here else _own_heads(journal, folder, of_id, head)
    with _kept(folder / places.FILE, "Nothing was done"):
        place = places.remember(folder, address, journal.project, journal.id, name, head)
    return place, said


def _own_heads(journal: SqlJournal, folder: Path, of_id: Sequence[Place], head: Head) -> tuple[str, str | None]:
    """The file of heads for a new address, holding what was signed at the place that the journal comes from."""
    if not of_id:
        first = heads_file(folder, journal.id)  # a restore, or an earlier werk, has put it there
        return first.name, None if first.exists() or head.seq == 0 else _trusted(journal, head)
    origin, signed = _origin(journal, folder, of_id, head)
    name = places.own_name(journal.id, journal.database.address)
    with _kept(folder / name, "Nothing was done"):
        lines.append(folder / name, signed)
    later = newest(folder / origin.heads)
    return name, _copied(journal, origin, head, later) if later and later.seq > head.seq else None


def _origin(journal: SqlJournal, folder: Path, of_id: Sequence[Place], head: Head) -> tuple[Place, list[str]]:
    """The place whose heads this journal bears out, and those of its heads that it must.

    A copy may have been taken before later heads were signed; of a place that was left, nothing may be missing.
    """
    for place in reversed(of_id):
        signed = [(found, line) for line in lines.read(folder / place.heads) if (found := _head(line))]
        owed = [(found, line) for found, line in signed if place.is_left or found.seq <= head.seq]
        last = max((found for found, _ in owed), key=lambda found: found.seq, default=None)
        if last is None or _borne_out(journal, last):
            return place, [line for _, line in owed]
    raise _contradiction(journal, newest(folder / of_id[-1].heads) or of_id[-1].met)


def _check_place(journal: SqlJournal, folder: Path, place: Place) -> None:
    if place.journal != journal.id:
        raise Tampered(
            f"The journal {place.address} was {place.journal} and now says that it is {journal.id} (table meta, key journal).",
            code="journal-replaced",
            hint=f"Run `werk audit verify` and restore a backup. {began_anew(folder, place)}",
        )
    last = newest(folder / place.heads) or place.met
    if not _borne_out(journal, last):
        raise _contradiction(journal, last)


def began_anew(folder: Path, place: Place) -> str:
    return f"If it was begun anew on purpose, take the lines of {place.project} out of {folder / places.FILE}."


def _borne_out(journal: SqlJournal, head: Head) -> bool:
    if head.seq == 0:
        return True
    with journal.database.reading() as connection:
        return connection.execute(select(FACTS.c.hash).where(FACTS.c.seq == head.seq)).scalar() == head.hash


def _contradiction(journal: SqlJournal, last: Head) -> Tampered:
    gone = journal.head().seq < last.seq
    what = "is gone: the tail was cut" if gone else "is not the one that was signed: it was rewritten"
    return Tampered(
        f"The journal {journal.database.address} contradicts its last signed head: fact {last.seq} {what}.",
        code="journal-contradicted",
        hint="Run `werk audit verify`, then restore a backup.",
    )


def _trusted(journal: SqlJournal, head: Head) -> str:
    return (
        f"This machine meets journal {journal.id} for the first time and trusts it as it is, up to fact {head.seq}: "
        "compare that fact's hash with somebody who knew it before."
    )


def _copied(journal: SqlJournal, origin: Place, head: Head, later: Head) -> str:
    return (
        f"This journal is a copy of {origin.address} and ends at fact {head.seq}, where {later.seq} has been signed: "
        "from here on it has heads of its own."
    )


# --- checking all ---


@dataclass(frozen=True, slots=True)
class Checked:
    """How many heads were checked, what they do not bear out, and what could not be held against anything."""

    heads: int
    damages: tuple[Damage, ...] = ()
    notes: tuple[str, ...] = ()


def check_heads(journal: SqlJournal, public_key: bytes | None, hashes: Mapping[int, str]) -> Checked:
    """Hold `hashes`, the chain's own by seq, against the heads signed for this place; nothing is written.

    Heads nobody can check are one damage, never silence. At a place that was never met, the heads of the other places of the
    same journal count, and all of them must hold.
    """
    folder = journal.outside.heads_dir
    if folder is None:
        return Checked(0)
    place = _place(journal)
    if place is not None:
        anchored = [*_replaced(journal, folder, place), *_anchor(place, hashes)]
        found = _checked(folder / place.heads, place.journal, public_key, hashes)
        return Checked(found.heads, (*anchored, *found.damages), tuple(_lacking(folder, place, hashes)))
    of_id = {found.heads for found in places.known(folder).values() if found.journal == journal.id}
    files = [folder / name for name in sorted(of_id)] or [heads_file(folder, journal.id)]
    # A copy descends from one of them only.
    best = min((_checked(path, journal.id, public_key, hashes) for path in files), key=lambda found: len(found.damages))
    return best if best.heads or not hashes else Checked(0, notes=(_never_met(journal),))


def _lacking(folder: Path, place: Place, hashes: Mapping[int, str]) -> Iterator[str]:
    """Of a copy: where the journal lies whose last signed head the copy has not. The first place of all is no copy."""
    if place.heads == heads_file(folder, place.journal).name:
        return
    others = {other.heads: other for other in places.known(folder).values() if other.journal == place.journal}
    for other in others.values():
        last = newest(folder / other.heads) if other.heads != place.heads else None
        if last is not None and hashes.get(last.seq) != last.hash:
            said = f"This journal is a copy of the one at {other.address}, whose fact {last.seq} was signed and is not here"
            yield f"{said}: it ends at fact {max(hashes, default=0)}."


def _never_met(journal: SqlJournal) -> str:
    return f"No signed head of journal {journal.id} is kept on this machine: nothing outside the database was compared."


def _replaced(journal: SqlJournal, folder: Path, place: Place) -> Iterator[Damage]:
    if place.journal != journal.id:
        said = f"The journal here was {place.journal} and now says that it is {journal.id} (table meta, key journal)."
        yield Damage("meta", "key=journal", "value", f"{said} {began_anew(folder, place)}")


def _anchor(place: Place, hashes: Mapping[int, str]) -> Iterator[Damage]:
    if place.seq and hashes.get(place.seq) != place.hash:
        said = "is not the one that was there when this machine first met the journal here"
        yield Damage("facts", f"seq={place.seq}", "hash", f"Fact {place.seq} of the table facts {said}.")


def _checked(path: Path, journal: str, public_key: bytes | None, hashes: Mapping[int, str]) -> Checked:
    signed = lines.read(path)
    if not signed:
        return Checked(0)
    if public_key is None:
        said = f"{len(signed)} signed heads could not be checked without the key."
        return Checked(len(signed), (Damage("heads", path.name, "sig", said),))
    key = Ed25519PublicKey.from_public_bytes(public_key)
    found = [damage for number, line in enumerate(signed, 1) for damage in _judge(path, number, line, journal, key, hashes)]
    return Checked(len(signed), tuple(found))


def _judge(
    path: Path, number: int, line: str, journal: str, key: Ed25519PublicKey, hashes: Mapping[int, str]
) -> Iterator[Damage]:
    where = f"line {number}"
    try:
        head = SignedHead(**lines.fields(line))  # type: ignore[arg-type]  # what does not fit is caught below
        key.verify(base64.b64decode(head.sig, validate=True), canonical_json(head.signed()).encode())
    except (ValueError, TypeError, binascii.Error, InvalidSignature):
        said = f"The signed head in line {number} of {path.name} was changed, or signed with another key."
        yield Damage("heads", where, "sig", said)
        return
    seq = head.seq
    if head.journal != journal:
        yield Damage("heads", where, "journal", f"The signed head in line {number} of {path.name} belongs to {head.journal}.")
    elif seq not in hashes:
        said = f"Fact {seq} of the table facts was signed as the head and is gone: the tail was cut."
        yield Damage("facts", f"seq={seq}", "seq", said)
    elif hashes[seq] != head.hash:
        said = f"Fact {seq} of the table facts is not the one that was signed: rewritten."
        yield Damage("facts", f"seq={seq}", "hash", said)
