"""The arithmetic every run stands on: thread counts, kernel class and hash seed, in force before a library loads.

The same rows give other last bits on another number of threads, or on kernels for a wider processor; libraries choose
both when they are loaded, from variables. So the command line sets these and starts itself once more, before
anything heavy is imported (the hash seed is read by the interpreter itself, so setting it later would be in vain):

- one thread for OpenMP, OpenBLAS and MKL, none added while running: the count that every machine has. A trainer that takes
  its threads as a parameter (`fit_lightgbm(threads=...)`) is not bound by it, and its count is recorded with the model;
- kernels of the class AVX2 with FMA for OpenBLAS, NumPy, PyTorch and oneDNN, where the processor has them (x86-64-v3), and
  MKL's compatible ones: a newer processor then computes as an older one does. On other processors nothing is chosen, and
  what the libraries choose is recorded;
- the hash seed, so that the order of a set of texts is the same in every process.

What you have set yourself is kept. What is really in force is recorded with each run (`workflow/capture/arithmetic.py`).
OpenBLAS and NumPy were seen to follow; MKL, PyTorch and oneDNN are not installed with werk and go by their manuals.
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

ANYWHERE: Mapping[str, str] = {
    "OMP_NUM_THREADS": "1",
    "OMP_DYNAMIC": "FALSE",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "MKL_DYNAMIC": "FALSE",
    "MKL_CBWR": "COMPATIBLE",
    "PYTHONHASHSEED": "0",
}
AVX2: Mapping[str, str] = {
    "OPENBLAS_CORETYPE": "Haswell",
    "ATEN_CPU_CAPABILITY": "avx2",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
}
# NumPy warns of a name it was not built with, and renamed its classes in 2.4.
_WIDER = {True: "X86_V4 AVX512_ICL AVX512_SPR", False: "AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR"}
_NAMES = frozenset({*ANYWHERE, *AVX2, "NPY_DISABLE_CPU_FEATURES"})
# A server answers strangers: a known hash seed would let them fill its tables with collisions.
_UNPINNED = ("serve",)


def begin_again(words: Sequence[str]) -> None:
    """Start this very command once more with the pins in force, unless they are, or the command has no use for them.

    The process stays the same one: its id, its streams and its parent. Under a debugger it goes on, without the seed.
    """
    command = next((word for word in words if not word.startswith("-")), None)
    missing = {name: value for name, value in pins().items() if name not in os.environ} if _NAMES - os.environ.keys() else {}
    # Windows has no way to replace a process: there the variables are set for what is loaded later.
    if command is None or command in _UNPINNED or "--help" in words or not missing:
        return
    if _watched():
        os.environ.update({name: value for name, value in missing.items() if name != "PYTHONHASHSEED"})  # too late for that
        return
    os.environ.update(missing)
    if os.name == "posix":
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _watched() -> bool:
    """A debugger that stands in this process would not follow into the one that takes its place."""
    return "debugpy" in sys.modules or sys.gettrace() is not None


def pins() -> dict[str, str]:
    """What is pinned on this machine."""
    return {**ANYWHERE, **AVX2, "NPY_DISABLE_CPU_FEATURES": _WIDER[_renamed()]} if _has_avx2() else dict(ANYWHERE)


def _has_avx2() -> bool:
    if platform.machine() not in ("x86_64", "AMD64"):
        return False
    try:
        said = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    flags = next((line.split() for line in said.splitlines() if line.startswith("flags")), [])
    return {"avx2", "fma"} <= set(flags)


def _renamed() -> bool:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return tuple(map(int, version("numpy").split(".")[:2])) >= (2, 4)
    except (PackageNotFoundError, ValueError):
        return True
