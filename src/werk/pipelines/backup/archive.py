"""The folder of a backup: every file stands in a signed manifest, and nothing else may lie there."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from werk.core.canonical import canonical_json, sha256_hex
from werk.core.errors import InputError, Tampered
from werk.core.nouns import check_name

SCHEMA = 1
MANIFEST, SIGNATURE, PUBLIC = "manifest.json", "manifest.sig", "manifest.pub"
_OWN = frozenset({MANIFEST, SIGNATURE, PUBLIC})
# What a backup is made of; a project's own `.werk` and a repository are made anew, never taken from a stranger.
_ROOMS = re.compile(
    r"(journal|tables|objects|code|predictions)/.+|keys/werk\.key|project/(?!\.werk(/|$)).+", re.IGNORECASE | re.DOTALL
)
_JOURNAL = re.compile(r"jrn_[a-z0-9_-]{1,80}")


@dataclass(frozen=True, slots=True)
class About:
    """`files` are sha256 by name. `tables` are the newest version of each; `missing` is what was gone when it was made."""

    project: str
    name: str
    profile: str
    journal: str
    seq: int
    hash: str
    at: str
    tables: Mapping[str, int]
    missing: Sequence[str]
    files: Mapping[str, str]
    schema: int = SCHEMA


@dataclass(frozen=True, slots=True)
class Archive:
    """A checked backup: what it is read from is what was written."""

    folder: Path
    about: About
    public_key: bytes
    manifest_sha256: str

    @property
    def fingerprint(self) -> str:
        """Of the key that has signed: what `sha256sum manifest.pub` says."""
        return sha256_hex(self.public_key)

    def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self.about.files if name.startswith(prefix))

    def read(self, name: str) -> bytes:
        """Checked again while it is read: between the check and now somebody may have changed it."""
        data = (self.folder / name).read_bytes()
        if sha256_hex(data) != self.about.files[name]:
            raise _changed(name)
        return data

    @classmethod
    def checked(cls, folder: Path) -> Archive:
        """Reads every byte. `InputError` for what is no backup, `Tampered` naming the file that is not what was written."""
        manifest, public = _read(folder, MANIFEST), _read(folder, PUBLIC)
        _check_signature(public, _read(folder, SIGNATURE), manifest)
        archive = cls(folder, _parsed(manifest), public, sha256_hex(manifest))
        _check_names(archive.about.files)
        _check_present(folder, archive.about.files)
        for name in archive.about.files:
            archive.read(name)
        return archive


def seal(folder: Path, about: About, signature: bytes, public_key: bytes) -> None:
    """The manifest comes last: a folder without it is an unfinished backup."""
    (folder / SIGNATURE).write_bytes(signature)
    (folder / PUBLIC).write_bytes(public_key)
    (folder / MANIFEST).write_bytes(manifest_of(about))


def manifest_of(about: About) -> bytes:
    return canonical_json({**asdict(about), "files": dict(about.files), "tables": dict(about.tables)}).encode()


def _read(folder: Path, name: str) -> bytes:
    try:
        return (folder / name).read_bytes()
    except OSError as absent:
        raise InputError(
            f"There is no complete backup in {folder}: {name} cannot be read.",
            code="backup-unknown",
            hint="Name the folder that `werk backup` wrote.",
        ) from absent


def _check_signature(public: bytes, signature: bytes, manifest: bytes) -> None:
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, manifest)
    except (InvalidSignature, ValueError):
        raise _changed(MANIFEST) from None


def _parsed(manifest: bytes) -> About:
    try:
        fields: dict[str, Any] = json.loads(manifest)
        if fields.get("schema") != SCHEMA:
            hint = "Use the werk that wrote it, or a newer one."
            raise InputError(f"The backup has schema {fields.get('schema')}, known is {SCHEMA}.", code="backup-schema", hint=hint)
        about = About(**fields)
        _check_about(about)
    except (ValueError, TypeError, AttributeError) as malformed:
        raise _damaged(f"has a {MANIFEST} that no `werk backup` writes") from malformed
    return about


def _check_about(about: About) -> None:
    """Folders and files are named after these: none of them may lead out of its place, whoever has signed it."""
    for what, name in (("project", about.name), ("project id", about.project)):
        try:
            check_name(what, name)
        except InputError as unfit:
            raise _damaged(f"is of a {what} '{name[:80]}', which no {what} can be called") from unfit
    if not _JOURNAL.fullmatch(about.journal):
        raise _damaged(f"is of a journal '{about.journal[:80]}', which no journal can be called")


def _check_names(names: Mapping[str, str]) -> None:
    """A name that would lead out of a folder is refused, whoever has signed it."""
    for name in names:
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name or not path.parts:
            raise _damaged(f"names a file '{name}', which leads out of it")
        if not _ROOMS.fullmatch(name) or name != path.as_posix() or ".git" in map(str.lower, path.parts):
            raise _damaged(f"names a file '{name}', which no `werk backup` writes")


def _check_present(folder: Path, names: Mapping[str, str]) -> None:
    found = set(_files(folder))
    for name in sorted(names.keys() - found):
        raise _damaged(f"lacks the file {name}")
    for name in sorted(found - names.keys() - _OWN):
        raise _damaged(f"holds a file {name} that it does not name")


def _files(folder: Path) -> Iterator[str]:
    for place, folders, files in os.walk(folder):
        for name in [*files, *(name for name in folders if (Path(place) / name).is_symlink())]:
            path = Path(place) / name
            relative = path.relative_to(folder).as_posix()
            if path.is_symlink():
                raise _damaged(f"holds a link, {relative}")
            yield relative


def _changed(name: str) -> Tampered:
    return _damaged(f"holds a {name} that is not what was written")


def _damaged(how: str) -> Tampered:
    return Tampered(f"The backup {how}.", code="backup-damaged", hint="Use another copy of the backup.")
