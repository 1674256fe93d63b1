"""The reference page is what the code says today."""

from __future__ import annotations

import re

import pytest
import typer
from doc_blocks import ROOT

from werk.app import reference
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
