import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from werk.core.canonical import digest_of
from werk.workflow.capture.distributions import altered
from werk.workflow.capture.environment import Environment, capture_environment, differences, result_digest, variables_for


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


def test_a_secret_of_a_librarys_family_is_not_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLARS_CLOUD_CLIENT_SECRET", "abc")
    monkeypatch.setenv("POLARS_ACCESS_TOKEN", "abc")
    variables = capture_environment().facts["variables"]
    assert [name for name in variables if "SECRET" in name or "TOKEN" in name] == []


@pytest.mark.parametrize("before", ["", "lightgbm", "sklearn", "polars, scipy.linalg"])
def test_another_process_gives_the_same_digest_whatever_it_has_loaded(before: str) -> None:
    script = "from werk.workflow.capture.environment import *; e = capture_environment(); print(e.sha256)"
    said = [
        subprocess.run([sys.executable, "-c", first + script], capture_output=True, text=True, check=True).stdout
        for first in ("", f"import {before}; " if before else "")
    ]
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
    "name",
    [
        *("OMP_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_CBWR", "NPY_DISABLE_CPU_FEATURES", "ATEN_CPU_CAPABILITY"),
        *("DNNL_MAX_CPU_ISA", "POLARS_ENGINE_AFFINITY", "PYTHONHASHSEED", "GLIBC_TUNABLES"),
    ],
)
def test_a_telling_variable_is_named(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(name, raising=False)
    before = capture_environment()
    monkeypatch.setenv(name, "7")
    assert differences(before, capture_environment()) == [f"variable {name}: absent -> '7'"]


@pytest.mark.parametrize("name", ["HOMEPAGE", "OMP_DISPLAY_ENV", "POLARS_FMT_MAX_ROWS", "MKL_VERBOSE"])
def test_variables_that_change_no_result_do_not_count(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = capture_environment()
    monkeypatch.setenv(name, "7")
    assert capture_environment() == before


def test_a_null_is_not_an_absence() -> None:
    one, two = Environment("", {"python": {"a": None}}), Environment("", {"python": {}})
    assert differences(one, two) == ["python a: None -> absent"]


def in_force(**variables: str) -> dict[str, dict[str, object]]:
    """What a new process with these variables finds in force."""
    script = "import json; from werk.workflow.capture.environment import *; print(json.dumps(capture_environment().facts))"
    shell = variables_for(Environment("", {}), os.environ)
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, env={**shell, **variables})
    found: dict[str, dict[str, object]] = json.loads(done.stdout)
    return found


def test_what_is_recorded_is_what_is_in_force_not_what_was_asked_for() -> None:
    one, other = in_force(OPENBLAS_NUM_THREADS="1"), in_force(POLARS_MAX_THREADS="3", OPENBLAS_CORETYPE="NoSuchCore")
    assert one["threads"]["openblas"] == 1
    assert other["threads"]["polars"] == 3
    assert one["kernels"] == other["kernels"]
    assert one["libraries"].keys() >= {"libc", "libm"}


def test_a_process_is_given_the_recorded_variables_and_pool_and_keeps_the_others() -> None:
    recorded = Environment("", {"variables": {"OMP_NUM_THREADS": "1"}, "threads": {"polars": 2}})
    shell = {"PATH": "/bin", "OMP_NUM_THREADS": "8", "MKL_CBWR": "AVX2", "POLARS_MAX_THREADS": "9", "OMP_DISPLAY_ENV": "TRUE"}
    assert variables_for(recorded, shell) == {"PATH": "/bin", "OMP_NUM_THREADS": "1", "POLARS_MAX_THREADS": "2"}


def test_the_digest_for_results_leaves_out_installers_and_hardware() -> None:
    facts = {"distributions": {"numpy": {"version": "2.4"}, "pip": {"version": "23"}}, "threads": {"openblas": 1}}
    other = {**facts, "distributions": {"numpy": {"version": "2.4"}, "uv": {"version": "1"}}}
    one = result_digest({"sha256": "a", "facts": facts, "hardware": {"cpus": 2}})
    assert one == result_digest({"sha256": "b", "facts": other, "hardware": {"cpus": 64}})
    assert one != result_digest({"sha256": "a", "facts": {**facts, "threads": {"openblas": 2}}})
    assert one != result_digest({"sha256": "a", "facts": {**facts, "distributions": {"numpy": {"version": "2.5"}}}})


def test_installed_files_are_held_against_their_record(site: Path) -> None:
    kept, changed, missing = "x = 1\n", "x = 2\n", "x = 3\n"
    install(site, *(f"toy_{at}.py,sha256={hashed(text)},6" for at, text in enumerate((kept, changed, missing))))
    (site / "toy_0.py").write_text(kept)
    (site / "toy_1.py").write_text("x = 9\n")
    ours = [line for line in altered() if line.startswith("toy-lib")]
    assert ours == ["toy-lib 1.0: toy_1.py is not what its RECORD says", "toy-lib 1.0: toy_2.py is missing"]


def hashed(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
