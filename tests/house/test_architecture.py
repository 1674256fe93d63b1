import dataclasses
import tomllib
import xml.etree.ElementTree as ET
from pathlib import Path

from werk.app.architecture import DRAWING, draw, house

ROOT = Path(__file__).parents[2]


def words(svg: str) -> set[str]:
    return {element.text or "" for element in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")}


def test_the_drawing_in_the_docs_is_that_of_the_code() -> None:
    stale = "The drawing is stale: run `python -m werk.app.architecture`."
    assert (ROOT / DRAWING).read_text(encoding="utf-8") == draw(house(ROOT)), stale


def test_every_room_port_and_adapter_is_drawn() -> None:
    drawn = words(draw(house(ROOT)))
    folders = {path.parent.name for path in (ROOT / "src" / "werk").glob("*/__init__.py")} - {"adapters", "testing", "templates"}
    assert folders <= drawn
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    assert {group.removeprefix("werk.") for group in points} <= drawn
    assert {", ".join(sorted(adapters)) for adapters in points.values()} <= drawn


def test_a_new_import_changes_the_drawing() -> None:
    found = house(ROOT)
    more = dataclasses.replace(found, uses={**found.uses, "core": ("journal",)})
    assert draw(more) != draw(found)


def test_names_cannot_break_the_drawing() -> None:
    found = dataclasses.replace(house(ROOT), ports={"<port>": ('a"&b',)})
    assert {"<port>", 'a"&b'} <= words(draw(found))
