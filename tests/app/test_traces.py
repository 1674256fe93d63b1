"""What werk leaves where: nothing outside project, home and cache; `werk clean` takes old traces, an uninstall the rest."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

import pytest

PIPELINES = """
from werk import pipeline, step


@step("say", cache=False)
def say() -> int:
    print("said")
    return 1


@pipeline
def saying():
    say()
"""


def variables(place: Path) -> dict[str, str]:
    """A person of its own: home, temporary folder and caches are empty at first."""
    own = {"HOME": "person", "TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "XDG_CONFIG_HOME": "config", "XDG_DATA_HOME": "data"}
    for name in own.values():
        (place / name).mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WERK_")}
    return {**kept, **{name: str(place / folder) for name, folder in own.items()}, "WERK_HOME": str(place / "home")}


def werk(project: Path, *words: str, fails: int = 0, **more: str) -> str:
    command = [sys.executable, "-m", "werk", *words]
    known = {**variables(project.parent), **more}
    done = subprocess.run(command, cwd=project, env=known, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == fails, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "talk"
    root.mkdir()
    (root / "werk.toml").write_text('[project]\nname = "talk"\nid = "prj_talk"\n')
    (root / "pipelines.py").write_text(PIPELINES)
    return root


def aged(path: Path, days: float) -> None:
    then = time.time() - days * 86_400
    for one in (*path.rglob("*"), path):
        os.utime(one, (then, then))


def test_a_whole_journey_leaves_nothing_outside(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("id,x,y\n" + "".join(f"{at},{at % 7},{at % 2}\n" for at in range(300)))
    here = tmp_path / "somewhere"
    here.mkdir()
    werk(here, "init", "own", "--from", "../rows.csv", "--target", "y", "--key", "id")
    root = here / "own"
    shutil.move(root, tmp_path / "own")
    root = tmp_path / "own"
    plan = root / "plan.toml"
    plan.write_text(plan.read_text(encoding="utf-8").replace("# check this", ""), encoding="utf-8")
    gate = root / "gate.toml"
    gate.write_text(re.sub(r"(?m)^min = 0.70", "min = 0.0", gate.read_text(encoding="utf-8")), encoding="utf-8")
    werk(root, "ingest", "raw.rows", "../rows.csv")
    werk(root, "run", "training")
    token = re.findall(r"werk_[\w-]+", werk(root, "actor", "add", "second"))[0]
    werk(root, "approve", "own:1", WERK_TOKEN=token)
    werk(root, "run", "batch_inference", "-p", "table=raw.rows", "-p", "window=first")
    werk(root, "story")
    werk(root, "rebuild", "own:1")
    werk(root, "export", str(tmp_path / "asked for"))
    for name in ("person", "tmp", "config", "data", "somewhere"):
        assert sorted((tmp_path / name).rglob("*")) == [], name
    assert {path.name for path in (tmp_path / "cache").iterdir()} <= {"werk"}
    made = {path.name for path in tmp_path.iterdir()}
    assert made == {"person", "tmp", "cache", "config", "data", "home", "somewhere", "own", "rows.csv", "asked for"}


def test_old_output_goes_when_it_is_said_and_what_is_recorded_stays(project: Path) -> None:
    werk(project, "run", "saying")
    werk(project, "run", "saying")
    old, new = sorted((project / ".werk" / "logs").iterdir(), key=lambda path: path.stat().st_mtime)
    aged(old, 31)
    listed = werk(project, "clean")
    assert str(old) in listed
    assert str(new) not in listed
    assert "next: werk clean --yes" in listed
    assert old.is_dir()
    assert "removed: 1" in werk(project, "clean", "--yes")
    assert (old.exists(), new.exists()) == (False, True)
    assert "nothing to clean" in werk(project, "clean", "--yes")
    assert "holds: " in werk(project, "audit", "verify")
    assert "finished" in werk(project, "logs", old.name)


def test_a_run_that_can_be_gone_on_with_keeps_its_output(project: Path) -> None:
    killed = '    print("said", flush=True)\n    time.sleep(0.5)\n    os.kill(os.getpid(), 9)\n'
    (project / "pipelines.py").write_text("import os\nimport time\n" + PIPELINES.replace('    print("said")\n', killed))
    werk(project, "run", "saying", fails=-9)
    [folder] = (project / ".werk" / "logs").iterdir()
    aged(folder, 400)
    assert str(folder) not in werk(project, "clean")


def test_what_killed_processes_left_goes_after_a_day(project: Path) -> None:
    werk(project, "run", "saying")
    left = [
        project / ".werk" / "objects" / "payloads" / "aa~1234",
        project / ".werk" / "code-abcd",
        project / ".werk" / "code.git" / "index-x",
        project.parent / "tmp" / "werk-rebuild-1",
    ]
    for path in left:
        path.mkdir(parents=True) if "-" in path.name else (path.parent.mkdir(exist_ok=True), path.write_text("x"))  # type: ignore[func-returns-value]
    outside = project.parent / "precious"
    outside.mkdir()
    (outside / "mine").write_text("x")
    (project / ".werk" / "code-link").symlink_to(outside)
    assert "nothing to clean" in werk(project, "clean", "--yes")
    for path in left:
        aged(path, 2)
    aged(outside, 3)
    said = werk(project, "clean", "--yes")
    assert "removed: 4" in said
    assert not any(path.exists() for path in left)
    assert (outside / "mine").read_text() == "x"
    assert "holds: " in werk(project, "audit", "verify")


def test_an_uninstall_leaves_nothing(tmp_path: Path) -> None:
    source = Path(__file__).parents[2]
    wheel = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist"), str(source)]
    subprocess.run(wheel, capture_output=True, check=True)
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    before = {path for path in (tmp_path / "venv").rglob("*") if "__pycache__" not in path.parts}
    [made] = (tmp_path / "dist").iterdir()
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "--no-cache-dir"]
    subprocess.run(
        [*pip, "install", "-q", "--no-deps", "--no-index", str(made)], env=variables(tmp_path), capture_output=True, check=True
    )
    assert (tmp_path / "venv" / "bin" / "werk").exists()
    compiled = [str(python), "-m", "compileall", "-q", str(tmp_path / "venv" / "lib")]
    subprocess.run(compiled, env=variables(tmp_path), capture_output=True, check=False)
    subprocess.run([*pip, "uninstall", "-q", "-y", "werk"], env=variables(tmp_path), capture_output=True, check=True)
    after = {path for path in (tmp_path / "venv").rglob("*") if "__pycache__" not in path.parts}
    assert after == before
    assert [path for path in (tmp_path / "venv").rglob("*") if "werk" in path.name] == []
