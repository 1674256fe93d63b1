"""Every fenced block of the pages runs, is loaded by werk, or says for one of few reasons why it does not."""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import yaml
from doc_blocks import (
    FIRST,
    LANGUAGES,
    OTHERS,
    OWN,
    PAGES,
    ROOT,
    TEMPLATE,
    Block,
    blocks_of,
    missing_line,
    reason_is_listed,
    runs,
)
from doc_page import run_page
from doc_shell import Shell

from werk.app.commands.projects import create
from werk.app.settings import PORTS, load_settings
from werk.core.plugins import build
from werk.data import load_contract
from werk.governance import load_plan
from werk.models.behaviour import load_behaviour
from werk.models.golden import load_golden
from werk.registry import Gate
from werk.workflow.triggers import Trigger

BLOCKS = [block for page in PAGES for block in blocks_of(page)]
# The shared project is made by running the first, the second makes one of its own, a template's README runs in a project of it.
ELSEWHERE = (FIRST, OWN, TEMPLATE / "README.md", *(template / "README.md" for template in OTHERS))
RUN = [page for page in PAGES if page not in ELSEWHERE and any(runs(b) for b in blocks_of(page))]
named = [block for block in BLOCKS if block.language in ("toml", "yaml", "json") and not block.reason]


def name(of: Block | Path) -> str:
    return of.where if isinstance(of, Block) else of.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("block", BLOCKS, ids=name)
def test_a_block_is_of_a_kind_that_is_checked(block: Block) -> None:
    assert block.language in LANGUAGES
    assert block.file or block.reason or block.language not in ("toml", "yaml"), "name the file it is (part of)"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.reason], ids=lambda b: f"{b.where} {b.reason}")
def test_a_block_that_is_not_run_says_why(block: Block) -> None:
    assert reason_is_listed(block.reason)


@pytest.mark.parametrize("page", RUN, ids=name)
def test_the_commands_of_a_page_run(page: Path, shell: Shell) -> None:
    run_page(page, shell)


def test_the_templates_readme_runs_in_the_project_it_is_copied_to(unapproved: Path, opened: Callable[[Path], Shell]) -> None:
    readme = unapproved / "README.md"
    assert "approve my-case:1" in readme.read_text(encoding="utf-8")
    run_page(readme, opened(unapproved))


@pytest.mark.parametrize("template", OTHERS, ids=lambda path: path.name)
def test_the_readme_of_a_template_is_the_whole_way(template: Path, tmp_path: Path, opened: Callable[[Path], Shell]) -> None:
    project = tmp_path / "my-case"
    create(project, template.name)
    shell = opened(project)
    run_page(project / "README.md", shell)
    assert "my-case:1 is champion" in shell.run("werk status")


def test_the_page_of_your_own_data_runs_where_nothing_is(tmp_path: Path, opened: Callable[[Path], Shell]) -> None:
    folder = tmp_path / "desk"
    folder.mkdir()
    run_page(OWN, opened(folder))
    assert (folder / "tumours" / "story.html").is_file()


def settings(path: Path, patch: pytest.MonkeyPatch) -> None:
    """A part of werk.toml: every profile is read, every adapter it names is built from its settings."""
    text = path.read_text(encoding="utf-8")
    for variable in re.findall(r'env = "(\w+)"', text):
        patch.setenv(variable, "http://127.0.0.1:9" if variable.endswith("URL") else "s3://bucket/there")
    if "[project]" not in text:
        path.write_text(f'[project]\nname = "page"\nid = "prj_page"\n{text}', encoding="utf-8")
    for profile in ("local", *tomllib.loads(text).get("profile", {})):
        read = load_settings(path.parent, profile)
        for port in set(PORTS) - {"engine"}:  # an engine is built on a platform
            given = dict(read.ports[port])
            build(port, str(given.pop("use")), given)
        for trigger in read.triggers:
            Trigger(**trigger)  # type: ignore[arg-type]  # it checks itself


LOADED: Mapping[str, Callable[[Path], object]] = {
    "gate.toml": Gate.load,
    "golden.toml": load_golden,
    "behaviour.toml": load_behaviour,
    "plan.toml": load_plan,
    "pyproject.toml": lambda path: tomllib.loads(path.read_text(encoding="utf-8")),
}


@pytest.mark.parametrize("block", named, ids=name)
def test_settings_contracts_gates_and_plans_are_loaded_by_werk(
    block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if block.language == "json":
        json.loads(block.text)
        return
    path = tmp_path / "project" / Path(block.file).name
    path.parent.mkdir()
    path.write_text(block.text, encoding="utf-8")
    if block.language == "yaml":
        assert yaml.safe_load(block.text)
        load_contract(path)
    elif block.file == "werk.toml":
        monkeypatch.setenv("WERK_HOME", str(tmp_path / "home"))
        settings(path, monkeypatch)
    else:
        LOADED[block.file](path)


def test_links_lead_to_files_and_headings_that_are_there() -> None:
    broken = []
    for page in PAGES:
        prose = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
        for target in re.findall(r"\]\(([^)\s]+)\)", prose):
            if "://" in target:
                continue
            path, _, heading = target.partition("#")
            found = (page.parent / path).resolve() if path else page
            if not found.exists() or (heading and heading not in headings(found)):
                broken.append(f"{name(page)}: {target}")
    assert broken == []


def headings(page: Path) -> set[str]:
    """As GitHub makes anchors of them."""
    titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    assert [
        page.name for page in (ROOT / "docs").glob("*.md") if page.name != "README.md" and f"]({page.name}" not in index
    ] == []


@pytest.mark.parametrize(
    ("shown", "said", "missing"),
    [
        ("a ... c\n...\nend", "a b c\nmore\nend", None),
        ("one\ntwo", "two\none", "two"),
        ("holds: ... facts", "holds: 3 fact", "holds: ... facts"),
    ],
)
def test_an_output_that_differs_is_found(shown: str, said: str, missing: str | None) -> None:
    assert missing_line(shown, said) == missing


def test_a_command_that_ends_otherwise_fails(shell: Shell) -> None:
    with pytest.raises(AssertionError, match="ended with 1, not 0"):
        shell.run("false")
    assert shell.run("false  # exit code 1") == ""
    with pytest.raises(AssertionError, match="ended with 0, not 3"):
        shell.run("true  # exit code 3")


def test_what_still_speaks_in_the_background_is_not_taken_for_the_folder(shell: Shell) -> None:
    where = shell.here
    shell.run('(sleep 0.2; echo "it takes: http://127.0.0.1/v2"; touch said) & true')
    deadline = time.monotonic() + 30
    while not (where / "said").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert shell.here == where


@pytest.mark.parametrize("reason", ["", "later", "run by tests/nowhere.py", "run by"])
def test_a_reason_that_is_not_listed_is_refused(reason: str) -> None:
    assert not reason_is_listed(reason)
