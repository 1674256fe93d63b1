"""The pages as a site: `python docs/site/build.py FOLDER`. It needs no network to build, to read or to search, and no server.

What stands in the repository is what is shown: this makes HTML of it, puts the pages in the order of their readers, and writes an
index that the search of each page asks.
"""

from __future__ import annotations

import argparse
import html
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TEMPLATES = "src/werk/templates"
# By reader, as docs/README.md introduces them; a tutorial is the README that a template's project begins with.
NAV: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Begin",
        (("README.md", "What werk is"), ("docs/first_model.md", "First approved model"), ("docs/own_data.md", "Your own data")),
    ),
    (
        "Tutorials",
        (
            (f"{TEMPLATES}/flights/README.md", "Flights: a table"),
            (f"{TEMPLATES}/flights-pandas/README.md", "Flights in pandas"),
            (f"{TEMPLATES}/series/README.md", "A time series"),
            (f"{TEMPLATES}/per-key/README.md", "A model per key"),
            (f"{TEMPLATES}/tabular/README.md", "From your own file"),
        ),
    ),
    (
        "For you",
        (
            ("docs/data_scientist.md", "Data scientist"),
            ("docs/ml_engineer.md", "ML engineer"),
            ("docs/platform_owner.md", "Platform owner"),
            ("docs/application_developer.md", "Application developer"),
            ("docs/auditor.md", "Auditor"),
        ),
    ),
    ("Coming from", (("docs/coming_from.md", "Other platforms"), ("docs/other_libraries.md", "pandas, Arrow, DuckDB"))),
    (
        "Look up",
        (
            ("docs/reference.md", "Reference"),
            ("docs/how_it_works.md", "How it works"),
            ("docs/README.md", "Find your page"),
            ("CHANGELOG.md", "Changelog"),
            ("SECURITY.md", "Security"),
            ("CONTRIBUTING.md", "Contributing"),
            ("examples/own_case/README.md", "The same task twice"),
            ("examples/toy_plugin/README.md", "A plug-in"),
        ),
    ),
)


@dataclass(slots=True)
class Section:
    """A heading and the text below it, up to the next."""

    title: str
    anchor: str
    words: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Page:
    source: str
    name: str
    title: str
    body: str
    sections: list[Section]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="a new folder, or one that this has made before")
    folder = parser.parse_args(words).folder
    if folder.exists() and any(folder.iterdir()) and not (folder / "search.js").exists():
        print(f"{folder} holds something else: name a new folder.", file=sys.stderr)
        return 2
    pages = build(folder)
    print(f"{len(pages)} pages, {sum(len(page.sections) for page in pages)} sections: open {folder / 'index.html'}")
    return 0


def build(folder: Path) -> list[Page]:
    names = {source: _file_name(source) for source in _sources()}
    pages = [_page(source, names, folder) for source in names]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for page in pages:
        (folder / page.name).write_text(_whole(page, names), encoding="utf-8")
        for image in re.findall(r'<img src="([^"]+)"', page.body):
            shutil.copyfile(ROOT / Path(page.source).parent / _image_source(page.source, image), folder / image)
    (folder / "index.js").write_text(f"window.INDEX = {json.dumps(_index(pages), ensure_ascii=False)};\n", encoding="utf-8")
    shutil.copyfile(HERE / "search.js", folder / "search.js")
    (folder / "style.css").write_text((HERE / "style.css").read_text(encoding="utf-8") + _colours(), encoding="utf-8")
    return pages


