"""The Python a run stands on: every installed file by digest, the interpreter, the arithmetic, the telling variables."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.metadata import Distribution, distributions
from pathlib import Path
from typing import cast
from urllib.parse import unquote, urlparse

from werk.core.canonical import JSON, digest_of, sha256_hex

# What an installer notes about itself differs between pip and uv, though the installed code is the same.
_INSTALLERS_NOTES = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json", "uv_cache.json", "uv_build.json"})
_TELLING = re.compile(r"(?:OMP|OPENBLAS|MKL|NPY|ATEN|DNNL|POLARS)_.*|GLIBC_TUNABLES|PYTHONHASHSEED")
# Of /proc/cpuinfo only what arithmetic libraries choose their kernels by; the rest changes with the kernel's mitigations.
_ARITHMETIC = re.compile(r"(?:sse|ssse|avx|fma|f16c|bmi|amx|asimd|sve|neon|fphp).*")


@dataclass(frozen=True, slots=True)
class Environment:
    """Equal `sha256` means equal facts: `distributions`, `python`, `machine` and `variables`, each a mapping."""

    sha256: str
    facts: Mapping[str, Mapping[str, JSON]]


def capture_environment() -> Environment:
    """The environment of this process, from what is installed; no lock file is needed."""
    facts: dict[str, Mapping[str, JSON]] = {
        "distributions": _distributions(tuple(_installed_in())),
        "python": _python(),
        "machine": _machine(),
        "variables": {name: value for name, value in sorted(os.environ.items()) if _TELLING.fullmatch(name)},
    }
    return Environment(digest_of(facts), facts)


def differences(a: Environment, b: Environment) -> list[str]:
    """One line per fact that is not the same in both, from `a` to `b`; empty exactly when the digests are equal.

    >>> one = Environment("", {"variables": {"OMP_NUM_THREADS": "1"}})
    >>> differences(one, Environment("", {"variables": {}}))
    ["variable OMP_NUM_THREADS: '1' -> absent"]
    """
    return [line for group in sorted({*a.facts, *b.facts}) for line in _differing(group, a, b)]


def _differing(group: str, a: Environment, b: Environment) -> Iterator[str]:
    left, right = a.facts.get(group, {}), b.facts.get(group, {})
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name) or (name in left) != (name in right):
            yield f"{group.removesuffix('s')} {name}: {_told(left, name)} -> {_told(right, name, left.get(name))}"


def _told(facts: Mapping[str, JSON], name: str, before: JSON = None) -> str:
    if name not in facts:
        return "absent"
    value = facts[name]
    if not isinstance(value, Mapping):
        return repr(value)
    same_version = isinstance(before, Mapping) and before.get("version") == value.get("version")
    return "the same version with other files" if same_version else str(value.get("version"))


# --- what is installed ---


def _installed_in() -> Iterator[tuple[str, int]]:
    """Each folder of the import path with the time it last changed: installing or removing something moves it."""
    for entry in sys.path:
        try:
            yield entry, Path(entry or ".").stat().st_mtime_ns
        except OSError:
            continue


@lru_cache(maxsize=1)
def _recorded(folders: tuple[tuple[str, int], ...]) -> dict[str, dict[str, JSON]]:
    found: dict[str, dict[str, JSON]] = {}
    for distribution in distributions(path=[folder for folder, _ in folders]):
        name = re.sub(r"[-_.]+", "-", distribution.metadata["Name"] or "").lower()
        # The first one on the path is the one that is imported.
        if name and name not in found:
            found[name] = _distribution(distribution)
    return found


def _distributions(folders: tuple[tuple[str, int], ...]) -> dict[str, JSON]:
    """The rows of each RECORD are read once per process; source folders that are edited in place are read every time."""
    found = _recorded(folders)
    return {name: {k: _sources(Path(str(v))) if k == "source" else v for k, v in found[name].items()} for name in sorted(found)}


def _distribution(distribution: Distribution) -> dict[str, JSON]:
    about: dict[str, JSON] = {"version": distribution.version, "files": _rows_digest(distribution.read_text("RECORD"))}
    source = _edited_in_place(distribution.read_text("direct_url.json"))
    return about | ({"source": str(source)} if source else {})


def _rows_digest(record: str | None) -> str | None:
    if record is None:
        return None
    rows = sorted(f"{row[0]},{row[1]}" for row in csv.reader(record.splitlines()) if row and _is_code(row[0]))
    return sha256_hex("\n".join(rows))


def _is_code(path: str) -> bool:
    """Scripts (`../../bin/x`) hold the interpreter's path; byte code holds times."""
    return not path.endswith(".pyc") and not path.startswith("../") and path.rsplit("/", 1)[-1] not in _INSTALLERS_NOTES


def _edited_in_place(direct_url: str | None) -> Path | None:
    about = json.loads(direct_url) if direct_url else {}
    if not about.get("dir_info", {}).get("editable"):
        return None
    folder = Path(unquote(urlparse(about["url"]).path))
    return folder / "src" if (folder / "src").is_dir() else folder


def _sources(folder: Path) -> str:
    """Digest of the Python files below a folder; hidden folders are not part of the package."""
    files = (path for path in folder.rglob("*.py") if not any(part.startswith(".") for part in path.relative_to(folder).parts))
    return digest_of([[path.relative_to(folder).as_posix(), _file_digest(path)] for path in sorted(files)])


# --- interpreter and machine ---


def _python() -> dict[str, JSON]:
    binary = Path(sys.executable).resolve()
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "binary_sha256": _binary_digest(str(binary), binary.stat().st_mtime_ns),
    }


def _machine() -> dict[str, JSON]:
    return {"system": platform.system(), "architecture": platform.machine(), "libc": " ".join(platform.libc_ver()), "cpu": _cpu()}


@lru_cache(maxsize=1)
def _cpu() -> str:
    """The arithmetic instruction sets, sorted; empty where the system does not list them."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return " ".join(sorted({flag for flag in flags.split() if _ARITHMETIC.fullmatch(flag)}))


@lru_cache(maxsize=4)
def _binary_digest(path: str, _changed: int) -> str:
    return _file_digest(Path(path))


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(cast("hashlib._BytesIOLike", file), "sha256").hexdigest()
