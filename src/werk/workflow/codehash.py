"""A step's identity: its source and all it refers to within the project, whatever the comments and line ends.

Read from the source alone, so that it is the same in every process and for every checkout. A definition is the
stream of its tokens; names in it are followed through imports as long as they stay below the project's root.
"""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import inspect
import sys
import threading
import tokenize
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, cached_property
from pathlib import Path
from typing import Any

from werk.core.canonical import digest_of, token_digest
from werk.core.errors import InputError
from werk.workflow.step import Step

_WERK = Path(__file__).resolve().parents[1]
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_LAYOUT = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Import = ast.Import | ast.ImportFrom
# CPython 3.11 may raise SystemError when two threads build syntax trees at once (python/cpython#106905).
_PARSING = threading.Lock()


def code_hash(step: Step[..., Any], root: Path, sources: Sources | None = None) -> str:
    """Hex SHA-256 of what the step does, as far as the project (source files below `root`) says it.

    A step of an installed package is its own module's code; werk's own steps also carry werk's version.
    `sources` shares parsed files between calls. Raises `InputError` for a function that has no source file.
    """
    return _Hash(sources or Sources(root)).of(step.fn)


class Sources:
    """The files below a root that count as the project, each parsed once per change."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._files: dict[Path, tuple[tuple[int, int], _Module]] = {}
        self._labels: dict[Path, str] = {}

    def module(self, path: Path) -> _Module:
        stat = path.stat()
        written = (stat.st_mtime_ns, stat.st_size)
        known = self._files.get(path)
        if known is None or known[0] != written:
            with _PARSING:
                known = self._files[path] = (written, _Module(path))
        return known[1]

    def in_project(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and not _installed(path)

    def label(self, path: Path) -> str:
        """The file's name in the hash: the same in every checkout."""
        if path not in self._labels:
            base = next((base for base in (_WERK.parent, self.root) if path.is_relative_to(base)), path.parent)
            self._labels[path] = path.relative_to(base).as_posix()
        return self._labels[path]


@dataclass(frozen=True, slots=True)
class _Token:
    line: int
    kind: int
    text: str


class _Module:
    """One source file: its tokens, and for every top-level name the statements that bind or change it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        with tokenize.open(path) as file:
            self.text = file.read()  # universal newlines, the file's own encoding
        self.tree = ast.parse(self.text)
        self._digests: dict[ast.stmt, str] = {}
        self._names: dict[ast.stmt, list[tuple[str, ...]]] = {}

    @cached_property
    def tokens(self) -> list[_Token]:
        lines = iter(self.text.splitlines(keepends=True))
        found = tokenize.generate_tokens(lambda: next(lines, ""))
        return [_Token(t.start[0], t.type, "" if t.type in _LAYOUT else t.string) for t in found if t.type not in _SILENT]

    @cached_property
    def definitions(self) -> Mapping[str, list[ast.stmt]]:
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.tree.body:
            for name in dict.fromkeys(_bound(statement)):
                found.setdefault(name, []).append(statement)
        return found

    @property
    def stars(self) -> list[ast.ImportFrom]:
        imports = [s for s in self.tree.body if isinstance(s, ast.ImportFrom)]
        return [s for s in imports if s.names[0].name == "*"]

    def digest(self, node: ast.stmt) -> str:
        """Of a statement's tokens; its own depth does not count."""
        if node not in self._digests:
            self._digests[node] = token_digest(self._stream(node))
        return self._digests[node]

    def names(self, node: ast.stmt) -> list[tuple[str, ...]]:
        """The dotted names a statement uses, each once."""
        if node not in self._names:
            self._names[node] = list(dict.fromkeys(_names(node)))
        return self._names[node]

    def _stream(self, node: ast.stmt) -> list[list[object]]:
        decorators = getattr(node, "decorator_list", [])
        first, last = min([node.lineno, *(d.lineno for d in decorators)]), node.end_lineno or node.lineno
        inside = [t for t in self.tokens if first <= t.line <= last]
        while inside and inside[0].kind in _LAYOUT:
            inside = inside[1:]
        return [[tokenize.tok_name[t.kind], t.text] for t in inside]

    def function(self, qualname: str, line: int) -> ast.stmt | None:
        """The definition of a function, nested ones too; of several with one name the one nearest to `line`."""
        scopes: list[ast.AST] = [self.tree]
        for part in (part for part in qualname.split(".") if part != "<locals>"):
            inner = [node for scope in scopes for node in _inside(scope)]
            scopes = [node for node in inner if isinstance(node, _Function | ast.ClassDef) and node.name == part]
        found = [node for node in scopes if isinstance(node, _Function)]
        return min(found, key=lambda node: abs(node.lineno - line), default=None)


