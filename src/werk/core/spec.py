"""A pipeline as data: a typed static graph that engines interpret or compile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from werk.core.canonical import JSON
from werk.core.errors import InputError

SCHEMA = 1


@dataclass(frozen=True, slots=True)
class FromStep:
    """An earlier node's output; `index` picks one of several, None means the only one."""

    node: str
    index: int | None = None


@dataclass(frozen=True, slots=True)
class FromParam:
    name: str


@dataclass(frozen=True, slots=True)
class Const:
    value: JSON


Source = FromStep | FromParam | Const


@dataclass(frozen=True, slots=True)
class Node:
    """One step call. `fn` is `module:qualname`; `types` are the annotation texts of inputs and outputs (`return`)."""

    id: str
    fn: str
    inputs: Mapping[str, Source]
    outputs: int = 1
    kind: Literal["step", "approval"] = "step"
    map_over: str | None = None
    when: FromStep | None = None
    retries: int = 0
    types: Mapping[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    type: str
    default: JSON = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Spec:
    """Nodes stand in an order in which each one's inputs come earlier."""

    name: str
    nodes: tuple[Node, ...]
    params: tuple[Param, ...] = ()

    def node(self, id: str) -> Node:
        for node in self.nodes:
            if node.id == id:
                return node
        raise InputError(f"The pipeline '{self.name}' has no step '{id}'.", code="step-unknown")

    def upstream(self, last: Node) -> Iterator[Node]:
        """The node and all that it was given something by, the last first."""
        wanted = {last.id}
        for node in reversed(self.nodes):
            if node.id in wanted:
                wanted |= {source.node for source in node.inputs.values() if isinstance(source, FromStep)}
                yield node

    def to_json(self) -> dict[str, JSON]:
        return {
            "schema": SCHEMA,
            "name": self.name,
            "params": [{"name": p.name, "type": p.type, "default": p.default, "required": p.required} for p in self.params],
            "nodes": [_node_to_json(node) for node in self.nodes],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, object]) -> Spec:
        if data.get("schema") != SCHEMA:
            raise InputError(
                f"This spec has schema {data.get('schema')}, known is {SCHEMA}.", code="spec-schema", hint="Upgrade werk."
            )
        nodes, params = data["nodes"], data["params"]
        assert isinstance(nodes, list)
        assert isinstance(params, list)
        return cls(str(data["name"]), tuple(map(_node_from_json, nodes)), tuple(Param(**p) for p in params))


def _source_to_json(source: Source) -> dict[str, JSON]:
    match source:
        case FromStep(node, index):
            return {"step": node, "index": index}
        case FromParam(name):
            return {"param": name}
        case Const(value):
            return {"const": value}


def _source_from_json(data: Mapping[str, JSON]) -> Source:
    if "step" in data:
        index = data["index"]
        return FromStep(str(data["step"]), index if isinstance(index, int) else None)
    if "param" in data:
        return FromParam(str(data["param"]))
    return Const(data["const"])


def _node_to_json(node: Node) -> dict[str, JSON]:
    return {
        "id": node.id,
        "fn": node.fn,
        "kind": node.kind,
        "inputs": {name: _source_to_json(source) for name, source in node.inputs.items()},
        "outputs": node.outputs,
        "map_over": node.map_over,
        "when": _source_to_json(node.when) if node.when else None,
        "retries": node.retries,
        "types": dict(node.types or {}),
    }


def _node_from_json(data: Mapping[str, object]) -> Node:
    fields = dict(data)
    inputs, when = fields["inputs"], fields["when"]
    assert isinstance(inputs, dict)
    fields["inputs"] = {name: _source_from_json(source) for name, source in inputs.items()}
    fields["when"] = _source_from_json(when) if isinstance(when, dict) else None
    return Node(**fields)  # type: ignore[arg-type]  # keys are exactly the fields written by _node_to_json
