"""One source file as the code hash sees it: its top-level statements, what each binds and uses, and which act on import."""

from __future__ import annotations

import ast
import hashlib
import io
import re
import threading
import tokenize
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path

from werk.core.canonical import token_digest

Dotted = tuple[str, ...]
ImportNode = ast.Import | ast.ImportFrom
_Function = ast.FunctionDef | ast.AsyncFunctionDef
_Scope = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda
_SILENT = {tokenize.COMMENT, tokenize.NL, tokenize.ENCODING, tokenize.ENDMARKER}
_LAYOUT = {tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
_NAME = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")
# CPython 3.11 may raise SystemError when two threads build syntax trees at once (python/cpython#106905).
_PARSING = threading.Lock()
# What may be called while a module is imported without running or changing anything of the project's; empty means all of it.
_QUIET: Mapping[str, frozenset[str]] = {
    "werk": frozenset(),
    "abc": frozenset({"ABC", "abstractmethod"}),
    "contextlib": frozenset({"contextmanager"}),
    "dataclasses": frozenset({"dataclass", "field"}),
    "datetime": frozenset({"date", "datetime", "time", "timedelta", "timezone"}),
    "functools": frozenset({"cache", "cached_property", "lru_cache", "partial", "wraps"}),
    "pathlib": frozenset({"Path", "PurePath"}),
    "re": frozenset({"compile"}),
    "typing": frozenset(),
}
_QUIET_BUILTINS = frozenset(
    {"bool", "bytes", "dict", "float", "frozenset", "int", "len", "list", "max", "min", "object", "range", "set", "sorted"}
    | {"str", "sum", "tuple", "classmethod", "property", "staticmethod"}
)
_QUIET_BASES = frozenset({"object", "ABC", "Exception", "NamedTuple", "Protocol", "TypedDict", "ValueError", "RuntimeError"})
_AT_CREATION = frozenset({"__init__", "__new__", "__post_init__", "__init_subclass__", "__class_getitem__", "__set_name__"})
# A module's own answer to a name it does not hold.
_ANSWERS = frozenset({"__getattr__", "__dir__"})


@dataclass(frozen=True, slots=True)
class Imported:
    """One name an import binds: `alias.name` of the module (`ImportFrom`), or the module `alias.name`."""

    node: ImportNode
    alias: ast.alias

    @property
    def name(self) -> str:
        return self.alias.asname or (self.alias.name if isinstance(self.node, ast.ImportFrom) else self.alias.name.split(".")[0])


@dataclass(frozen=True, slots=True)
class Uses:
    """What a piece of code refers to: dotted names in their longest form, its own imports, attributes of anything."""

    names: tuple[Dotted, ...]
    imports: tuple[Imported, ...]
    attributes: frozenset[str]


class Module:
    """A parsed file. `active` is what runs on import and may matter to anybody: it belongs to every use of the module.

    A definition, or a constant made of literals, matters only to those who name it. Whatever is not known to be one of
    these is active, so that an unknown way of binding a name makes a hash cover more, never less.
    """

    def __init__(self, path: Path, data: bytes) -> None:
        self.path = path
        self.unreadable: str | None = None
        try:
            self.text = _decoded(data)
            with _PARSING:
                self.body = ast.parse(self.text).body
        except (SyntaxError, UnicodeDecodeError, ValueError):
            # No Python of this version: its bytes are all that can be said of it.
            self.unreadable, self.text, self.body = hashlib.sha256(data).hexdigest(), "", []
        self._digests: dict[ast.AST, str] = {}
        self._uses: dict[ast.AST, Uses] = {}

    @cached_property
    def lines(self) -> list[str]:
        # Not `splitlines`: it also breaks at form feeds and the like, which the parser's line numbers do not count.
        return self.text.split("\n")

    @cached_property
    def sha256(self) -> str:
        """Of the whole file, comments and layout aside."""
        return self.unreadable or token_digest([self.digest(statement) for statement in self.body])

    @cached_property
    def imports(self) -> Mapping[str, list[Imported]]:
        """The imports that bind a module's name, those in `if` and `try` included."""
        found: dict[str, list[Imported]] = {}
        for one in self.imported:
            found.setdefault(one.name, []).append(one)
        return found

    @cached_property
    def imported(self) -> list[Imported]:
        nodes = [node for statement in self.body for node in _in_scope(statement) if isinstance(node, ImportNode)]
        declared = [one for statement in self.body for one in _made_global(statement)]
        return [*(Imported(node, alias) for node in nodes for alias in node.names), *declared]

    @cached_property
    def stars(self) -> list[ast.ImportFrom]:
        nodes = [one.node for one in self.imported if one.alias.name == "*"]
        return [node for node in nodes if isinstance(node, ast.ImportFrom)]

    @cached_property
    def bound(self) -> Mapping[str, list[ast.stmt]]:
        """The statements that bind a name of the module; a plain import is in `imports` alone."""
        found: dict[str, list[ast.stmt]] = {}
        for statement in self.body:
            for name in dict.fromkeys(() if isinstance(statement, ImportNode) else _binds(statement)):
                found.setdefault(name, []).append(statement)
        return found

    @cached_property
    def active(self) -> list[ast.AST]:
        return [node for statement in self.body for node in self._active(statement)]

    def statement_at(self, line: int) -> ast.stmt | None:
        """The top-level statement that a line belongs to."""
        return next((s for s in self.body if _first_line(s) <= line <= (s.end_lineno or s.lineno)), None)

    def digest(self, node: ast.AST) -> str:
        """Of a statement's tokens, or of an expression's form."""
        if node not in self._digests:
            told = self._stream(node) if isinstance(node, ast.stmt) else ast.dump(node)
            self._digests[node] = token_digest(told)
        return self._digests[node]

    def uses(self, node: ast.AST) -> Uses:
        if node not in self._uses:
            self._uses[node] = _used(node)
        return self._uses[node]

    def _stream(self, node: ast.stmt) -> list[list[object]]:
        text = "\n".join(self.lines[_first_line(node) - 1 : node.end_lineno]) + "\n"
        found = [t for t in tokenize.generate_tokens(io.StringIO(text).readline) if t.type not in _SILENT]
        return [[tokenize.tok_name[t.type], "" if t.type in _LAYOUT else t.string] for t in found]

    # --- what acts on import ---

    def _active(self, statement: ast.stmt) -> list[ast.AST]:
        if isinstance(statement, _Function) and self._waits(statement):
            # The values of its parameters are made at once.
            return [node for node in _made_with(statement) if not self._quiet(node)]
        return [] if self._still(statement) else [statement]

    def _waits(self, made: _Function) -> bool:
        """Whether a function does nothing until it is called."""
        return made.name not in _ANSWERS and self._quiet_decorators(made)

    def _still(self, statement: ast.stmt) -> bool:
        """Whether to run it runs and changes nothing of the project's, beyond the names it binds."""
        match statement:
            case ast.Import() | ast.ImportFrom() | ast.Pass() | ast.Expr(value=ast.Constant()):
                return True
            case ast.Assign(targets=targets, value=value):
                return all(map(_plain, targets)) and self._quiet(value)
            case ast.AnnAssign(target=ast.Name(), value=value, annotation=annotation):
                return (value is None or self._quiet(value)) and not _calls(annotation)
            case ast.If(test=test, body=body, orelse=orelse):
                return _main_only(test) or (self._quiet(test) and all(map(self._still, [*body, *orelse])))
            case ast.Try(body=body, handlers=handlers, orelse=orelse, finalbody=finalbody):
                return all(map(self._still, [*body, *(s for h in handlers for s in h.body), *orelse, *finalbody]))
            case ast.ClassDef():
                return self._still_class(statement)
            case ast.FunctionDef() | ast.AsyncFunctionDef():
                return self._waits(statement) and all(map(self._quiet, _made_with(statement)))
            case _:
                return False

    def _still_class(self, made: ast.ClassDef) -> bool:
        bases = all(_last(base) in _QUIET_BASES and self._foreign(base) for base in made.bases)
        return bases and not made.keywords and self._quiet_decorators(made) and all(map(self._still, made.body))

    def _quiet_decorators(self, made: _Function | ast.ClassDef) -> bool:
        return all(self._quiet(node) and self._known(node) for node in made.decorator_list)

    def _quiet(self, node: ast.AST) -> bool:
        """Whether an expression only puts values together, and calls what is known to do no more."""
        match node:
            case ast.Constant() | ast.Name() | ast.Lambda(args=ast.arguments(defaults=[], kw_defaults=[])):
                return True
            case ast.Tuple(elts=parts) | ast.List(elts=parts) | ast.Set(elts=parts):
                return all(map(self._quiet, [part.value if isinstance(part, ast.Starred) else part for part in parts]))
            case ast.Dict(keys=keys, values=parts):
                return None not in keys and all(self._quiet(part) for part in [*keys, *parts] if part)
            case ast.Call(func=func, args=args, keywords=keywords) if self._known(func) or self._plain_class(func):
                return all(map(self._quiet, [*args, *(keyword.value for keyword in keywords)]))
            case ast.Attribute() if self._known(node):
                return True
            case _:
                return self._of_literals(node)

    def _of_literals(self, node: ast.AST) -> bool:
        """Nothing in it is the project's, and it calls nothing but the plainest builtins."""
        for part in ast.walk(node):
            if isinstance(part, ast.Name) and not (self._builtin(part) or self._known(part)):
                return False
            if isinstance(part, ast.Call) and not (self._builtin(part.func) or self._known(part.func)):
                return False
            if isinstance(part, ast.Lambda | ast.NamedExpr | ast.Await | ast.Yield | ast.YieldFrom):
                return False
        return True

    def _known(self, node: ast.AST) -> bool:
        """A decorator or callable that is on the list, by where it is imported from."""
        node = node.func if isinstance(node, ast.Call) else node
        dotted = _dotted(node)
        if not dotted or dotted[0] in self.bound:
            return len(dotted) == 1 and self._builtin(node) and dotted[0] in ("property", "staticmethod", "classmethod")
        found = self.imports.get(dotted[0], [])
        return bool(found) and all(_listed(one, dotted[1:]) for one in found)

    def _foreign(self, node: ast.expr) -> bool:
        return self._builtin(node) or self._known(node)

    def _builtin(self, node: ast.AST) -> bool:
        if not isinstance(node, ast.Name) or node.id in self.bound or node.id in self.imports or self.stars:
            return False
        return node.id in _QUIET_BUILTINS or node.id in _QUIET_BASES

    def _plain_class(self, node: ast.AST) -> bool:
        """A class of this file whose instances are made by setting fields alone."""
        found = self.bound.get(node.id, []) if isinstance(node, ast.Name) else []
        if len(found) != 1 or not isinstance(found[0], ast.ClassDef) or found[0].bases:
            return False
        methods = [part for part in found[0].body if isinstance(part, _Function)]
        made = [part for part in found[0].body if part not in methods] + [node for one in methods for node in _made_with(one)]
        return not {one.name for one in methods} & _AT_CREATION and not any(map(_calls, made)) and self._still(found[0])


@lru_cache(maxsize=1024)
def parsed(path: Path, data: bytes) -> Module:
    """A file with what it holds, read into statements once a process: by its bytes, so that no edit is ever missed."""
    return Module(path, data)


def _decoded(data: bytes) -> str:
    """By the encoding that the file itself names, every line end a newline."""
    raw = io.BytesIO(data)
    encoding, _ = tokenize.detect_encoding(raw.readline)
    raw.seek(0)
    return io.TextIOWrapper(raw, encoding).read()


def _listed(one: Imported, rest: Dotted) -> bool:
    if isinstance(one.node, ast.ImportFrom):
        module, names = ("" if one.node.level else one.node.module or ""), (one.alias.name, *rest)
    else:
        module, names = one.alias.name, rest
    top = module.partition(".")[0]
    return top in _QUIET and (not _QUIET[top] or (module == top and bool(names) and names[0] in _QUIET[top]))


def _binds(statement: ast.stmt) -> Iterator[str]:
    for node in _in_scope(statement):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)) | ast.MatchStar(name=str(name)):
                yield name
            case ast.MatchMapping(rest=str(name)):
                yield name
            case ast.Import(names=names) | ast.ImportFrom(names=names):
                yield from (Imported(node, alias).name for alias in names)
            case _:
                pass
    yield from (name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names)


