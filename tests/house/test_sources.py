"""Rules that hold for every file of the repository."""

import ast
import re
import subprocess
from collections import defaultdict
from functools import cache
from pathlib import Path

import pytest

from werk.workflow.capture.secrets import find_secrets

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "werk"
MODULES = sorted(p for p in PACKAGE.rglob("*.py") if p.read_text().strip() and "templates" not in p.parts)
BANNED_NAMES = {"utils", "helpers", "manager", "service", "common", "util", "helper"}
# Texts that show secrets on purpose: they are what the scanner is tested with.
NAMES = ("app/test_settings", "workflow/test_capture_code", "workflow/test_credentials", "workflow/test_secrets")
ABOUT_SECRETS = {f"tests/{name}.py" for name in NAMES}
ABOUT_SECRETS |= {"src/werk/workflow/capture/secrets.py"}
each_module = pytest.mark.parametrize("path", MODULES, ids=[p.relative_to(PACKAGE).as_posix() for p in MODULES])


@cache
def tracked() -> tuple[Path, ...]:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return tuple(ROOT / name for name in listed.split("\0") if name and (ROOT / name).is_file())


def texts() -> list[tuple[str, str]]:
    binary = {".parquet", ".db", ".png", ".gz", ".zip"}
    return [(p.relative_to(ROOT).as_posix(), p.read_text("utf-8", "replace")) for p in tracked() if p.suffix not in binary]


@each_module
def test_a_module_starts_with_a_sentence(path: Path) -> None:
    first = (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n\n")[0]
    assert re.search(r"[.:!?]$", first), "the first paragraph of the docstring is no sentence"


@each_module
def test_a_file_is_a_noun_or_a_technology(path: Path) -> None:
    assert path.stem not in BANNED_NAMES
    assert not path.stem.startswith("base_")


def test_one_error_code_has_one_kind_of_error() -> None:
    """The same code may be raised in several places, but it always means the same exit code."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in MODULES:
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            name = call.func.id if isinstance(call.func, ast.Name) else ""
            for keyword in call.keywords:
                if keyword.arg == "code" and isinstance(keyword.value, ast.Constant) and isinstance(keyword.value.value, str):
                    found[keyword.value.value].add("InputError" if name == "unknown" else name)
    kinds = {"InputError", "Refused", "Failed", "Transient", "Tampered", "Lost", "StepFailed"}
    mixed = {code: names & kinds for code, names in found.items() if len(names & kinds) > 1}
    assert found
    assert mixed == {}
    assert [code for code in found if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", code)] == []


def test_no_secret_is_in_the_repository() -> None:
    assert {name: kinds for name, text in texts() if name not in ABOUT_SECRETS and (kinds := find_secrets(text))} == {}


def test_no_machines_path_is_in_the_repository() -> None:
    machine = re.compile(r"(?<![\w.-])/(?:home|Users|root|work)/[\w.-]+")
    own = Path(__file__).relative_to(ROOT).as_posix()
    assert {name: hit[0] for name, text in texts() if name != own and (hit := machine.search(text))} == {}


def test_no_error_is_swallowed_blindly() -> None:
    blind = [
        f"{path.relative_to(PACKAGE)}:{node.lineno}"
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert blind == []
