"""The arithmetic is pinned before a library loads, and really another one then."""

import json
import os
import subprocess
import sys

import pytest

from werk.app import pinned
from werk.workflow.capture.environment import Environment, variables_for

REPORT = """
import json, sys, numpy, scipy.linalg
from threadpoolctl import threadpool_info
pools = [pool for pool in threadpool_info() if pool["internal_api"] == "openblas"]
loops = numpy.lib.introspect.opt_func_info().values()
print(json.dumps({
    "cores": sorted({pool["architecture"] for pool in pools}),
    "threads": sorted({pool["num_threads"] for pool in pools}),
    "numpy": sorted({kind["current"] for loop in loops for kind in loop.values()}),
    "seeded": sys.flags.hash_randomization == 0,
}))
"""
BARE = variables_for(Environment("", {}), os.environ)
avx2 = "OPENBLAS_CORETYPE" in pinned.pins()


def process(script: str, *words: str, **variables: str) -> str:
    command = [sys.executable, "-W", "error", "-c", script, *words]
    return subprocess.run(command, capture_output=True, text=True, check=True, env={**BARE, **variables}).stdout


def reported(**variables: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(process(REPORT, **variables))
    return found


def test_openblas_and_numpy_follow_the_pins() -> None:
    """Warnings are errors here: NumPy warns of a feature name it does not know."""
    found = reported(**pinned.pins())
    assert (found["threads"], found["seeded"]) == ([1], True)
    if avx2:
        assert found["cores"] == ["Haswell"]
        assert not {"X86_V4", "AVX512_SKX", "AVX512F"} & set(found["numpy"])  # type: ignore[call-overload]


@pytest.mark.parametrize("core", ["Haswell", "Nehalem"])
def test_the_kernel_class_is_really_another_one(core: str) -> None:
    if avx2:
        assert reported(OPENBLAS_CORETYPE=core)["cores"] == [core]


def begun(*words: str, **variables: str) -> str:
    """What a command finds when `begin_again` has let it go on: the hash seed, and whether anything heavy was loaded by then."""
    script = (
        "import os, sys; from werk.app.pinned import begin_again; begin_again(sys.argv[1:]); "
        "print(os.getpid(), hash('a'), os.environ.get('OMP_NUM_THREADS'), 'numpy' in sys.modules)"
    )
    return process(script, *words, **variables)


def test_a_command_starts_again_in_the_same_process_with_the_pins_and_nothing_heavy_loaded() -> None:
    first, second = begun("run", "training").split(), begun("--debug", "run", "training").split()
    assert first[1:] == second[1:]
    assert first[2:] == ["1", "False"]
    command = [sys.executable, "-c", "import os, sys; from werk.app.pinned import *; begin_again(['run']); print(os.getpid())"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=BARE) as started:
        assert started.stdout is not None
        assert int(started.stdout.read()) == started.pid


def test_what_is_set_is_kept() -> None:
    assert begun("run", OMP_NUM_THREADS="4").split()[2:] == ["4", "False"]
    assert begun("run", PYTHONHASHSEED="5").split()[1] != begun("run").split()[1]


@pytest.mark.parametrize("words", [("serve",), ("run", "--help"), ("--help",), ()])
def test_a_server_and_a_help_text_are_left_as_they_are(words: tuple[str, ...]) -> None:
    """A server answers strangers, so its hash seed stays a secret."""
    assert begun(*words).split()[2] == "None"