def _made_global(statement: ast.stmt) -> Iterator[Imported]:
    """What a function's `global` name is imported as."""
    declared = {name for node in ast.walk(statement) if isinstance(node, ast.Global) for name in node.names}
    if declared:
        nodes = [node for node in ast.walk(statement) if isinstance(node, ImportNode)]
        found = [Imported(node, alias) for node in nodes for alias in node.names]
        yield from (one for one in found if one.name in declared)


def _in_scope(node: ast.AST) -> Iterator[ast.AST]:
    """A statement and what in it runs when it does: not the bodies of its functions and classes."""
    waiting: list[ast.AST] = [node]
    while waiting:
        node = waiting.pop()
        yield node
        left_out = set(map(id, _body(node))) if isinstance(node, _Scope) else ()
        waiting += [child for child in ast.iter_child_nodes(node) if id(child) not in left_out]


def _body(node: _Scope) -> list[ast.AST]:
    return [node.body] if isinstance(node, ast.Lambda) else list(node.body)


def _used(node: ast.AST) -> Uses:
    names: dict[Dotted, None] = {}
    imports: list[Imported] = []
    attributes: set[str] = set()
    waiting = [node]
    while waiting:
        part = waiting.pop()
        attributes |= {part.attr} if isinstance(part, ast.Attribute) else set()
        imports += [Imported(part, alias) for alias in part.names] if isinstance(part, ImportNode) else []
        names |= dict.fromkeys(_annotated(part))
        dotted = _dotted(part)
        if dotted:
            names[dotted] = None
            attributes |= set(dotted[1:])
        else:
            waiting += ast.iter_child_nodes(part)
    return Uses(tuple(names), tuple(imports), frozenset(attributes))


