"""The project's pipelines: what they take, their steps, and their graph as data."""

from __future__ import annotations

from pathlib import Path

from werk.app.answers import Answer
from werk.app.code import load_pipelines, pipeline_named
from werk.app.settings import find_root
from werk.core.spec import Const, FromParam, FromStep, Node, Source


def pipelines(name: str | None, project: Path | None) -> Answer:
    """Opens no journal and runs no step: tracing a pipeline only reads its code."""
    root = find_root((project or Path.cwd()).resolve())
    if name is None:
        found = [found.spec() for found in load_pipelines(root).values()]
        return Answer(rows=[{"pipeline": s.name, "steps": len(s.nodes), "params": [p.name for p in s.params]} for s in found])
    spec = pipeline_named(root, name).spec()
    return Answer(record=spec.to_json(), text="\n".join(_line(at, node) for at, node in enumerate(spec.nodes, 1)))


def _line(at: int, node: Node) -> str:
    given = ", ".join(f"{name}={_said(source)}" for name, source in node.inputs.items())
    return f"  {at} {node.id:<22} {node.fn}({given})"


def _said(source: Source) -> str:
    match source:
        case FromStep(node, index):
            return node if index is None else f"{node}[{index}]"
        case FromParam(name):
            return name
        case Const(value):
            return repr(value)
