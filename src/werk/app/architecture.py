"""The drawing of the house in the docs, made from the import contracts, the imports themselves and the entry points.

`python -m werk.app.architecture` writes `docs/architecture.svg`; run it in a checkout after a room, port or adapter changed.
"""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

DRAWING = Path("docs/architecture.svg")
_WIDTH, _MARGIN, _GAP = 1080, 24, 12
_FLOOR_HEIGHT, _PORT_HEIGHT, _PORTS_IN_A_ROW = 58, 62, 3
_STYLE = """
text { font: 13px system-ui, sans-serif; fill: #1f2933 } .name { font-weight: 600 } .small { font-size: 11px; fill: #52606d }
.room { fill: #e6f0fa; stroke: #4a7fb5 } .port { fill: #f3f0e6; stroke: #a08a45 } .page { fill: #ffffff }
@media (prefers-color-scheme: dark) { text { fill: #e4e7eb } .small { fill: #9aa5b1 } .room { fill: #1c3247; stroke: #6fa3d8 }
.port { fill: #35301f; stroke: #c4ad66 } .page { fill: #12181f } }
"""


@dataclass(frozen=True, slots=True)
class House:
    """`floors` from the roof down; `uses` says which rooms a room imports; `ports` lists each port's adapters."""

    floors: tuple[tuple[str, ...], ...]
    uses: Mapping[str, tuple[str, ...]]
    sentences: Mapping[str, str]
    ports: Mapping[str, tuple[str, ...]]


def house(root: Path) -> House:
    """The house as the checkout at `root` has it."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    contracts = project["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    floors = tuple(tuple(room.strip() for room in layer.split("|")) for layer in layers)
    rooms = {room: root / "src" / "werk" / room for floor in floors for room in floor}
    points = project["project"]["entry-points"]
    return House(
        floors=floors,
        uses={room: tuple(_uses(room, folder, rooms)) for room, folder in rooms.items()},
        sentences={room: _sentence(folder) for room, folder in rooms.items()},
        ports={group.removeprefix("werk."): tuple(sorted(names)) for group, names in sorted(points.items())},
    )


def draw(drawn: House) -> str:
    """The house as an SVG that reads on light and dark pages; a room's sentence shows when pointed at."""
    top = _MARGIN + len(drawn.floors) * (_FLOOR_HEIGHT + _GAP)
    rows = -(-len(drawn.ports) // _PORTS_IN_A_ROW)
    height = top + 30 + rows * (_PORT_HEIGHT + _GAP) + _MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" aria-labelledby="title">',
        '<title id="title">The rooms of werk, floor by floor, and the ports below them</title>',
        f"<style>{_STYLE}</style>",
        f'<rect class="page" width="{_WIDTH}" height="{height}"/>',
        *(line for row, floor in enumerate(drawn.floors) for line in _floor(drawn, floor, row)),
        _text(_MARGIN, top + 16, "Ports (in core), each with its adapters found by entry point", "name"),
        *(line for place, port in enumerate(drawn.ports) for line in _port(port, drawn.ports[port], place, top + 30)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def main(root: Path) -> None:
    target = root / DRAWING
    target.write_text(draw(house(root)), encoding="utf-8")
    print(f"{DRAWING} written")


def _floor(drawn: House, floor: Sequence[str], row: int) -> Iterator[str]:
    width = (_WIDTH - 2 * _MARGIN - (len(floor) - 1) * _GAP) / len(floor)
    for place, room in enumerate(floor):
        x, y = _MARGIN + place * (width + _GAP), _MARGIN + row * (_FLOOR_HEIGHT + _GAP)
        uses = ", ".join(drawn.uses[room])
        lines = (room, f"uses {uses}" if uses else "uses the standard library only" if room == "core" else "")
        yield from _box("room", x, y, width, _FLOOR_HEIGHT, lines, drawn.sentences[room])


def _port(port: str, adapters: Sequence[str], place: int, top: int) -> Iterator[str]:
    row, column = divmod(place, _PORTS_IN_A_ROW)
    width = (_WIDTH - 2 * _MARGIN - (_PORTS_IN_A_ROW - 1) * _GAP) / _PORTS_IN_A_ROW
    x, y = _MARGIN + column * (width + _GAP), top + row * (_PORT_HEIGHT + _GAP)
    yield from _box("port", x, y, width, _PORT_HEIGHT, (port, ", ".join(adapters)), "")


def _box(kind: str, x: float, y: float, width: float, height: float, lines: tuple[str, str], tip: str) -> Iterator[str]:
    yield f"<g>{f'<title>{escape(tip)}</title>' if tip else ''}"
    yield f'<rect class="{kind}" x="{x:.0f}" y="{y:.0f}" width="{width:.0f}" height="{height:.0f}" rx="6"/>'
    yield _text(x + 14, y + 25, lines[0], "name")
    yield _text(x + 14, y + 44, lines[1], "small")
    yield "</g>"


def _text(x: float, y: float, words: str, kind: str) -> str:
    return f'<text class="{kind}" x="{x:.0f}" y="{y:.0f}">{escape(words)}</text>'


def _uses(room: str, folder: Path, rooms: Iterable[str]) -> list[str]:
    imported = {name.split(".")[1] for path in folder.rglob("*.py") for name in _imports(path) if name.startswith("werk.")}
    return [other for other in rooms if other in imported and other != room]


def _imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "werk":
            yield from (f"werk.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def _sentence(folder: Path) -> str:
    text = ast.get_docstring(ast.parse((folder / "__init__.py").read_text(encoding="utf-8"))) or ""
    return " ".join(text.split("\n\n")[0].split())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
