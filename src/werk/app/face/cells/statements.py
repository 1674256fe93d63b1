"""Cells as statements: what each one binds, and which of the notebook's names it uses."""

from __future__ import annotations

import ast
import symtable
import textwrap
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_Holding = ast.If | ast.Try | ast.With
# These run their cell's text as it is; others may do anything with it.
_PLAIN_MAGICS = frozenset({"time", "capture", "prun"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a cell that is no part of a function or class, with its own text."""

    node: ast.stmt
    text: str

    @property
    def binds(self) -> frozenset[str]:
        match self.node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                return frozenset({name})
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                return frozenset(bound(alias, self.node) for alias in names)
            case _:
                stored = (part for part in ast.walk(self.node) if isinstance(part, ast.Name))
                return frozenset(part.id for part in stored if not isinstance(part.ctx, ast.Load))

    @property
    def assigns(self) -> str:
        """The one name that it gives a value, nothing where it is no such statement."""
        match self.node:
            case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
                return name
            case _:
                return ""


def statements(cells: Iterable[str]) -> list[Statement]:
    """In the order in which the cells ran; a cell that is no Python never did."""
    return [found for cell in cells for found in _of_cell(cell)]


def bound(alias: ast.alias, node: ast.stmt) -> str:
    """The name that an import binds."""
    return alias.asname or (alias.name if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0])


@lru_cache(maxsize=4096)
def uses(text: str) -> frozenset[str]:
    """The names that a statement, and the functions in it, look up in the notebook; those of its own scopes are none."""
    names: set[str] = set()
    waiting = [symtable.symtable(text, "cell", "exec")]
    while waiting:
        table = waiting.pop()
        waiting += table.get_children()
        top = table.get_type() == "module"
        names |= {name.get_name() for name in table.get_symbols() if name.is_referenced() and (top or name.is_global())}
    return frozenset(names | set(_quoted(ast.parse(text))))


def _quoted(tree: ast.AST) -> Iterator[str]:
    """Names in annotations that are written as text."""
    for node in ast.walk(tree):
        annotation = getattr(node, "annotation", None) or getattr(node, "returns", None)
        for part in ast.walk(annotation) if isinstance(annotation, ast.AST) else ():
            if isinstance(part, ast.Constant) and isinstance(part.value, str):
                try:
                    yield from (name.id for name in ast.walk(ast.parse(part.value, mode="eval")) if isinstance(name, ast.Name))
                except SyntaxError:
                    continue


@lru_cache(maxsize=4096)
def _of_cell(cell: str) -> tuple[Statement, ...]:
    try:
        body = ast.parse(cell).body
    except (SyntaxError, ValueError):
        return ()
    return tuple(found for node in body for found in _held(node, cell))


def _held(node: ast.stmt, cell: str) -> Iterator[Statement]:
    yield Statement(node, _text(node, cell))
    if isinstance(node, _Holding):
        parts = (*node.body, *getattr(node, "orelse", ()), *getattr(node, "finalbody", ()))
        handlers = (part for handler in getattr(node, "handlers", ()) for part in handler.body)
        for part in (*parts, *handlers):
            yield from _held(part, cell)
    match node:
        case ast.Expr(
            value=ast.Call(
                func=ast.Attribute(attr="run_cell_magic"),
                args=[ast.Constant(value=str(magic)), _, ast.Constant(value=str(inner))],
            )
        ) if magic in _PLAIN_MAGICS:
            yield from _of_cell(inner)


def _text(node: ast.stmt, cell: str) -> str:
    """Whole lines where it has them to itself, decorators included."""
    first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
    lines = cell.split("\n")[first - 1 : node.end_lineno]
    whole = textwrap.dedent("\n".join(lines))
    try:
        if len(ast.parse(whole).body) == 1:
            return whole
    except SyntaxError:
        pass
    return ast.get_source_segment(cell, node) or ast.unparse(node)
