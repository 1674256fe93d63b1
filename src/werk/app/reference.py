"""The parts of the reference page that the code says itself: commands, Python, errors, facts, projections and adapters.

`python -m werk.app.reference` writes them into `docs/reference.md`; run it in a checkout after one of them changed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from werk.app.cli import app
from werk.app.signatures import python_face
from werk.app.wiring import PROJECTIONS
from werk.core import errors

PAGE = Path("docs/reference.md")
_COMMON = ("project", "profile", "json", "help")
# What werk.core.errors.unknown makes of its first two arguments, and what each class ends with.
_UNKNOWN = "There is no ‹what› '‹name›'."
_EXIT = {name: kind.exit_code for name, kind in vars(errors).items() if inspect.isclass(kind) and hasattr(kind, "exit_code")}
# Codes whose sentence stands elsewhere than at the place that raises it.
_ELSEWHERE = {
    "backup-unwritable": "The backup cannot be written there; the sentence says why.",
    "checkout-unwritable": "The folder cannot be written; the sentence says why.",
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
    "usage": "The command line cannot be understood so.",
}
Cells = Sequence[str]


def written(page: str, root: Path) -> str:
    """The page with every generated part made anew from the checkout at `root`."""
    for name, make in PARTS.items():
        begin, end = f"<!-- begin {name}: python -m werk.app.reference -->", f"<!-- end {name} -->"
        before, _, rest = page.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"docs/reference.md has no place for '{name}'.")
        page = f"{before}{begin}\n\n{make(root).strip()}\n\n{end}{after}"
    return page


def main(root: Path) -> None:
    path = root / PAGE
    path.write_text(written(path.read_text(encoding="utf-8"), root), encoding="utf-8")
    print(f"{PAGE} written")


def commands(_: Path) -> str:
    """Every command with its arguments and options, those that nearly all share left out."""
    return "\n\n".join(f"### {name}\n\n{_command(command)}" for name, command in _named("werk", get_command(app)))


def _named(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for word in sorted(inner):
        yield from _named(f"{name} {word}", inner[word])


def _command(command: Any) -> str:
    said = " ".join((command.help or "").split())
    shared = [f"`--{name}`" for name in _COMMON[:3] if any(parameter.name == name for parameter in command.params)]
    told = f"{said} Takes {', '.join(shared)}." if shared else said
    rows = [_parameter(parameter) for parameter in command.params if parameter.name not in _COMMON]
    return "\n".join([told, "", *rows]) if rows else told


def _parameter(parameter: Any) -> str:
    argument = parameter.param_type_name == "argument"
    name = parameter.name.upper() if argument else ", ".join(parameter.opts)
    default = parameter.default if not callable(parameter.default) else None
    shown = f" Default: `{default}`." if default not in (None, "", False, [], ()) else ""
    many = " May be given again." if getattr(parameter, "multiple", False) else ""
    said = f"{parameter.help or ''}{shown}{many}".strip()
    return f"- `{name}`: {said}" if said else f"- `{name}`"


def error_codes(root: Path) -> str:
    """Every code with what it ends a command with and what it says; placeholders stand in ‹ ›."""
    found: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for path in _modules(root):
        for kind, code, sentence in _raised(ast.parse(path.read_text(encoding="utf-8"))):
            found[code].append((kind, sentence))
    rows = [(f"`{code}`", str(_exit(places)), _sentences(code, places)) for code, places in sorted(found.items())]
    return _table(("Code", "Exit", "Says"), rows)


def _exit(places: Sequence[tuple[str, str]]) -> int:
    return next((_EXIT[kind] for kind, _ in places if kind in _EXIT), 1)


def _sentences(code: str, places: Sequence[tuple[str, str]]) -> str:
    said = dict.fromkeys(sentence for _, sentence in places if re.search(r"[A-Za-z]{3}", re.sub("‹.*?›", "", sentence)))
    return " / ".join(said) or _ELSEWHERE.get(code, "")


def _raised(tree: ast.Module) -> Iterator[tuple[str, str, str]]:
    """Class, code and sentence of each error made in a module."""
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "__init__":
            yield from (("Failed", code, "") for word in call.keywords if word.arg == "code" and (code := _constant(word.value)))
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            code = next((_constant(word.value) for word in call.keywords if word.arg == "code"), None)
            if code:
                yield _kind(call.func.id), code, _sentence(call)


def _kind(name: str) -> str:
    return "InputError" if name == "unknown" else name


def _sentence(call: ast.Call) -> str:
    assert isinstance(call.func, ast.Name)
    first = _template(call.args[0]) if call.args else ""
    if call.func.id != "unknown":
        return first
    return _UNKNOWN.replace("‹what›", first).replace("‹name›", f"‹{_last(call.args[1])}›")


def server_codes(root: Path) -> str:
    """What the prediction server answers before it looks at the rows."""
    tree = ast.parse((root / "src/werk/serving/asgi.py").read_text(encoding="utf-8"))
    denied = [call for call in ast.walk(tree) if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "Denied"]
    rows = {(_template(status), code, _template(said)) for call in denied for status, code, said in _answers(call)}
    return _table(("Status", "Code", "Says"), [(status, f"`{code}`", said) for status, code, said in sorted(rows)])


def _answers(call: ast.Call) -> Iterator[tuple[ast.expr, str, ast.expr]]:
    status, code, said, *_ = call.args
    for part in ast.walk(code):
        if text := _constant(part):
            yield status, text, said


def facts(root: Path) -> str:
    """Every kind of fact, the room that writes it and the projections that read it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in _modules(root)}
    constants = {name: value for tree in trees.values() for name, value in _constants(tree)}
    rooms: dict[str, set[str]] = defaultdict(set)
    for path, tree in trees.items():
        for kind in _kinds(tree, constants):
            rooms[kind].add(path.relative_to(root / "src" / "werk").parts[0])
    readers: dict[str, list[str]] = defaultdict(list)
    for projection in PROJECTIONS:
        for kind in projection.kinds:
            readers[kind].append(f"`{projection.name}`")
            rooms.setdefault(kind, {projection.apply.__module__.split(".")[1]})
    rows = [(f"`{kind}`", ", ".join(sorted(rooms[kind])), ", ".join(readers[kind]) or "—") for kind in sorted(rooms)]
    return _table(("Fact", "Written by", "Read into"), rows)