def _annotated(node: ast.AST) -> Iterator[Dotted]:
    """Names in annotations that are written as text."""
    about = [getattr(node, name, None) for name in ("annotation", "returns")]
    for part in (part for root in about if isinstance(root, ast.AST) for part in ast.walk(root)):
        if isinstance(part, ast.Constant) and isinstance(part.value, str):
            yield from (tuple(found.split(".")) for found in _NAME.findall(part.value))


def _dotted(node: ast.AST) -> Dotted:
    rest: list[str] = []
    while isinstance(node, ast.Attribute):
        rest.append(node.attr)
        node = node.value
    return (node.id, *reversed(rest)) if isinstance(node, ast.Name) else ()


def _last(node: ast.AST) -> str:
    node = node.value if isinstance(node, ast.Subscript) else node
    return (_dotted(node) or ("",))[-1]


def _made_with(made: _Function) -> list[ast.expr]:
    """Expressions that are evaluated when the function is defined, its decorators aside."""
    arguments = made.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    notes = [one.annotation for one in every if one and one.annotation] + ([made.returns] if made.returns else [])
    defaults = [*arguments.defaults, *(value for value in arguments.kw_defaults if value)]
    return [*defaults, *(note for note in notes if _calls(note))]


def _calls(node: ast.AST) -> bool:
    return any(isinstance(part, ast.Call) for part in ast.walk(node))


def _plain(target: ast.expr) -> bool:
    parts = target.elts if isinstance(target, ast.Tuple | ast.List) else [target]
    return all(isinstance(part, ast.Name) for part in parts)


def _main_only(test: ast.expr) -> bool:
    """`if __name__ == "__main__":` does not run in a module that was imported."""
    return ast.unparse(test) in ("__name__ == '__main__'", "'__main__' == __name__")


def _first_line(node: ast.stmt) -> int:
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])
