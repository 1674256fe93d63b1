"""A pipeline's steps as a drawing: a box a step, an arrow where one takes what another gave."""

from __future__ import annotations

from collections.abc import Mapping

from werk.app.face.html import STATES
from werk.core.spec import FromStep, Node, Spec
from werk.pipelines.story.markup import Html, tag

WIDE, HIGH, GAP_X, GAP_Y = 148, 44, 34, 14


def graph(spec: Spec, states: Mapping[str, str], took: Mapping[str, str]) -> Html:
    """Steps stand in columns, each right of all it takes from."""
    at = _places(spec)
    width = max(x for x, _ in at.values()) + WIDE + 8 if at else 0
    height = max(y for _, y in at.values()) + HIGH + 8 if at else 0
    arrows = [_arrow(at[before], at[node.id]) for node in spec.nodes for before in _before(node)]
    boxes = [_box(node, at[node.id], states.get(node.id, ""), took.get(node.id, "")) for node in spec.nodes]
    said = f"{len(spec.nodes)} steps: " + ", ".join(f"{node.id} {states.get(node.id, '')}" for node in spec.nodes)
    return tag("svg", tag("title", said), *arrows, *boxes, viewBox=f"0 0 {width} {height}", width=width, role="img")


def _places(spec: Spec) -> dict[str, tuple[int, int]]:
    column: dict[str, int] = {}
    for node in spec.nodes:
        column[node.id] = max((column[before] + 1 for before in _before(node)), default=0)
    rows = dict.fromkeys(column.values(), 0)
    places: dict[str, tuple[int, int]] = {}
    for node in spec.nodes:
        x = column[node.id]
        places[node.id] = (4 + x * (WIDE + GAP_X), 4 + rows[x] * (HIGH + GAP_Y))
        rows[x] += 1
    return places


def _before(node: Node) -> list[str]:
    """The steps it takes from, each once; in a spec they stand before it."""
    return list(dict.fromkeys(source.node for source in node.inputs.values() if isinstance(source, FromStep)))


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> Html:
    x1, y1, x2, y2 = start[0] + WIDE, start[1] + HIGH / 2, end[0], end[1] + HIGH / 2
    bend = min(GAP_X, max(12.0, (x2 - x1) / 2))
    tip = f"M{x2 - 6:g} {y2 - 3.5:g} L{x2:g} {y2:g} L{x2 - 6:g} {y2 + 3.5:g}"
    return tag("path", d=f"M{x1:g} {y1:g} C{x1 + bend:g} {y1:g} {x2 - bend:g} {y2:g} {x2:g} {y2:g} {tip}", class_="line")


def _box(node: Node, place: tuple[int, int], state: str, took: str) -> Html:
    x, y = place
    frame = tag("rect", x=x, y=y, width=WIDE, height=HIGH, rx=6, class_="frame")
    name = tag("text", node.id, x=x + WIDE / 2, y=y + 18, text_anchor="middle", font_weight="600")
    said = " ".join(filter(None, (state, took)))
    below = tag(
        "text", said, x=x + WIDE / 2, y=y + 34, text_anchor="middle", class_=STATES.get(state, "soft"), fill="currentColor"
    )
    return tag("g", frame, name, below)
