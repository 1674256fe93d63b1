"""Code that a step reaches outside its project, and ways to code that no name tells: a change of it is another step."""

# ruff: noqa: E501  # a table of programs, a line each

from __future__ import annotations

import hashlib
import importlib
import shutil
import sys
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from werk.workflow.codehash import StepCode, code_of, elsewhere_in

HEAD = "from werk import pipeline, step\n"
STEP = "@step('go')\ndef go(x: int) -> int:\n"
OURS = ("main", "team", "other", "inner", "a", "b")
LATE = "def late(x):\n    return x + 1\n"

Build = Callable[..., StepCode]


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    """The code of `go` in a fresh project with a fresh folder on the import path beside it; `+ 1` becomes `+ 2` on demand."""
    path = list(sys.path)

    def built(main: str, files: Mapping[str, str], *, changed: bool = False, on_path: str = "lib") -> StepCode:
        place = tmp_path / uuid.uuid4().hex
        for name, text in {**files, "project/main.py": HEAD + main}.items():
            (place / name).parent.mkdir(parents=True, exist_ok=True)
            (place / name).write_text(text.replace("+ 1", "+ 2") if changed else text)
        if on_path.endswith(".zip"):
            _zipped(place / "lib", place / on_path)
        for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setattr(sys, "path", [str(place / "project"), str(place / on_path), *path])
        importlib.invalidate_caches()
        return code_of(importlib.import_module("main").go, place / "project")

    return built


def _zipped(folder: Path, target: Path) -> None:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*.py")):
            archive.write(file, file.relative_to(folder).as_posix())
    shutil.rmtree(folder)


FROM_ELSEWHERE: Mapping[str, tuple[str, Mapping[str, str], str]] = {
    "a module": ("import team\n" + STEP + "    return team.late(x)\n", {"lib/team.py": LATE}, "team.py"),
    "an import in the function": (STEP + "    from team import late\n    return late(x)\n", {"lib/team.py": LATE}, "team.py"),
    "what it imports in turn": (
        "import team\n" + STEP + "    return team.late(x)\n",
        {"lib/team.py": "def late(x):\n    from inner.deep import late as l\n    return l(x)\n", "lib/inner/deep.py": LATE},
        "inner/deep.py",
    ),
    "a package": (
        "from team import parts\n" + STEP + "    return parts.late(x)\n",
        {"lib/team/__init__.py": "", "lib/team/parts.py": LATE},
        "team/parts.py",
    ),
    "two files of one name": (
        "import a.parts, b.parts\n" + STEP + "    return a.parts.late(b.parts.late(x))\n",
        {"lib/a/parts.py": LATE, "lib/b/parts.py": LATE.replace("+ 1", "+ 7")},
        "a/parts.py",
    ),
    "a module handed on": ("import team\n" + STEP + "    return vars(team)['late'](x)\n", {"lib/team.py": LATE}, "team.py"),
    "by name": (
        "import importlib\n" + STEP + "    return importlib.import_module('team').late(x)\n",
        {"lib/team.py": LATE},
        "team.py",
    ),
    "a file of nobody's RECORD among those that were installed": (
        "import team\n" + STEP + "    return team.late(x)\n",
        {"lib/team.py": LATE, "lib/toy-1.dist-info/RECORD": "toy.py,sha256=x,1\nsteam.py,,\nteam.pyc,,\n"},
        "team.py",
    ),
    "a file that an editable install points to": (
        "import team\n" + STEP + "    return team.late(x)\n",
        {"lib/team.py": LATE, "site-packages/team-1.dist-info/RECORD": "team.pth,,\nteam-1.dist-info/METADATA,,\n"},
        "team.py",
    ),
}


@pytest.mark.parametrize("way", FROM_ELSEWHERE)
def test_code_from_elsewhere_counts_and_is_named_with_its_digest(build: Build, way: str) -> None:
    main, files, name = FROM_ELSEWHERE[way]
    code = build(main, files)
    assert build(main, files) == code
    assert build(main, files, changed=True).sha256 != code.sha256
    text = next(text for file, text in files.items() if file == f"lib/{name}")
    assert code.elsewhere[name] == hashlib.sha256(text.encode()).hexdigest()


