"""A stranger's package is installed, found by its entry point and held to the port's promises, with no change in ours."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

TOY = Path(__file__).parents[2] / "examples" / "toy_plugin"
WHERE = "from werk.core.plugins import adapter; print(adapter('object_store', 'toy').__module__)"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder a wheel of the toy is unpacked into, as an installer would."""
    target = tmp_path_factory.mktemp("site")
    options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--target", str(target)]
    command = [*_installer(), *options, str(TOY)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return target


def _installer() -> list[str]:
    pip = subprocess.run([sys.executable, "-m", "pip", "--version"], capture_output=True, check=False)
    return [sys.executable, "-m", "pip", "install"] if pip.returncode == 0 else ["uv", "pip", "install"]


def run(arguments: list[str], *path: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
    return subprocess.run([sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False)


def test_it_is_found_by_its_entry_point(installed: Path) -> None:
    assert run(["-c", WHERE], installed).stdout == "werk_toy.store\n"


def test_it_keeps_every_promise_of_the_port(installed: Path) -> None:
    own = TOY / "tests"
    done = run(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(own), str(own)], installed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


def test_without_it_the_known_ones_are_named() -> None:
    said = run(["-c", WHERE]).stderr
    assert "There is no object_store adapter 'toy'" in said