def _sources() -> list[str]:
    shown = [source for _, group in NAV for source, _ in group]
    return [*shown, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs" / "decisions").glob("*.md"))]


def _file_name(source: str) -> str:
    """Flat, so that a page finds the others wherever the folder is put."""
    if source == "README.md":
        return "index.html"
    parts = [part for part in Path(source).with_suffix("").parts if part not in ("docs", "src", "werk", "README")]
    return "-".join(parts or ["pages"]).lower() + ".html"


def _image_source(source: str, image: str) -> str:
    """A picture lies beside its page, or in docs."""
    beside = ROOT / Path(source).parent / image
    return image if beside.exists() else os.path.relpath(ROOT / "docs" / image, ROOT / Path(source).parent)


# --- one page ---


def _page(source: str, names: dict[str, str], folder: Path) -> Page:
    tokens = MarkdownIt("commonmark").enable("table").parse((ROOT / source).read_text(encoding="utf-8"))
    sections = list(_marked(tokens))
    for token in _all(tokens):
        if token.type == "link_open":
            token.attrs["href"] = _href(str(token.attrs["href"]), source, names)
        elif token.type == "image":
            token.attrs["src"] = Path(str(token.attrs["src"])).name
    renderer = MarkdownIt("commonmark", {"highlight": _coloured}).enable("table").renderer
    body = renderer.render(tokens, MarkdownIt("commonmark", {"highlight": _coloured}).options, {})
    body = body.replace("<table>", '<div class="wide"><table>').replace("</table>", "</table></div>")
    return Page(source, names[source], sections[0].title if sections else source, body, sections)


def _marked(tokens: list[Token]) -> Iterator[Section]:
    """Gives each heading the anchor that GitHub gives it, and each section its words."""
    section: Section | None = None
    used: dict[str, int] = {}
    for at, token in enumerate(tokens):
        if token.type == "heading_open":
            title = "".join(child.content for child in tokens[at + 1].children or [] if child.type in ("text", "code_inline"))
            anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
            used[anchor] = used.get(anchor, -1) + 1
            anchor += f"-{used[anchor]}" if used[anchor] else ""
            token.attrs["id"] = anchor
            if section:
                yield section
            section = Section(title, anchor)
        elif section and token.type in ("inline", "fence"):
            section.words.append(token.content)
    if section:
        yield section


def _all(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield token
        yield from _all(token.children or [])


def _href(href: str, source: str, names: dict[str, str]) -> str:
    """A page of the site where there is one; what only the repository has is named by its address there."""
    if "://" in href or href.startswith(("#", "mailto:")):
        return href
    path, _, anchor = href.partition("#")
    target = os.path.normpath(Path(source).parent / path) if path else source
    found = names.get(target) or names.get(f"{target}/README.md")
    if found is None:
        return f"https://github.com/werk-mlops/werk/blob/main/{target}"
    return found + (f"#{anchor}" if anchor else "")


def _coloured(code: str, language: str, _attributes: str) -> str:
    names = {"sh": "bash", "py": "python", "": "text"}
    try:
        lexer = get_lexer_by_name(names.get(language, language))
    except ClassNotFound:
        return f'<pre class="highlight">{html.escape(code)}</pre>'
    inner = highlight(code, lexer, HtmlFormatter(nowrap=True))
    return f'<pre class="highlight {html.escape(language)}">{inner}</pre>'


# --- all pages ---


def _index(pages: Sequence[Page]) -> list[list[str]]:
    """Page, heading, address and words of each section."""
    return [
        [page.title, section.title, f"{page.name}#{section.anchor}", _plain(" ".join(section.words))]
        for page in pages
        for section in page.sections
    ]


def _plain(markdown: str) -> str:
    """Without the marks of Markdown."""
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", markdown)
    return re.sub(r"\s+", " ", re.sub(r"[`*]", "", text))


def _whole(page: Page, names: dict[str, str]) -> str:
    groups = "".join(
        f"<h2>{html.escape(title)}</h2><ul>"
        + "".join(
            f'<li><a href="{names[source]}"{" aria-current=page" if source == page.source else ""}>{html.escape(label)}</a></li>'
            for source, label in group
        )
        + "</ul>"
        for title, group in NAV
    )
    here = "".join(
        f'<li><a href="#{section.anchor}">{html.escape(section.title)}</a></li>'
        for section in page.sections[1:]
        if section.anchor
    )
    on_page = f"<aside><h2>On this page</h2><ul>{here}</ul></aside>" if len(page.sections) > 2 else "<aside></aside>"
    return (
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{html.escape(page.title)} · werk</title><link rel="stylesheet" href="style.css"></head><body>'
        '<header><a class="name" href="index.html">werk</a>'
        '<input id="asked" type="search" placeholder="Search   /" aria-label="Search the pages" autocomplete="off">'
        '<ol id="found" hidden></ol></header>'
        f"<nav>{groups}</nav><main>{page.body}</main>{on_page}"
        '<script src="index.js"></script><script src="search.js"></script></body></html>\n'
    )


def _colours() -> str:
    light = HtmlFormatter(style="friendly").get_style_defs("pre.highlight")
    dark = HtmlFormatter(style="github-dark").get_style_defs("pre.highlight")
    plain = "pre.highlight { background: var(--panel) !important; color: var(--ink); }"
    return f"\n{light}\n@media (prefers-color-scheme: dark) {{\n{dark}\n}}\n{plain}\n"


if __name__ == "__main__":
    sys.exit(main())
