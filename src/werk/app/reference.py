"""The parts of the reference page that the code says itself: commands, Python, errors, facts, projections and adapters.

`python -m werk.app.reference` writes them into `docs/reference.md`; run it in a checkout after one of them changed.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import sys
import tomllib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from typer.main import get_command

from werk.app import codes
from werk.app.cli import app
from werk.app.signatures import python_face
from werk.app.wiring import PROJECTIONS

PAGE = Path("docs/reference.md")
_COMMON = ("project", "profile", "json", "help")
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
    known = codes.of_commands(root / "src" / "werk").values()
    return _table(("Code", "Exit", "Says"), [(f"`{one.code}`", str(one.exit_code), " / ".join(one.says)) for one in known])


def server_codes(root: Path) -> str:
    """What the prediction server answers before it looks at the rows."""
    rows = sorted(codes.of_server(root / "src" / "werk"))
    return _table(("Status", "Code", "Says"), [(status, f"`{code}`", said) for status, code, said in rows])


def facts(root: Path) -> str:
    """Every kind of fact, the room that writes it and the projections that read it."""
    trees = {path: ast.parse(path.read_text(encoding="utf-8")) for path in codes.modules(root / "src" / "werk")}
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
            kind = codes.constant(call.args[0]) or constants.get(getattr(call.args[0], "id", ""))
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