class _Hash:
    """One walk over everything a function reaches; `parts` is what the hash covers."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._parts: dict[str, str | None] = {}
        self._ways: set[tuple[str, ...]] = set()
        self._home = Path()

    def of(self, fn: Callable[..., object]) -> str:
        self._home = _file_of(fn)
        if self._home.is_relative_to(_WERK):
            self._parts["werk"] = _werk_version()
        self._function(fn)
        return digest_of(self._parts)

    def _follows(self, path: Path) -> bool:
        ours = self._home.is_relative_to(_WERK)
        return path == self._home or (not ours and self._sources.in_project(path) and not path.is_relative_to(_WERK))

    def _function(self, fn: Callable[..., object]) -> None:
        module = self._sources.module(_file_of(fn))
        line = fn.__code__.co_firstlineno
        node = module.function(fn.__qualname__, line)
        if node is None:
            raise _no_source(fn)
        self._statement(module, fn.__qualname__, node, fn.__module__)
        for name, cell in zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True):
            self._value(f"{fn.__qualname__}.{name}", _content(cell))
        wrapped = getattr(fn, "__wrapped__", None)
        if inspect.isfunction(wrapped):
            self._value(fn.__qualname__, wrapped)

    def _value(self, label: str, value: object) -> None:
        """What a function's closure holds: code is followed, plain values count, the rest by type."""
        value = value.fn if isinstance(value, Step) else value
        if inspect.isfunction(value) and self._follows(_real(value.__code__.co_filename)):
            if not self._seen(self._sources.label(_file_of(value)), value.__qualname__):
                self._function(value)
            return
        try:
            part = token_digest(str(value) if isinstance(value, date) else value)
        except TypeError:
            part = f"{type(value).__module__}:{type(value).__qualname__}"
        self._parts[f"closure {label}"] = part

    def _seen(self, file: str, name: str) -> bool:
        return f"{file}:{name}" in self._parts

    def _statement(self, module: _Module, name: str, node: ast.stmt, package: str) -> None:
        key = f"{self._sources.label(module.path)}:{name}"
        while key in self._parts:
            key += "+"  # a name bound by several statements
        self._parts[key] = module.digest(node)
        for dotted in module.names(node):
            self._resolve(module, dotted, package)

    def _resolve(self, module: _Module, dotted: tuple[str, ...], package: str) -> None:
        """Follow a name used in a module to what defines it there."""
        name, rest = dotted[0], dotted[1:]
        if name in module.definitions:
            imports = [s for s in module.definitions[name] if isinstance(s, _Import)]
            for statement in imports:
                self._imported(module, statement, name, rest, package)
            self._define(module, name, package)
            return
        for star in module.stars:
            self._from(_absolute(star, package), name, rest, module)

    def _define(self, module: _Module, name: str, package: str) -> None:
        statements = [s for s in module.definitions[name] if not isinstance(s, _Import)]
        if statements and not self._seen(self._sources.label(module.path), name):
            for statement in statements:
                self._statement(module, name, statement, package)

    def _imported(self, module: _Module, node: _Import, name: str, rest: tuple[str, ...], package: str) -> None:
        for alias in node.names:
            if (alias.asname or alias.name.partition(".")[0]) != name:
                continue
            if isinstance(node, ast.ImportFrom):
                self._from(_absolute(node, package), alias.name, rest, module)
            else:
                self._from(alias.name if alias.asname else name, None, rest, module)

    def _from(self, target: str, name: str | None, rest: tuple[str, ...], user: _Module) -> None:
        """`rest` of `name` of the module `target`: a definition in it, or a module below it."""
        names = (*((name,) if name else ()), *rest)
        while names and _source(f"{target}.{names[0]}") and not self._has(target, names[0]):
            target, names = f"{target}.{names[0]}", names[1:]
        path = _source(target)
        if path is None or not self._follows(path):
            # What lies outside counts by name: another import is another step.
            self._parts[f"{self._sources.label(user.path)} uses {target}:{'.'.join(names[:1])}"] = None
            return
        if names:
            way = (target, *names)
            if way not in self._ways:
                self._ways.add(way)
                self._resolve(self._sources.module(path), names, target)

    def _has(self, target: str, name: str) -> bool:
        """Whether a package binds the name to something else than the module of that name below it."""
        path = _source(target)
        if path is None or not self._follows(path):
            return False
        found = self._sources.module(path).definitions.get(name, [])
        return any(not (isinstance(s, ast.ImportFrom) and _absolute(s, target) == target) for s in found)


