"""What does the sums in this process: thread counts, kernel classes and the C library, as they are really in force."""

from __future__ import annotations

import hashlib
import importlib
import os
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from threadpoolctl import threadpool_info

from werk.core.canonical import JSON

# Of /proc/cpuinfo only what arithmetic libraries choose their kernels by; the rest changes with the kernel's mitigations.
_ARITHMETIC = re.compile(r"(?:sse|ssse|avx|fma|f16c|bmi|amx|asimd|sve|neon|fphp).*")
# Each brings threads of its own, and a run may use any of them: what is recorded must not depend on what happened to be loaded.
_BRINGING = ("numpy", "scipy.linalg", "sklearn", "lightgbm", "polars")
_C_LIBRARY = re.compile(r"(libc|libm|libpython)[\d.]*(?:-[\d.]+)?\.so[\d.]*")


@lru_cache(maxsize=1)
def threads() -> Mapping[str, JSON]:
    """Threads by library: `{"openblas": 1, "openmp": 1, "polars": 2}`, in words where two copies of one differ.

    As they stood when first asked for in this process: a training that sets its own count changes the pool it shares.
    """
    counts = {api: _one(pool["num_threads"] for pool in pools) for api, pools in _pools().items()}
    polars = sys.modules.get("polars")
    return {**counts, **({"polars": polars.thread_pool_size()} if polars else {})}


@lru_cache(maxsize=1)
def kernels() -> Mapping[str, JSON]:
    """The kernel class by library: `{"numpy": "X86_V3, baseline(X86_V2)", "openblas": "Haswell"}`."""
    chosen = {api: _one(pool["architecture"] for pool in pools) for api, pools in _pools().items() if "architecture" in pools[0]}
    numpy = sys.modules.get("numpy")
    return {**chosen, **({"numpy": _of_numpy(numpy)} if numpy else {})}


def c_libraries() -> dict[str, JSON]:
    """The digest of libc, libm and libpython as this process has loaded them; empty where the system does not list them."""
    _bring()
    named = {match[1]: path for path in _loaded() if (match := _C_LIBRARY.fullmatch(path.name))}
    return {name: file_digest(named[name]) for name in sorted(named)}


@lru_cache(maxsize=1)
def instruction_sets() -> str:
    """The arithmetic ones of this processor, sorted; empty where the system does not list them."""
    flags = _about_cpu().get("flags") or _about_cpu().get("Features") or ""
    return " ".join(sorted({flag for flag in flags.split() if _ARITHMETIC.fullmatch(flag)}))


def hardware() -> dict[str, JSON]:
    """What the run stood on, to be shown and not compared: what of it can change a result is in the other facts."""
    processor = _about_cpu().get("model name")
    return {"processor": processor, "cpus": os.cpu_count(), "memory_bytes": _memory()}


def file_digest(path: Path) -> str:
    """SHA-256 of a file, read once per process and change."""
    about = path.stat()
    return _file_digest(str(path), about.st_mtime_ns, about.st_size)


@lru_cache(maxsize=4096)
def _file_digest(path: str, _changed: int, _size: int) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(cast("hashlib._BytesIOLike", file), "sha256").hexdigest()


@lru_cache(maxsize=1)
def _bring() -> None:
    for name in _BRINGING:
        with suppress(ImportError):  # where one is not installed, it computes nothing either
            importlib.import_module(name)


@lru_cache(maxsize=1)
def _pools() -> dict[str, list[dict[str, Any]]]:
    _bring()
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for pool in threadpool_info():
        found[str(pool["internal_api"])].append(pool)
    return dict(sorted(found.items()))


def _one(values: Iterable[JSON]) -> JSON:
    distinct = sorted(set(values), key=str)
    return distinct[0] if len(distinct) == 1 else ", ".join(map(str, distinct))


def _of_numpy(numpy: Any) -> JSON:
    """The classes its dispatched loops run on; what NumPy was told to leave out is not among them."""
    loops = numpy.lib.introspect.opt_func_info().values()
    return _one([kind["current"] for loop in loops for kind in loop.values()])


def _loaded() -> list[Path]:
    try:
        lines = Path("/proc/self/maps").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
    names = {line[line.index("/") :] for line in lines if "/" in line}
    return sorted(path for path in map(Path, names) if path.is_file())


@lru_cache(maxsize=1)
def _about_cpu() -> dict[str, str]:
    """What /proc/cpuinfo says of the first processor."""
    try:
        first = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0]
    except OSError:
        return {}
    pairs = (line.partition(":") for line in first.splitlines())
    return {name.strip(): value.strip() for name, _, value in pairs}


def _memory() -> int | None:
    names = ("SC_PAGE_SIZE", "SC_PHYS_PAGES")
    return os.sysconf(names[0]) * os.sysconf(names[1]) if set(names) <= set(os.sysconf_names) else None
