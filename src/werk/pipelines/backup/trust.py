"""Who has signed a backup, and whether its journal holds: asked before anything is put in its place."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from pathlib import Path

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk import journal
from werk.core.canonical import canonical_json
from werk.core.errors import Refused, Tampered
from werk.core.journal import Head, Projection, Verification
from werk.core.ports.key_store import KeyStore, PortableKeys
from werk.journal import lines
from werk.journal.heads import SignedHead
from werk.pipelines.backup.archive import Archive
from werk.pipelines.backup.take import KEY, KEY_FILE


def check_asked_for(archive: Archive, fingerprint: str | None) -> None:
    if fingerprint is not None and fingerprint.strip().lower() != archive.fingerprint:
        raise Refused(
            f"This backup was signed by the key {archive.fingerprint}, which is not the one you asked for.",
            code="backup-signer",
            hint="Ask who made the backup which fingerprint `werk backup` told, and use that copy.",
        )


def check_signer(archive: Archive, known: bytes | None) -> None:
    """`known` is the key this machine signs with, None when it has none."""
    if known not in (None, archive.public_key):
        raise Refused(
            f"This backup was signed by the key {archive.fingerprint}, which is not the one of this machine.",
            code="backup-signer",
            hint="A backup of another machine is restored with WERK_HOME set to a new folder; one of this machine was changed.",
        )


def check_heads(archive: Archive, heads_dir: Path) -> None:
    """Heads that this machine keeps of the journal know its key, though the key may be gone."""
    for path in sorted(heads_dir.glob(f"{archive.about.journal}*.jsonl")):
        signed = lines.read(path)
        if signed and not any(_has_signed(archive.public_key, line) for line in reversed(signed)):
            raise Refused(
                f"This backup was signed by the key {archive.fingerprint}, which has not signed this machine's heads in {path}.",
                code="backup-signer",
                hint="Use a backup that the journal's own key has signed.",
            )


def _has_signed(key: bytes, line: str) -> bool:
    try:
        head = SignedHead(**lines.fields(line))  # type: ignore[arg-type]  # what does not fit is caught below
        message = canonical_json(head.signed()).encode()
        Ed25519PublicKey.from_public_bytes(key).verify(base64.b64decode(head.sig, validate=True), message)
    except (TypeError, ValueError, InvalidSignature):
        return False
    return True


def check_carried(archive: Archive, trial: KeyStore) -> None:
    """The key inside is the one that has signed; `trial` is an empty store that goes away."""
    if archive.names("keys/") and isinstance(trial, PortableKeys):
        trial.imported(KEY, archive.read(KEY_FILE))
        if trial.public_key(KEY) != archive.public_key:
            raise Tampered(
                f"The backup holds a signing key, and another one has signed it, {archive.fingerprint}.",
                code="backup-damaged",
                hint="Use another copy of the backup.",
            )


def checked_journal(archive: Archive, folder: Path, projections: Iterable[Projection]) -> Path:
    """The journal's files as they were checked, copied below `folder`; `Tampered` with what the audit would say of them."""
    copied = folder / "journal"
    for name in archive.names("journal/"):
        target = copied / name.removeprefix("journal/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(archive.read(name))
    try:
        found = _verified(archive, copied, folder, projections)
    except (ValueError, TypeError, KeyError, AttributeError, FileNotFoundError) as malformed:
        raise _broken(f"it cannot be read ({type(malformed).__name__})") from malformed
    if not found.ok:
        more = f" And {len(found.damages) - 1} more." if len(found.damages) > 1 else ""
        raise _broken(f"{found.damages[0].sentence.removesuffix('.')}", more)
    return copied


def _verified(archive: Archive, copied: Path, folder: Path, projections: Iterable[Projection]) -> Verification:
    about = lines.fields((copied / "journal.json").read_text(encoding="utf-8"))
    if about.get("journal") != archive.about.journal:
        raise _broken(f"it is {about.get('journal')}, and the manifest names {archive.about.journal}")
    url, heads, project = f"sqlite:///{folder / 'journal.db'}", folder / "heads", archive.about.project
    if journal.restore(copied, url, heads_dir=heads, project=project) != Head(archive.about.seq, archive.about.hash):
        raise _broken("it does not end where the manifest says")
    known = {"project": project, "actor": "system", "projections": projections, "heads_dir": heads}
    with journal.open_journal(url, **known, verify_key=archive.public_key, read_only=True) as log:  # type: ignore[arg-type]
        return journal.verify(log)


def _broken(how: str, more: str = "") -> Tampered:
    said = f"The backup's journal is damaged: {how}.{more}"
    return Tampered(
        said, code="backup-damaged", hint="Use another copy of the backup; its journal/facts.jsonl can still be read."
    )