def _bound(statement: ast.stmt) -> Iterator[str]:
    """Top-level names a statement binds, or changes by a call or an item assignment."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Import(names=names):
            yield from (alias.asname or alias.name.partition(".")[0] for alias in names)
        case ast.ImportFrom(names=names):
            yield from (alias.asname or alias.name for alias in names)
        case ast.Assign(targets=targets):
            yield from (name for target in targets for name in _targets(target))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            yield from _targets(target)
        case ast.Expr(value=ast.Call(func=func)):
            yield from _targets(func)
        case _:
            for inner in ast.iter_child_nodes(statement):
                if isinstance(inner, ast.stmt):
                    yield from _bound(inner)


def _targets(target: ast.expr) -> Iterator[str]:
    match target:
        case ast.Name(id=name):
            yield name
        case ast.Tuple(elts=parts) | ast.List(elts=parts):
            yield from (name for part in parts for name in _targets(part))
        case ast.Attribute(value=value) | ast.Subscript(value=value) | ast.Starred(value=value):
            yield from _targets(value)
        case _:
            return


def _names(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Every dotted name used in a statement, longest form: `features.rolling.mean`."""
    for part in ast.walk(node):
        if isinstance(part, ast.Name | ast.Attribute) and (dotted := _dotted(part)):
            yield dotted


def _dotted(node: ast.expr) -> tuple[str, ...]:
    if isinstance(node, ast.Name):
        return (node.id,)
    if isinstance(node, ast.Attribute) and (before := _dotted(node.value)):
        return (*before, node.attr)
    return ()


def _inside(scope: ast.AST) -> Iterator[ast.AST]:
    """Nodes of a scope, not those of the functions and classes in it."""
    for child in ast.iter_child_nodes(scope):
        yield child
        if not isinstance(child, _Function | ast.ClassDef):
            yield from _inside(child)


def _absolute(node: ast.ImportFrom, module: str) -> str:
    if not node.level:
        return node.module or ""
    loaded = sys.modules.get(module)
    package = getattr(loaded, "__package__", None) or module.rpartition(".")[0]
    try:
        return importlib.util.resolve_name("." * node.level + (node.module or ""), package)
    except ImportError:
        return node.module or ""


def _source(module: str) -> Path | None:
    """The file of a module, None when it has none in Python. Nothing is imported but its packages."""
    loaded = sys.modules.get(module)
    file = getattr(loaded, "__file__", None) if loaded else _found(module)
    return _real(file) if file and file.endswith(".py") else None


@cache
def _werk_version() -> str:
    return importlib.metadata.version("werk")


@cache
def _real(file: str) -> Path:
    return Path(file).resolve()


def _found(module: str) -> str | None:
    parent = module.rpartition(".")[0]
    if parent and not hasattr(sys.modules.get(parent), "__path__"):
        return None
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return spec.origin if spec else None


def _file_of(fn: Callable[..., object]) -> Path:
    if not inspect.isfunction(fn) or fn.__name__ == "<lambda>" or not Path(fn.__code__.co_filename).is_file():
        raise _no_source(fn)
    return _real(fn.__code__.co_filename)


def _no_source(fn: object) -> InputError:
    return InputError(
        f"The step function '{getattr(fn, '__name__', fn)}' has no source that could be recorded.",
        code="step-source",
        hint="Write it with `def` in a .py file of the project.",
    )


def _content(cell: Any) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not yet filled
        return None


def _installed(path: Path) -> bool:
    return any(part in ("site-packages", "dist-packages") for part in path.parts)
