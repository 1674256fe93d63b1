"""A template's own tests pass where it was copied to, and fail when its code is broken: they guard what a user edits."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from werk.app.commands.projects import create

# Each an edit that one makes in good faith and that lets a feature know the future or miss the past.
BREAKS = {
    "series": (
        ("power.py", "ttl=3 * HOUR, known_after=HOUR", "ttl=3 * HOUR"),
        ("power.py", "(name,), ttl=HOUR", "(name,)"),
        ("power.py", 'pl.col("hour").max() + HOUR', 'pl.col("hour").max()'),
        ("power.py", "FEATURES = (*CALENDAR,", "FEATURES = (TARGET, *CALENDAR,"),
    ),
    "flights-pandas": (("flights/features.py", "known_after=HOUR", "known_after=timedelta()"),),
    "per-key": (
        ("demand.py", "        known_after=WEEK,\n", ""),
        ("demand.py", "known_after=52 * WEEK", "known_after=-WEEK"),
        ("demand.py", ".fill_null(0)", ""),
        ("demand.py", "min() + WEEK", "min()"),
    ),
}


@pytest.fixture
def project(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    create(tmp_path / "mine", request.param)
    return tmp_path / "mine"


def own_tests(project: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:randomly", "-p", "no:cacheprovider", "tests"]
    return subprocess.run(command, cwd=project, capture_output=True, text=True, check=False, timeout=300)


@pytest.mark.parametrize("project", BREAKS, indirect=True)
def test_a_templates_own_tests_pass(project: Path) -> None:
    said = own_tests(project)
    assert said.returncode == 0, said.stdout


@pytest.mark.parametrize(
    ("project", "change"),
    [(name, change) for name, changes in BREAKS.items() for change in changes],
    ids=[f"{name}-{at}" for name, changes in BREAKS.items() for at in range(len(changes))],
    indirect=["project"],
)
def test_a_templates_own_tests_fail_when_its_code_is_broken(project: Path, change: tuple[str, str, str]) -> None:
    file, old, new = change
    code = (project / file).read_text(encoding="utf-8")
    assert code.count(old) == 1
    (project / file).write_text(code.replace(old, new), encoding="utf-8")
    said = own_tests(project)
    assert said.returncode == 1, said.stdout
    assert "failed" in said.stdout
