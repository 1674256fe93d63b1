"""The pages as a site: every link leads somewhere, nothing is fetched from anywhere, and the search has every section."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from doc_blocks import PAGES, ROOT

BUILD = ROOT / "docs" / "site" / "build.py"


class Links(HTMLParser):
    """Where a page leads, what it loads and what can be led to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.hrefs: list[str] = []
        self.loads: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "a":
            self.hrefs.append(given.get("href", ""))
        elif "src" in given or tag == "link":
            self.loads.append(given.get("src") or given.get("href", ""))
        if "id" in given:
            self.ids.add(given["id"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built where a network would be noticed."""
    folder = tmp_path_factory.mktemp("site") / "werk"
    script = (
        "import runpy, socket, sys\n"
        "def none(*given): raise OSError('no network')\n"
        f"socket.socket.connect = none; sys.argv = ['build.py', {str(folder)!r}]\n"
        f"runpy.run_path({str(BUILD)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there_and_every_link_leads_somewhere(site: Path) -> None:
    pages = {path.name: Links(path) for path in site.glob("*.html")}
    assert len(pages) >= len(PAGES)
    lost = []
    for name, page in pages.items():
        for href in page.hrefs:
            if "://" in href or href.startswith("mailto:"):
                continue
            target, _, anchor = href.partition("#")
            there = pages.get(target or name)
            if there is None or (anchor and anchor not in there.ids):
                lost.append(f"{name}: {href}")
    assert lost == []


def test_what_a_page_loads_lies_beside_it(site: Path) -> None:
    for path in site.glob("*.html"):
        for load in Links(path).loads:
            assert (site / load).is_file(), f"{path.name} loads {load}"
    style = (site / "style.css").read_text(encoding="utf-8")
    assert re.findall(r"url\(|@import|https?:", style) == []


def test_the_search_knows_every_section(site: Path) -> None:
    text = (site / "index.js").read_text(encoding="utf-8")
    index = json.loads(text.removeprefix("window.INDEX = ").removesuffix(";\n"))
    found = {href for _, _, href, _ in index}
    assert {"first_model.html", "platform_owner.html", "templates-series.html"} <= {href.partition("#")[0] for href in found}
    assert any(title == "werk move" and "dry-run" in words for _, title, _, words in index)
    for path in site.glob("*.html"):
        headings = re.findall(r'<h[1-6] id="([^"]+)"', path.read_text(encoding="utf-8"))
        assert {f"{path.name}#{anchor}" for anchor in headings} <= found


def test_a_folder_of_somebody_else_is_left(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    done = subprocess.run([sys.executable, BUILD, tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, (tmp_path / "mine").read_text()) == (2, "x")
    assert "name a new folder" in done.stderr