def test_an_archive_on_the_import_path_counts_as_its_bytes(build: Build) -> None:
    main, files = "import team\n" + STEP + "    return team.late(x)\n", {"lib/team.py": LATE}
    code = build(main, files, on_path="team.zip")
    assert list(code.elsewhere) == ["team.zip"]
    assert build(main, files, on_path="team.zip", changed=True).sha256 != code.sha256


def test_what_was_installed_and_what_python_brings_is_no_code_from_elsewhere(build: Build) -> None:
    main = (
        "import json, math, polars, team, werk\n" + STEP + "    return team.late(math.floor(x)), polars.DataFrame, json.dumps\n"
    )
    installed = {"lib/team.py": LATE, "lib/team-1.dist-info/RECORD": "team.py,sha256=x,1\n"}
    assert build(main, installed).elsewhere == {}


def test_the_projects_own_code_is_not_from_elsewhere(build: Build) -> None:
    code = build("import team\n" + STEP + "    return team.late(x)\n", {"project/lib/team.py": LATE}, on_path="project/lib")
    assert code.elsewhere == {}


def test_a_pipeline_names_what_all_its_steps_and_its_own_body_reach(build: Build) -> None:
    main = "import team, other\n" + STEP + "    return team.late(x)\n@pipeline\ndef flow():\n    go(other.late(1))\n"
    build(main, {"lib/team.py": LATE, "lib/other.py": LATE})
    found = elsewhere_in(sys.modules["main"].flow, Path(str(sys.modules["main"].__file__)).parent)
    assert found == dict.fromkeys(["other.py", "team.py"], hashlib.sha256(LATE.encode()).hexdigest())


# --- ways to code that no name tells ---

TO_ANYTHING: Mapping[str, str] = {
    "os.spawnlp": "import os\n" + STEP + "    return os.spawnlp(os.P_WAIT, 'python', 'python', 'parts.py')\n",
    "os.spawnl": "import os\n" + STEP + "    return os.spawnl(0, 'python', 'python', 'parts.py')\n",
    "os.execl": "import os\n" + STEP + "    os.execl('python', 'python', 'parts.py')\n",
    "os.execlpe from os": "from os import execlpe as run\n" + STEP + "    run('python', 'python', 'parts.py', {})\n",
    "os.posix_spawnp": "import os\n" + STEP + "    return os.posix_spawnp('python', ['python', 'parts.py'], {})\n",
    "os with another name": "import os as o\n" + STEP + "    p = o\n    return p.system('python parts.py')\n",
    "os handed on": "import os\n" + STEP + "    return getattr(os, 'sys' + 'tem')('python parts.py')\n",
    "os from another module": "import shutil\n" + STEP + "    return shutil.os.system('python parts.py')\n",
    "os by a star": "from os import *\n" + STEP + "    return system('python parts.py')\n",
    "subprocess by a star": "from subprocess import *\n" + STEP + "    return run(['python', 'parts.py']).returncode\n",
    "posix": "import posix\n" + STEP + "    return posix.system('python parts.py')\n",
    "pty": "import pty\n" + STEP + "    return pty.spawn(['python', 'parts.py'])\n",
    "code": "import code\n" + STEP + "    code.InteractiveInterpreter().runsource('import parts')\n    return 1\n",
    "timeit": "import timeit\n" + STEP + "    return timeit.timeit('import parts; parts.late(1)', number=1)\n",
    "pydoc": "import pydoc\n" + STEP + "    return pydoc.locate('parts.late')(x)\n",
    "help": STEP + "    help('parts')\n    return 1\n",
    "logging.config": "import logging.config\n"
    + STEP + "    return logging.config.BaseConfigurator({}).resolve('parts.late')(x)\n",
    "logging.config from logging": "from logging import config\n" + STEP + "    config.dictConfig({})\n    return 1\n",
    "builtins": "import builtins\n" + STEP + "    b = builtins\n    return getattr(b, '__imp' + 'ort__')('parts').late(x)\n",
    "compile": "import types\n" + STEP + "    return types.FunctionType(compile('import parts', '', 'exec'), {})()\n",
    "ctypes": "import ctypes\n" + STEP + "    ctypes.pythonapi.PyRun_SimpleString(b'import parts')\n    return 1\n",
    "multiprocessing": "import multiprocessing.util as u\n" + STEP + "    return u.spawnv_passfds(b'python', [b'parts.py'], [])\n",
    "asyncio": "import asyncio\n" + STEP + "    return asyncio.create_subprocess_shell('python parts.py')\n",
    "an event loop": "import asyncio\n" + STEP + "    return asyncio.new_event_loop().subprocess_shell(None, 'python parts.py')\n",
    "unittest": "import unittest\n" + STEP + "    return unittest.defaultTestLoader.loadTestsFromName('parts.late')\n",
    "copyreg": "import copyreg\n" + STEP + "    return copyreg.__newobj__\n",
    "an entry point": "from importlib.metadata import EntryPoint\n" + STEP + "    return EntryPoint('a', 'parts:late', 'b').load()(x)\n",
    "the module's loader": STEP + "    return __spec__.loader.load_module('parts')\n",
    "inspect": "import inspect\n" + STEP + "    return inspect.getmodule(go)\n",
    "numpy.load": "import numpy as np\n" + STEP + "    return np.load('a.npy', allow_pickle=True)\n",
}  # fmt: skip


