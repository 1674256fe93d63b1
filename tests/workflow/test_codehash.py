from __future__ import annotations

import importlib
import subprocess
import sys
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from werk.core.errors import InputError
from werk.workflow.codehash import code_hash
from werk.workflow.step import Step, step

FILES = {
    "main.py": (
        "from __future__ import annotations\n"
        "import math\n"
        "from PKG.shared import Rule, scale as scaled\n"
        "from PKG import deep\n"
        "from werk.workflow.step import step\n"
        "CUT = 3\n"
        "LATE = [CUT]\n"
        "UNUSED = 1\n"
        "def helper(x):\n"
        "    return scaled(x) + deep.rolling.mean(x)\n"
        "@step('go')\n"
        "def go(x: int) -> int:\n"
        "    # a comment\n"
        "    if x > LATE[0]:\n"
        "        return helper(x)\n"
        "    return Rule().apply(math.floor(x))\n"
    ),
    "shared.py": "FACTOR = 2\ndef scale(x):\n    return x * FACTOR\n"
    "class Rule:\n    def apply(self, x):\n        return x\ndef other():\n    return 1\n",
    "deep/__init__.py": "from . import rolling\n",
    "deep/rolling.py": "def mean(x):\n    return x / WIDTH\nWIDTH = 4\n",
}

Change = Callable[[str], str]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """The hash of `go` in a fresh copy of the project with one file changed."""

    def build(file: str = "", old: str = "", new: str = "", write: Change = lambda text: text) -> str:
        root = tmp_path / uuid.uuid4().hex
        package = root / "PKG"
        for name, text in FILES.items():
            (package / name).parent.mkdir(parents=True, exist_ok=True)
            if name == file:
                assert old in text
                text = text.replace(old, new)
            (package / name).write_bytes(write(text).encode())
        (package / "__init__.py").touch()
        for name in [name for name in sys.modules if name.partition(".")[0] == "PKG"]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.syspath_prepend(str(root))
        made = importlib.import_module("PKG.main").go
        assert isinstance(made, Step)
        return code_hash(made, root)

    return build


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.py", "x > LATE", "x >= LATE"),
        ("main.py", "CUT = 3", "CUT = 4"),
        ("main.py", "import math\n", "import cmath as math\n"),
        ("main.py", "LATE = [CUT]\n", "LATE = [CUT]\nLATE.append(9)\n"),
        ("main.py", "LATE = [CUT]\n", "if CUT:\n    LATE = [CUT]\nelse:\n    LATE = []\n"),
        ("main.py", "'go')", "'go', retries=1)"),
        ("shared.py", "FACTOR = 2", "FACTOR = 3"),
        ("shared.py", "return x\n", "return -x\n"),
        ("deep/rolling.py", "x / WIDTH", "x // WIDTH"),
        ("deep/rolling.py", "WIDTH = 4", "WIDTH = 5"),
    ],
)
def test_a_change_in_anything_the_step_reaches_changes_its_hash(
    project: Callable[..., str], file: str, old: str, new: str
) -> None:
    assert project(file, old, new) != project()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("main.py", "# a comment", "# another one"),
        ("main.py", "UNUSED = 1", "UNUSED = 2"),
        ("main.py", "CUT = 3\n", "\n\nCUT = 3   # why\n"),
        ("shared.py", "return 1", "return 2"),
    ],
)
def test_what_the_step_does_not_reach_leaves_its_hash(project: Callable[..., str], file: str, old: str, new: str) -> None:
    assert project(file, old, new) == project()


def test_line_ends_and_trailing_blanks_do_not_count(project: Callable[..., str]) -> None:
    plain = project()
    assert project(write=lambda text: text.replace("\n", "\r\n")) == plain
    assert project(write=lambda text: text.replace(":\n", ":   \n")) == plain


def test_every_process_gives_the_same_hash(tmp_path: Path) -> None:
    (tmp_path / "pipe.py").write_text(
        "from werk.workflow.step import step\nNAMES = {'a', 'b', 'c'}\n@step('s')\ndef s() -> int:\n    return len(NAMES)\n"
    )
    script = "import pathlib, pipe\nfrom werk.workflow.codehash import code_hash\nprint(code_hash(pipe.s, pathlib.Path.cwd()))"
    seeds = ("0", "4242")
    told = [
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=tmp_path,
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
        ).stdout
        for seed in seeds
    ]
    assert told[0] == told[1]
    assert len(told[0].strip()) == 64


def test_two_steps_of_one_factory_differ_by_what_they_closed_over() -> None:
    def make(k: int) -> Step[[], int]:
        @step("made")
        def made() -> int:
            return k

        return made

    root = Path(__file__).parent
    assert code_hash(make(1), root) == code_hash(make(1), root)
    assert code_hash(make(1), root) != code_hash(make(2), root)


def test_recursive_code_ends() -> None:
    assert len(code_hash(even, Path(__file__).parent)) == 64


def odd(n: int) -> bool:
    return n != 0 and even.fn(n - 1)


@step("even")
def even(n: int) -> bool:
    return n == 0 or odd(n - 1)


def test_code_without_source_is_refused_with_the_way_out() -> None:
    scope: dict[str, object] = {}
    exec("def typed_in() -> int:\n    return 1\n", scope)
    for fn in (lambda: 1, scope["typed_in"]):
        with pytest.raises(InputError, match="no source") as told:
            code_hash(Step("s", fn), Path.cwd())  # type: ignore[arg-type]  # a plain function from exec
        assert "def" in told.value.hint
