"""The files of a project that a step reads, by the digest of what they hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from werk.core.canonical import sha256_hex
from werk.core.errors import InputError

Digests = Mapping[str, str | None]


def digests(root: Path, names: Iterable[str]) -> Digests:
    """By name below `root`: SHA-256 of the file, None where there is none."""
    return {name: file_digest(root / name) for name in names}


def file_digest(path: Path) -> str | None:
    """SHA-256 of a file's bytes, None where there is no file."""
    return sha256_hex(path.read_bytes()) if path.is_file() else None


def check_unchanged(root: Path, then: Digests, step: str) -> None:
    """`InputError` when a file was changed while the step ran: its result would be kept under what it was not made from."""
    now = digests(root, then)
    for name, digest in then.items():
        if now[name] != digest:
            raise InputError(
                f"The file '{name}' was changed while step '{step}' ran.", code="file-changed", hint="Leave it and start again."
            )


def check_declared(step: str, files: Iterable[str], inputs: Iterable[str]) -> None:
    """A name is relative to the project, or `{input}`: the file that this input names."""
    for name in files:
        named = input_of(name)
        if named is None and (PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts):
            raise InputError(
                f"Step '{step}' reads '{name}', which is outside the project.", code="step-file", hint="Land it as a table."
            )
        if named is not None and named not in inputs:
            raise InputError(f"Step '{step}' has no input '{named}' to name a file.", code="step-file", hint="Name an input.")


def input_of(name: str) -> str | None:
    return name[1:-1] if name.startswith("{") and name.endswith("}") else None
