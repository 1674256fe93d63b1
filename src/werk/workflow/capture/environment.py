"""The Python a run stands on: every installed file by digest, the interpreter, the arithmetic, the telling variables."""

from __future__ import annotations

import os
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from werk.core.canonical import JSON, digest_of
from werk.workflow.capture.arithmetic import c_libraries, file_digest, hardware, instruction_sets, kernels, threads
from werk.workflow.capture.distributions import installed
from werk.workflow.capture.secrets import names_secret

_FAMILIES = "OMP|GOMP|KMP|OPENBLAS|GOTO|MKL|NPY|ATEN|DNNL|ONEDNN|POLARS"
_TELLING = re.compile(rf"(?:{_FAMILIES})_.*|GLIBC_TUNABLES|PYTHONHASHSEED")
# How much a library says of itself and how polars prints a frame change no result; the polars pool is counted in `threads`;
# the last two are set by scikit-learn itself when it is loaded.
_SILENT = re.compile(
    r".*_(?:VERBOSE|DISPLAY_ENV|DISPLAY_AFFINITY|WARNINGS)|POLARS_(?:FMT|TABLE)_.*|POLARS_MAX_THREADS"
    r"|KMP_DUPLICATE_LIB_OK|KMP_INIT_AT_FORK"
)
# An installer is in the environment and in no result: a new pip need not train a model again.
_INSTALLERS = frozenset({"pip", "uv"})
_SINGULAR = {"libraries": "library"}


@dataclass(frozen=True, slots=True)
class Environment:
    """Equal `sha256` means equal `facts`: distributions, python, machine, libraries, threads, kernels and variables.

    `hardware` is recorded to be shown; it is in no digest and no comparison.
    """

    sha256: str
    facts: Mapping[str, Mapping[str, JSON]]
    hardware: Mapping[str, JSON] = field(default_factory=dict)

    @classmethod
    def from_json(cls, body: Mapping[str, JSON]) -> Environment:
        """As a run recorded it; one that recorded nothing has no facts."""
        facts = cast("Mapping[str, Mapping[str, JSON]]", body.get("facts") or {})
        return cls(str(body.get("sha256", "")), facts, cast("Mapping[str, JSON]", body.get("hardware") or {}))


def capture_environment() -> Environment:
    """The environment of this process, from what is installed; no lock file is needed."""
    facts: dict[str, Mapping[str, JSON]] = {
        "distributions": installed(),
        "python": _python(),
        "machine": _machine(),
        "libraries": c_libraries(),
        "threads": threads(),
        "kernels": kernels(),
        "variables": _telling(os.environ),
    }
    return Environment(digest_of(facts), facts, hardware())


def variables_for(environment: Environment, shell: Mapping[str, str]) -> dict[str, str]:
    """What a process is started with to be in that environment: a shell's variables, the telling ones as they were recorded."""
    others = {name: value for name, value in shell.items() if not _TELLING.fullmatch(name)}
    recorded = {name: str(value) for name, value in environment.facts.get("variables", {}).items()}
    pool = environment.facts.get("threads", {}).get("polars")
    return {**others, **recorded, **({"POLARS_MAX_THREADS": str(pool)} if pool else {})}


def result_digest(environment: Mapping[str, JSON]) -> str:
    """The digest of what can change a result: everything recorded but the installers. The key of the step cache holds it."""
    facts = Environment.from_json(environment).facts
    if not facts:
        return digest_of(environment)
    kept = {name: about for name, about in facts.get("distributions", {}).items() if name not in _INSTALLERS}
    return digest_of({**facts, "distributions": kept})


def differences(a: Environment, b: Environment) -> list[str]:
    """One line per fact that is not the same in both, from `a` to `b`; empty exactly when the digests are equal.

    >>> one = Environment("", {"variables": {"OMP_NUM_THREADS": "1"}})
    >>> differences(one, Environment("", {"variables": {}}))
    ["variable OMP_NUM_THREADS: '1' -> absent"]
    """
    return [line for group in sorted({*a.facts, *b.facts}) for line in _differing(group, a, b)]


def _differing(group: str, a: Environment, b: Environment) -> Iterator[str]:
    left, right = a.facts.get(group, {}), b.facts.get(group, {})
    one = _SINGULAR.get(group, group.removesuffix("s"))
    for name in sorted({*left, *right}):
        if left.get(name) != right.get(name) or (name in left) != (name in right):
            yield f"{one} {name}: {_told(left, name)} -> {_told(right, name, left.get(name))}"


def _told(facts: Mapping[str, JSON], name: str, before: JSON = None) -> str:
    if name not in facts:
        return "absent"
    value = facts[name]
    if not isinstance(value, Mapping):
        return repr(value)
    same_version = isinstance(before, Mapping) and before.get("version") == value.get("version")
    return "the same version with other files" if same_version else str(value.get("version"))


def _telling(variables: Mapping[str, str]) -> dict[str, JSON]:
    """Those that change a result, but no secret: a library's token is of its family too."""
    kept = (name for name in sorted(variables) if _TELLING.fullmatch(name) and not _SILENT.fullmatch(name))
    return {name: variables[name] for name in kept if not names_secret(name)}


def _python() -> dict[str, JSON]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "binary_sha256": file_digest(Path(sys.executable).resolve()),
    }


def _machine() -> dict[str, JSON]:
    libc = " ".join(platform.libc_ver())
    return {"system": platform.system(), "architecture": platform.machine(), "libc": libc, "cpu": instruction_sets()}
