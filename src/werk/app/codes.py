"""Every error code that werk raises, read from its own source: what it says, what is next, whose move it is.

`werk help CODE` and the tables of `docs/reference.md` both come from here, so neither can lack a code that the other has.
"""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from werk.core import errors

PACKAGE = Path(__file__).parent.parent
# What werk.core.errors.unknown makes of its first two arguments, and what each class ends with.
_UNKNOWN = "There is no ‹what› '‹name›'."
_EXIT = {name: kind.exit_code for name, kind in vars(errors).items() if inspect.isclass(kind) and hasattr(kind, "exit_code")}
_DEFAULT = 1
# What werk.core.errors.unknown hints at when its caller says nothing else.
_NEAREST = "Take one of the known names: the error lists them, and offers the nearest."
# Codes whose sentence stands elsewhere than at the place that raises it.
_ELSEWHERE = {
    "backup-unwritable": "The backup cannot be written there; the sentence says why.",
    "checkout-unwritable": "The folder cannot be written; the sentence says why.",
    "export-unwritable": "The export cannot be written there; the sentence says why.",
    "log-damaged": "A line of the prediction log is not what the server wrote; the sentence names it.",
    "monitor-violation": "Monitors report a violation in the window checked last, and --check was given.",
    "rebuild-stopped": "The training could not be repeated.",
    "restore-unwritable": "The project cannot be restored there; the sentence says why.",
    "declared-malformed": "golden.toml or behaviour.toml is not written as it must be; the sentence says where.",
    "journal-foreign": "Somebody has put on the journal's tables what may change or swallow a write; the sentence names it.",
    "link-circular": "A path goes through a symbolic link that leads back to itself.",
    "table-tampered": "What lies in the table store is not what was written; the sentence names version and file.",
    "value-range": "A tensor holds a value that its datatype cannot; the sentence names tensor and place.",
    "time-range": "A time lies outside of what UTC can hold.",
    "step-failed": "A step's own code raised; your traceback stands above the sentence.",
    "usage": "The command line cannot be understood so.",
}


@dataclass(frozen=True, slots=True)
class Raised:
    """One call that makes an error: its class, code, sentence, next step and the room it stands in; ‹ › are placeholders."""

    kind: str
    code: str
    says: str
    hint: str
    room: str


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    kind: str
    exit_code: int
    says: tuple[str, ...]
    hints: tuple[str, ...]
    rooms: tuple[str, ...]


def of_commands(package: Path = PACKAGE) -> dict[str, Code]:
    """Every code a command can end with, in the order of the alphabet."""
    found: dict[str, list[Raised]] = defaultdict(list)
    for path in modules(package):
        room = _room(path.relative_to(package))
        for one in _raised(ast.parse(path.read_text(encoding="utf-8")), room):
            found[one.code].append(one)
    return {code: _code(code, found[code]) for code in sorted(found)}


def of_server(package: Path = PACKAGE) -> set[tuple[str, str, str]]:
    """Status, code and sentence of what the prediction server answers before it looks at the rows."""
    tree = ast.parse((package / "serving" / "asgi.py").read_text(encoding="utf-8"))
    denied = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Denied"]
    return {(_template(status), code, _template(said)) for call in denied for status, code, said in _answers(call)}


def modules(package: Path) -> list[Path]:
    """werk's own modules; what a template puts into a project is the project's."""
    return [path for path in sorted(package.rglob("*.py")) if "templates" not in path.relative_to(package).parts]


def constant(node: ast.expr | ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _code(code: str, places: list[Raised]) -> Code:
    kind = next((one.kind for one in places if one.kind in _EXIT), "Failed")
    says = tuple(dict.fromkeys(one.says for one in places if _words(one.says))) or (_ELSEWHERE.get(code, ""),)
    hints = tuple(dict.fromkeys(one.hint for one in places if _words(one.hint)))
    return Code(code, kind, _EXIT.get(kind, _DEFAULT), says, hints, tuple(dict.fromkeys(one.room for one in places)))


def _words(sentence: str) -> bool:
    """Whether it says anything of its own beside its placeholders."""
    return re.search(r"[A-Za-z]{3}", re.sub("‹.*?›", "", sentence)) is not None


def _room(path: Path) -> str:
    return path.parts[1] if path.parts[0] == "adapters" and len(path.parts) > 2 else path.parts[0].removesuffix(".py")


def _raised(tree: ast.Module, room: str) -> Iterator[Raised]:
    """Each error made in a module, a function's default code too."""
    for call, hints in _calls(tree, {}):
        if isinstance(call, ast.arguments):
            yield from (
                Raised("Failed", code, "", "", room)
                for name, default in zip(call.kwonlyargs, call.kw_defaults, strict=True)
                if name.arg == "code" and default is not None and (code := constant(default))
            )
            continue
        code = next((constant(word.value) for word in call.keywords if word.arg == "code"), None)
        if code and isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            yield Raised("Failed", code, "", _hint(call, hints), room)
        elif code and isinstance(call.func, ast.Name):
            kind = "InputError" if call.func.id == "unknown" else call.func.id
            yield Raised(kind, code, _sentence(call), _hint(call, hints), room)


def _calls(node: ast.AST, hints: dict[str, str]) -> Iterator[tuple[ast.Call | ast.arguments, dict[str, str]]]:
    """Every call and signature, with what the texts assigned before it in its function say."""
    for child in ast.iter_child_nodes(node):
        inner = dict(hints) if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) else hints
        if isinstance(child, ast.Call | ast.arguments):
            yield child, inner
        yield from _calls(child, inner)
        match child:
            case ast.Assign(targets=[ast.Name(id=name)], value=value):
                hints[name] = _template(value)


def _hint(call: ast.Call, hints: dict[str, str]) -> str:
    given = next((word.value for word in call.keywords if word.arg == "hint"), None)
    if given is None and getattr(call.func, "id", "") == "unknown":
        return _NEAREST
    if isinstance(given, ast.Name):
        return hints.get(given.id, "")
    return _template(given) if given is not None else ""


def _sentence(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Name)
    first = _template(call.args[0]) if call.args else ""
    if call.func.id != "unknown":
        return first
    return _UNKNOWN.replace("‹what›", first).replace("‹name›", f"‹{_last(call.args[1])}›")


def _answers(call: ast.Call) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    status, code, said, *_ = call.args
    for part in ast.walk(code):
        if text := constant(part):
            yield status, text, said


def _modules(root: Path) -> list[Path]:
    return [path for path in sorted((root / "src" / "werk").rglob("*.py")) if "templates" not in path.parts]


def _constant(node: ast.expr | ast.AST) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _template(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=value):
            return str(value)
        case ast.JoinedStr(values=parts):
            return "".join(_template(part) for part in parts)
        case ast.FormattedValue(value=value):
            return f"‹{_last(value)}›"
        case ast.BinOp(left=left, right=right):
            return _template(left) + _template(right)
    return f"‹{_last(node)}›"


def _last(node: ast.expr) -> str:
    """The word an expression ends with: `missing.name` is ‹name›."""
    match node:
        case ast.Name(id=word) | ast.Attribute(attr=word):
            return word.strip("_")
        case ast.Subscript(value=value):
            return _last(value)
    return "…"
