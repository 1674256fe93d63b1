"""HTML that cannot be broken out of: every text is escaped unless it was built here."""

from __future__ import annotations

import html
from collections.abc import Iterable

VOID = frozenset({"meta", "br", "line", "rect", "circle", "path", "polyline", "polygon"})


class Html(str):
    """Markup built by `tag`; any other text is content."""

    __slots__ = ()


def tag(name: str, /, *children: str, **attributes: object) -> Html:
    """An element. `class_` and `aria_label` are written `class` and `aria-label`; an attribute of None is left out."""
    written = "".join(f' {_key(key)}="{html.escape(str(value))}"' for key, value in attributes.items() if value is not None)
    if name in VOID and not children:
        return Html(f"<{name}{written}/>")
    return Html(f"<{name}{written}>{joined(children)}</{name}>")


def joined(parts: Iterable[str]) -> Html:
    return Html("".join(part if isinstance(part, Html) else html.escape(part) for part in parts))


def table(caption: str, head: Iterable[str], rows: Iterable[Iterable[str]], numbers: Iterable[int] = ()) -> Html:
    """The first cell of a row names it; columns in `numbers` are set flush right."""
    right = set(numbers)
    top = tag("tr", *(tag("th", cell, scope="col", class_=_right(at, right)) for at, cell in enumerate(head)))
    body = (tag("tr", *(_cell(at, cell, right) for at, cell in enumerate(row))) for row in rows)
    inside = tag("table", tag("caption", caption), tag("thead", top), tag("tbody", *body))
    return tag("div", inside, class_="wide", tabindex="0", role="region", aria_label=caption)


def _cell(at: int, cell: str, right: set[int]) -> Html:
    if at == 0:
        return tag("th", cell, scope="row")
    return tag("td", cell, class_=_right(at, right))


def _right(at: int, right: set[int]) -> str | None:
    return "n" if at in right else None


def _key(name: str) -> str:
    return name.rstrip("_").replace("_", "-")
