"""Every installed distribution by the digest of its files, and those whose files are not what was installed."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlparse

from werk.core.canonical import JSON, digest_of, sha256_hex
from werk.workflow.capture.arithmetic import file_digest

# What an installer notes about itself differs between pip and uv, though the installed code is the same.
_INSTALLERS_NOTES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})


def installed() -> dict[str, JSON]:
    """`{"version", "files"}` by name. Each RECORD is read once per process; folders edited in place are read every time."""
    found = _recorded(tuple(_folders()))
    return {name: {k: _sources(Path(str(v))) if k == "source" else v for k, v in found[name].items()} for name in sorted(found)}


def altered() -> list[str]:
    """The installed files that are not what the RECORD of their distribution says: `toy-lib 1.0: toy.py is missing`.

    A RECORD alone is no proof: another package can have written over a file. Reads every installed file, which takes
    seconds.
    """
    return sorted(line for distribution in _first_of_each() for line in _altered(distribution))


def is_installed(*places: Path) -> bool:
    """Whether a file, or something in a folder, is named in the RECORD of a distribution; `places` are its names."""
    return _named_in_records(places, tuple(_folders()))


@lru_cache(maxsize=4096)
def _named_in_records(places: tuple[Path, ...], folders: tuple[tuple[str, int], ...]) -> bool:
    return any(_names(_records(*folder), base, place) for folder in folders for base in _both(folder[0]) for place in places)


def _names(records: str, base: Path, place: Path) -> bool:
    if not records or not place.is_relative_to(base):
        return False
    name = place.relative_to(base).as_posix()
    return any(f"\n{quote}{name}{end}" in records for quote in ("", '"') for end in (",", '",', "/"))


def _both(folder: str) -> set[Path]:
    """A folder as it is named and as it lies: there may be a link between."""
    return {Path(folder).absolute(), Path(folder).resolve()}


@lru_cache(maxsize=64)
def _records(folder: str, _changed: int) -> str:
    """All RECORDs of a folder, a line each row: one text, because parsing them takes longer than a run's start."""
    found = sorted(Path(folder or ".").glob("*.dist-info/RECORD"))
    return "".join("\n" + file.read_text(encoding="utf-8") for file in found)


def _folders() -> Iterator[tuple[str, int]]:
    """Each folder of the import path with the time it last changed: installing or removing something moves it."""
    for entry in sys.path:
        try:
            yield entry, Path(entry or ".").stat().st_mtime_ns
        except OSError:
            continue


@lru_cache(maxsize=1)
def _recorded(_folders: tuple[tuple[str, int], ...]) -> dict[str, dict[str, JSON]]:
    return {_name(distribution): _distribution(distribution) for distribution in _first_of_each()}


def _first_of_each() -> list[Distribution]:
    """The first one of a name on the path is the one that is imported."""
    found: dict[str, Distribution] = {}
    for distribution in distributions(path=[folder for folder, _ in _folders()]):
        found.setdefault(_name(distribution), distribution)
    return [distribution for name, distribution in found.items() if name]


def _name(distribution: Distribution) -> str:
    return re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()


def _distribution(distribution: Distribution) -> dict[str, JSON]:
    record = distribution.read_text("RECORD")
    about: dict[str, JSON] = {"version": distribution.version, "files": None if record is None else _rows_digest(record)}
    source = _edited_in_place(distribution.read_text("direct_url.json"))
    return about | ({"source": str(source)} if source else {})


def _rows_digest(record: str) -> str:
    return sha256_hex("\n".join(sorted(f"{row[0]},{row[1]}" for row in _rows(record))))


def _rows(record: str) -> Iterator[list[str]]:
    return (row for row in csv.reader(record.splitlines()) if row and _is_code(row[0]))


def _is_code(path: str) -> bool:
    """Scripts (`../../bin/x`) hold the interpreter's path; byte code holds times."""
    return not path.endswith(".pyc") and not path.startswith("../") and path.rsplit("/", 1)[-1] not in _INSTALLERS_NOTES


def _altered(distribution: Distribution) -> Iterator[str]:
    label = f"{_name(distribution)} {distribution.version}"
    for path, recorded, *_ in _rows(distribution.read_text("RECORD") or ""):
        file = Path(str(distribution.locate_file(path)))
        if not file.is_file():
            yield f"{label}: {path} is missing"
        elif recorded and not _is_recorded(file, recorded):
            yield f"{label}: {path} is not what its RECORD says"


def _is_recorded(file: Path, recorded: str) -> bool:
    kind, _, digest = recorded.partition("=")
    with file.open("rb") as opened:
        found = hashlib.file_digest(cast("hashlib._BytesIOLike", opened), kind).digest()
    return base64.urlsafe_b64encode(found).rstrip(b"=").decode() == digest


def _edited_in_place(direct_url: str | None) -> Path | None:
    about = json.loads(direct_url) if direct_url else {}
    if not about.get("dir_info", {}).get("editable"):
        return None
    folder = Path(unquote(urlparse(about["url"]).path))
    return folder / "src" if (folder / "src").is_dir() else folder


def _sources(folder: Path) -> str:
    """Digest of the Python files below a folder; hidden folders are not part of the package."""
    files = (path for path in folder.rglob("*.py") if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return digest_of([[path.relative_to(folder).as_posix(), file_digest(path)] for path in sorted(files)])
