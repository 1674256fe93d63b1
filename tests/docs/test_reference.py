"""The reference page is what the code says today."""

from __future__ import annotations

import re
from typing import Any

import pytest
import typer
from doc_blocks import ROOT
from typer.main import get_command

import werk
from werk.app import reference, signatures
from werk.app.cli import app
from werk.app.wiring import PROJECTIONS

PAGE = (ROOT / reference.PAGE).read_text(encoding="utf-8")


def test_the_page_is_current() -> None:
    assert reference.written(PAGE, ROOT) == PAGE, "The reference is stale: run `python -m werk.app.reference`."


def test_a_new_command_makes_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    more = typer.Typer()
    more.command("ponder")(lambda: None)
    more.command("wonder")(lambda: None)
    monkeypatch.setattr(reference, "app", more)
    changed = reference.written(PAGE, ROOT)
    assert "### werk ponder" in changed
    assert "### werk run" not in changed


def test_every_command_code_and_projection_is_on_it() -> None:
    modules = [path for path in (ROOT / "src/werk").rglob("*.py") if path.parent.name != "testing"]
    codes = set(re.findall(r'code="([a-z0-9-]+)"', "".join(path.read_text() for path in modules)))
    assert len(codes) > 100
    assert {code for code in codes if f"| `{code}` | " not in PAGE} == set()
    assert {shape.name for shape in PROJECTIONS if f"| `{shape.name}`" not in PAGE} == set()
    assert {kind for shape in PROJECTIONS for kind in shape.kinds if f"| `{kind}` | " not in PAGE} == set()


def test_every_code_has_an_exit_code_and_a_sentence() -> None:
    rows = [line.split(" | ") for line in reference.error_codes(ROOT).splitlines()[2:]]
    assert {row[1] for row in rows} == {"1", "2", "3"}
    assert [row[0] for row in rows if not re.search("[a-z]{3}", re.sub("‹.*?›", "", row[2]))] == []


def test_a_page_without_a_place_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for 'facts'"):
        reference.written(PAGE.replace("<!-- end facts -->", ""), ROOT)


def test_every_public_name_and_every_built_in_step_is_on_it() -> None:
    public = {f"werk.{name}" for name in werk.__all__ if name != "steps"}
    built_in = {f"werk.steps.{name}" for name in signatures.built_in()}
    assert len(built_in) >= 9
    assert {name for name in public | built_in if f"\n#### {name}\n" not in PAGE} == set()


def test_every_port_s_promises_are_on_it() -> None:
    ports = {path.stem for path in (ROOT / "src/werk/testing").glob("*.py")} - {"__init__"}
    assert {port for port in ports if f"| `werk.testing.{port}` | `" not in PAGE} == set()


def test_a_new_parameter_makes_it_stale(monkeypatch: pytest.MonkeyPatch) -> None:
    def fit_lightgbm(rows: int, *, mood: str = "good") -> None:
        """Another one."""

    monkeypatch.setattr(werk, "fit_lightgbm", fit_lightgbm, raising=False)
    changed = reference.written(PAGE, ROOT)
    assert "fit_lightgbm(rows: int, *, mood: str = 'good') -> None" in changed
    assert changed != PAGE


def test_what_says_nothing_of_itself_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(werk, "fit_lightgbm", lambda rows: None, raising=False)
    with pytest.raises(ValueError, match="fit_lightgbm says nothing of itself"):
        signatures.python_face()


def test_every_parameter_of_a_public_function_has_a_type() -> None:
    assert re.findall(r"\w+: (?:_empty|empty)\b", signatures.python_face()) == []


def named_commands() -> dict[str, Any]:
    return dict(reference._named("werk", get_command(app)))


def test_the_list_of_commands_has_whole_sentences_on_eighty_columns() -> None:
    longest = 80 - len("  deployments  ")
    firsts = {name: (command.help or "").split("\n\n")[0].partition(". ")[0] for name, command in named_commands().items()}
    assert len(firsts) > 30
    assert {name: said for name, said in firsts.items() if not 0 < len(" ".join(said.split())) <= longest} == {}


def test_every_argument_and_option_says_what_it_is() -> None:
    silent = [f"{name} {one.name}" for name, command in named_commands().items() for one in command.params if not one.help]
    assert silent == []
