"""What holds for every port and every adapter of it, ours by the same entry points as a stranger's."""

import ast
import importlib
import inspect
import pkgutil
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

import pytest

import werk.core.ports
from werk.core.plugins import adapter

ROOT = Path(__file__).parents[2]
PORTS = [module.name for module in pkgutil.iter_modules(werk.core.ports.__path__)]
ADAPTERS = [(port, point) for port in PORTS for point in entry_points(group=f"werk.{port}") if point.dist.name == "werk"]  # type: ignore[union-attr]
# The engine's one adapter is a room: the journal itself runs pipelines (design, part 5), on a file or a server; it has no
# memory twin, because what an engine promises is about what outlives its process.
ROOMS = {"engine": "werk.workflow.engine"}
each_adapter = pytest.mark.parametrize(("port", "point"), ADAPTERS, ids=[f"{port}-{point.name}" for port, point in ADAPTERS])
each_port = pytest.mark.parametrize("port", PORTS)


def protocol(port: str) -> type:
    """The port itself is the class named like its module."""
    module = importlib.import_module(f"werk.core.ports.{port}")
    found: type = getattr(module, port.title().replace("_", ""))
    return found


def promised(cls: type) -> dict[str, Any]:
    return {name: member for name, member in vars(cls).items() if inspect.isfunction(member) and not name.startswith("_")}


def shape(function: Any) -> list[tuple[str, str, object]]:
    parameters = inspect.signature(function).parameters.values()
    return [(p.name, p.kind.description, p.default) for p in parameters]


@each_port
def test_every_port_has_adapters_a_suite_and_a_conformance_test(port: str) -> None:
    names = {point.name for other, point in ADAPTERS if other == port}
    assert port in ROOMS or {"memory"} < names
    assert names
    assert (ROOT / "src/werk/testing" / f"{port}.py").is_file()
    assert (ROOT / "tests/conformance" / f"test_{port}.py").is_file()


@each_adapter
def test_every_adapter_is_enrolled(port: str, point: EntryPoint) -> None:
    text = (ROOT / "tests/conformance" / f"test_{port}.py").read_text()
    used = {node.id for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Name)}
    assert point.attr in used, f"{point.attr} is in no conformance test"


@each_adapter
def test_an_adapter_has_the_ports_very_signatures(port: str, point: EntryPoint) -> None:
    cls = adapter(port, point.name)
    for name, method in promised(protocol(port)).items():
        assert shape(getattr(cls, name)) == shape(method), f"{point.attr}.{name} differs from the port"


@each_adapter
def test_an_adapter_is_one_file_named_after_its_technology(port: str, point: EntryPoint) -> None:
    assert point.module == ROOMS.get(port, f"werk.adapters.{port}.{point.name}")


@each_port
def test_no_any_crosses_a_port(port: str) -> None:
    tree = ast.parse(Path(inspect.getfile(protocol(port))).read_text())
    assert [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "Any"] == []


@each_port
def test_a_port_stays_small_and_numbers_its_promises(port: str) -> None:
    cls = protocol(port)
    assert 1 <= len(promised(cls)) <= 6
    assert "1. " in (cls.__doc__ or "")