def _kinds(tree: ast.Module, constants: Mapping[str, str]) -> Iterator[str]:
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "NewFact" and call.args:
            kind = _constant(call.args[0]) or constants.get(getattr(call.args[0], "id", ""))
            if kind:
                yield kind


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for statement in tree.body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Constant(value=str(value))) if name.isupper():
                yield name, value


def projections(_: Path) -> str:
    """Every table read from facts; its key stands first, a `history` keeps the rows that were replaced."""
    rows = []
    for projection in sorted(PROJECTIONS, key=lambda projection: projection.name):
        others = [f"`{column.name}`" for column in projection.columns if column.name not in projection.key]
        key = ", ".join(f"`{name}`" for name in projection.key)
        kept = " (history)" if projection.history else ""
        rows.append((f"`{projection.name}`{kept}", key, ", ".join(others)))
    return _table(("Projection", "Key", "Columns"), rows)


def adapters(root: Path) -> str:
    """Every adapter that ships with werk and the settings it takes: its constructor's keywords."""
    points = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]["entry-points"]
    rows = []
    for group, named in sorted(points.items()):
        for name, target in sorted(named.items()):
            rows.append((f"`{group.removeprefix('werk.')}`", f"`{name}`", _settings(target)))
    return _table(("Port", "`use`", "Settings"), rows)


def _settings(target: str) -> str:
    module, _, cls = target.partition(":")
    taken = inspect.signature(getattr(importlib.import_module(module), cls)).parameters.values()
    return ", ".join(f"`{one.name}`" + (" (needed)" if one.default is one.empty else "") for one in taken) or "—"


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


def _table(head: Cells, rows: Sequence[Cells]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


PARTS: Mapping[str, Callable[[Path], str]] = {
    "commands": commands,
    "python": lambda _: python_face(),
    "error codes": error_codes,
    "server codes": server_codes,
    "facts": facts,
    "projections": projections,
    "adapters": adapters,
}

if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path.cwd())
