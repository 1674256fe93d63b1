import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from werk.core.canonical import digest_of
from werk.workflow.capture.environment import Environment, capture_environment, differences


def install(folder: Path, *rows: str, name: str = "Toy_Lib", version: str = "1.0", direct_url: object = None) -> Path:
    info = folder / f"{name}-{version}.dist-info"
    shutil.rmtree(info, ignore_errors=True)
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    (info / "RECORD").write_text("\n".join(rows) + "\n")
    if direct_url:
        (info / "direct_url.json").write_text(json.dumps(direct_url))
    return info


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_two_captures_are_equal() -> None:
    one, two = capture_environment(), capture_environment()
    assert one == two
    assert differences(one, two) == []
    assert one.sha256 == digest_of(one.facts)


def test_another_process_gives_the_same_digest() -> None:
    script = "from werk.workflow.capture.environment import *; e = capture_environment(); print(e.sha256)"
    said = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said[0] == said[1]


def test_other_files_at_the_same_version_are_another_environment(site: Path) -> None:
    install(site, "toy.py,sha256=aaa,3")
    before = capture_environment()
    install(site, "toy.py,sha256=bbb,3")
    after = capture_environment()
    assert before.sha256 != after.sha256
    assert differences(before, after) == ["distribution toy-lib: 1.0 -> the same version with other files"]


def test_the_installers_own_notes_do_not_count(site: Path) -> None:
    install(
        site,
        "toy.py,sha256=aaa,3",
        "toy-1.0.dist-info/INSTALLER,sha256=pip,3",
        "__pycache__/toy.pyc,,",
        "../../bin/toy,sha256=x,1",
    )
    before = capture_environment()
    install(site, "toy-1.0.dist-info/uv_cache.json,sha256=uv,3", "toy.py,sha256=aaa,3")
    assert capture_environment() == before


def test_a_new_version_and_a_removal_are_named(site: Path) -> None:
    old = install(site, "toy.py,sha256=aaa,3")
    before = capture_environment()
    shutil.rmtree(old)
    without = capture_environment()
    install(site, "toy.py,sha256=ccc,3", version="1.1")
    assert differences(before, without) == ["distribution toy-lib: 1.0 -> absent"]
    assert differences(before, capture_environment()) == ["distribution toy-lib: 1.0 -> 1.1"]


def test_a_source_folder_edited_in_place_counts_as_it_is_now(site: Path, tmp_path: Path) -> None:
    source = tmp_path / "checkout" / "src" / "toy.py"
    source.parent.mkdir(parents=True)
    source.write_text("x = 1\n")
    install(site, direct_url={"url": (tmp_path / "checkout").as_uri(), "dir_info": {"editable": True}})
    before = capture_environment()
    source.write_text("x = 2\n")
    after = capture_environment()
    assert differences(before, after) == ["distribution toy-lib: 1.0 -> the same version with other files"]
    assert str(tmp_path) not in json.dumps(after.facts)


@pytest.mark.parametrize(
    "name", ["OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "POLARS_MAX_THREADS", "PYTHONHASHSEED", "GLIBC_TUNABLES"]
)
def test_a_telling_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    before = capture_environment()
    monkeypatch.setenv(name, "7")
    assert differences(before, capture_environment()) == [f"variable {name}: absent -> '7'"]


def test_other_variables_do_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    before = capture_environment()
    monkeypatch.setenv("HOMEPAGE", "7")
    assert capture_environment() == before


def test_a_null_is_not_an_absence() -> None:
    one, two = Environment("", {"python": {"a": None}}), Environment("", {"python": {}})
    assert differences(one, two) == ["python a: None -> absent"]
