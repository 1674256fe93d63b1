"""How a notebook shows things: HTML in the colours of its own theme, light or dark."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from werk.app.answers import cell
from werk.pipelines.story.markup import Html, joined, tag

# Only the marks have a colour of their own, and a shape or word beside it.
STYLE = Html("""<style>.werk{font:13px/1.5 system-ui,sans-serif}.werk table{border-collapse:collapse;margin:.3em 0}
.werk th,.werk td{text-align:left;vertical-align:top;padding:.15em .9em .15em 0;border-bottom:1px solid rgba(128,128,128,.35)}
.werk th{font-weight:600}.werk .wide{overflow-x:auto}
.werk .wide td{white-space:nowrap}.werk .soft{opacity:.7}.werk .n{text-align:right;font-variant-numeric:tabular-nums}
.werk h4{margin:.2em 0;font-size:1.05em}.werk .good{color:#2a9455}.werk .bad{color:#d9534f}.werk .open{color:#b07d12}
.werk svg{display:block;max-width:100%;height:auto;fill:currentColor;font-size:12px}.werk pre{margin:.3em 0;white-space:pre-wrap}
.werk .frame{fill:none;stroke:currentColor;stroke-opacity:.45}.werk .line{stroke:currentColor;stroke-opacity:.45;fill:none}
</style>""")
MARKS = {"ok": ("●", "good"), "violation": ("▲", "bad"), "cannot say": ("◌", "open"), "not checked": ("–", "soft")}
STATES = {"finished": "good", "failed": "bad", "refused": "bad", "passed": "good"}


def block(title: str, about: str, *parts: str) -> Html:
    """A title, what it is about, and parts that are HTML already."""
    head = tag("h4", title, " ", tag("span", about, class_="soft"))
    return joined([STYLE, tag("div", head, *map(Html, parts), class_="werk")])


def verbatim(text: str) -> Html:
    return tag("pre", text)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], types: Mapping[str, str] | None = None) -> Html:
    """Cells as on the terminal; numbers flush right. `types` stand below the columns' names."""
    head = tag("tr", *(_th(name, (types or {}).get(name)) for name in columns))
    body = (tag("tr", *(_td(row.get(name)) for name in columns)) for row in rows)
    return tag("div", tag("table", tag("thead", head), tag("tbody", *body)), class_="wide" if types else None)


def _th(name: str, of: str | None) -> Html:
    return tag("th", name, *((tag("div", of, class_="soft"),) if of else ()), scope="col")


def word(state: object) -> Html:
    return tag("span", str(state), class_=STATES.get(str(state)))


def mark(verdict: object, sentence: str) -> Html:
    """A verdict as a sign and its word; its sentence shows on pointing."""
    sign, class_ = MARKS.get(str(verdict), ("?", "soft"))
    return tag("span", f"{sign} {verdict}", class_=class_, title=sentence)


def _td(value: object) -> Html:
    if isinstance(value, Html):
        return tag("td", value)
    number = isinstance(value, int | float) and not isinstance(value, bool)
    return tag("td", cell(value), class_="n" if number else None)