@pytest.mark.parametrize("way", TO_ANYTHING)
def test_what_may_start_any_code_counts_every_file_of_the_project(build: Build, way: str) -> None:
    files = {"project/parts.py": LATE}
    assert build(TO_ANYTHING[way], files, changed=True).sha256 != build(TO_ANYTHING[way], files).sha256


@pytest.mark.parametrize("folder", ["lake", "venv", "node_modules", ".hidden", "a/lake"])
def test_no_folders_name_hides_code(build: Build, folder: str) -> None:
    main = "import importlib\n" + STEP + "    return importlib.import_module('any').late(x)\n"
    files = {f"project/{folder}/any.py": LATE}
    assert build(main, files, changed=True).sha256 != build(main, files).sha256


@pytest.mark.parametrize("mark", ["project/env/pyvenv.cfg", "project/env/conda-meta/history"])
def test_an_environment_in_the_project_is_not_its_code(build: Build, mark: str) -> None:
    main = "import importlib\n" + STEP + "    return importlib.import_module('any').late(x)\n"
    files = {mark: "", "project/env/bin/any.py": LATE}
    assert build(main, files, changed=True).sha256 == build(main, files).sha256


USUAL = {
    "paths and variables": "import os\n" + STEP + "    return len(os.path.join(os.environ.get('A', ''), os.getcwd(), os.sep))\n",
    "a log": "import logging\nLOG = logging.getLogger(__name__)\n" + STEP + "    LOG.info('x')\n    return x\n",
    "a pool": "from concurrent.futures import ThreadPoolExecutor\n" + STEP + "    return ThreadPoolExecutor().submit(abs, x).result()\n",
    "the version of a library": "from importlib.metadata import version\n" + STEP + "    return len(version('werk'))\n",
    "arrays and frames": "import numpy as np\nimport polars as pl\n" + STEP + "    return pl.DataFrame({'a': np.arange(x)}).height\n",
    "the version of Python": "import sys\n" + STEP + "    return sys.version_info[0]\n",
}  # fmt: skip


@pytest.mark.parametrize("way", USUAL)
def test_usual_code_does_not_count_what_it_does_not_reach(build: Build, way: str) -> None:
    files = {"project/parts.py": LATE}
    assert build(USUAL[way], files, changed=True).sha256 == build(USUAL[way], files).sha256
