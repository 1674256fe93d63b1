"""A step's identity: all code of the project that it may run, and all from elsewhere, whatever the comments and line ends.

Read from the source alone, so that it is the same in every process and for every checkout. Three rules, each of which may
cover too much and none too little:

- a name is followed to the statements that bind it, and through imports, also those inside functions;
- whatever acts when a module is imported belongs to everyone who reaches the module;
- where a name cannot be followed (a module handed on as a value, `getattr`, `globals()`), all the module holds counts, and
  where not even the module is known (`importlib`, `eval`, a process of its own), every source file of the project.

Code from elsewhere (`elsewhere.py`) is followed like the project's. What is installed counts by name: the environment holds it.

A hash that covers too much costs a run; one that covers too little gives a wrong answer.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.metadata
import os
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from functools import cache, partial
from inspect import isfunction, unwrap
from pathlib import Path
from typing import Any

from werk.core.canonical import digest_of, token_digest
from werk.core.errors import InputError
from werk.workflow.elsewhere import archive, importable, is_elsewhere, named
from werk.workflow.importing import Finder, Place, absolute
from werk.workflow.pipeline import Pipeline
from werk.workflow.source import Dotted, Imported, Module
from werk.workflow.step import Step
from werk.workflow.ways_to_code import ATTRIBUTES, NAMES, leads_anywhere

_WERK = Path(__file__).resolve().parents[1]
_NO_CODE = frozenset({"__pycache__", "site-packages", "dist-packages", ".git", ".werk"})
# What an environment holds beside its packages: programs and a Python, nothing of the project's.
_ENVIRONMENT = frozenset({"pyvenv.cfg", "conda-meta"})
_ITSELF = frozenset({"globals", "locals", "vars"})
_OF_EVERY_MODULE = frozenset({"__doc__", "__file__", "__name__", "__package__", "__path__", "__spec__"})


@dataclass(frozen=True, slots=True)
class StepCode:
    """`sha256` says what a step does; `elsewhere` is the SHA-256 of each file outside the project that has a part in it."""

    sha256: str
    elsewhere: Mapping[str, str]


def code_hash(
    step: Step[..., Any], root: Path, sources: Sources | None = None, entry: Callable[..., object] | None = None
) -> str:
    """The `sha256` of `code_of`."""
    return code_of(step, root, sources, entry).sha256


def code_of(
    step: Step[..., Any], root: Path, sources: Sources | None = None, entry: Callable[..., object] | None = None
) -> StepCode:
    """What the step does, as far as the project (source files below `root`) and code from elsewhere say it.

    A step of an installed package is its own module's code; werk's own steps also carry werk's version. `sources` shares
    parsed files between calls. `entry` is the pipeline's function: what acts on import in its module, and in those that it
    imports, has run before the step does. Raises `InputError` for a function that has no source file.
    """
    return _Hash(sources or Sources(root)).of(step.fn, entry)


def elsewhere_in(pipeline: Pipeline, root: Path) -> dict[str, str]:
    """The SHA-256 of each file outside the project that the pipeline's body or its steps may run; names as in `StepCode`."""
    sources, found = Sources(root), dict[str, str]()
    for step in pipeline.steps.values():
        found |= code_of(step, root, sources, pipeline.fn).elsewhere
    if isfunction(pipeline.fn) and _real(pipeline.fn.__code__.co_filename).is_file():
        found |= _Hash(sources).of(pipeline.fn, None).elsewhere
    return dict(sorted(found.items()))


class Sources:
    """The files below a root that count as the project, each parsed once per change."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._files: dict[Path, tuple[tuple[int, int], Module]] = {}
        self._labels: dict[Path, str] = {}

    def module(self, path: Path) -> Module:
        stat = path.stat()
        written = (stat.st_mtime_ns, stat.st_size)
        known = self._files.get(path)
        if known is None or known[0] != written:
            known = self._files[path] = (written, Module(path))
        return known[1]

    def in_project(self, path: Path) -> bool:
        return path.is_relative_to(self.root) and not _installed(path) and not path.is_relative_to(_WERK)

    def counts(self, found: Path) -> bool:
        """Of a file or folder as the import path names it."""
        return self.in_project(_real(str(found))) or is_elsewhere(found)

    def below(self, folder: Path) -> list[Path]:
        """Every source file that counts, in a folder and below it."""
        found: list[Path] = []
        for place, folders, files in os.walk(folder):
            if not _ENVIRONMENT.isdisjoint((*folders, *files)):
                folders.clear()
                continue
            folders[:] = sorted(name for name in folders if name not in _NO_CODE)
            found += [Path(place, name) for name in sorted(files) if name.endswith(".py")]
        return [path for path in found if path.is_file() and self.counts(path)]

    def importable(self) -> list[Path]:
        """What could be asked for by name alone: all of the project, and what lies on the import path elsewhere."""
        places = [(place, self.below(place) if place.is_dir() else [place]) for place in importable(self.root)]
        return [*self.below(self.root), *(path for _, files in places for path in files)]

    def label(self, path: Path) -> str:
        """The file's name in the hash: the same in every checkout."""
        if path not in self._labels:
            base = next((base for base in (_WERK.parent, self.root) if path.is_relative_to(base)), None)
            self._labels[path] = path.relative_to(base).as_posix() if base else f"elsewhere:{named(path)}"
        return self._labels[path]


@dataclass(frozen=True, slots=True)
class _Unit:
    """A source file as the module it is imported as."""

    name: str
    module: Module

    @property
    def package(self) -> str:
        return self.name if self.module.path.name == "__init__.py" else self.name.rpartition(".")[0]


class _Hash:
    """One walk over everything a function reaches."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._finder = Finder()
        self._home = Path()
        self._covered: dict[Module, set[object]] = {}
        self._parts: dict[str, str | None] = {}
        self._files: set[Path] = set()
        self._done: set[tuple[object, ...]] = set()
        self._waiting: list[Callable[[], None]] = []

    def of(self, fn: Callable[..., object], entry: Callable[..., object] | None) -> StepCode:
        self._home = _home_of(unwrap(fn))
        if not isfunction(fn):
            raise _no_source(fn)
        if self._home.is_relative_to(_WERK):
            self._parts["werk"] = _werk_version()
        self._function(fn)
        if isfunction(entry) and self._follows(entry.__code__.co_filename) and _place_of(entry).is_file():
            self._reach(_Unit(str(entry.__globals__.get("__name__", "")), self._sources.module(_place_of(entry))))
        while self._waiting:
            self._waiting.pop()()
        # Pairs, not a table: two files from elsewhere may have the same name.
        covered = sorted([self._sources.label(m.path), self._told(m, nodes)] for m, nodes in self._covered.items())
        return StepCode(digest_of({"covered": covered, "parts": self._parts}), self._elsewhere())

    def _elsewhere(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for path in sorted(path for path in self._files if not self._sources.in_project(path) and is_elsewhere(path)):
            name = named(path)
            found[path.as_posix() if name in found else name] = _sha256(path)
        return found

    def _told(self, module: Module, nodes: set[object]) -> list[str]:
        """Digests in the order of the file: which of two assignments comes last matters."""
        if module.unreadable:
            return [module.unreadable]
        acting = [module.digest(node) for node in module.active if node in nodes]
        return [*(module.digest(s) for s in module.body if s in nodes), *acting]

    def _follows(self, found: str | Path) -> bool:
        return _real(str(found)) == self._home or (not self._home.is_relative_to(_WERK) and self._sources.counts(Path(found)))

    def _once(self, *what: object) -> bool:
        """Whether this is asked for the first time."""
        if what in self._done:
            return False
        self._done.add(what)
        return True

    # --- functions and values that exist ---

    def _function(self, fn: types.FunctionType) -> None:
        path, code = _place_of(fn), fn.__code__
        unit = _Unit(str(fn.__globals__.get("__name__", "")), self._sources.module(path))
        statement = unit.module.statement_at(code.co_firstlineno)
        if statement is None:
            self._whole(unit)  # the file is no longer what was imported
        else:
            self._include(unit, statement)
        if "<locals>" in code.co_qualname or fn.__closure__:
            self._made(f"{self._sources.label(path)}:{code.co_qualname}", fn)
        self._reach(unit)
        if isfunction(inner := getattr(fn, "__wrapped__", None)):
            self._parts[f"wrapped {code.co_qualname}"] = self._described(inner, ())

    def _made(self, label: str, fn: types.FunctionType) -> None:
        """A function that another one made: the same text is another function with other values."""
        if not self._once("made", id(fn)):
            return
        cells = zip(fn.__code__.co_freevars, fn.__closure__ or (), strict=True)
        held = {name: self._described(_content(cell), ()) for name, cell in cells}
        given = self._described([fn.__defaults__, fn.__kwdefaults__], ())
        self._parts[f"made {label} {_of_code(fn.__code__)}"] = digest_of([held, given])

    def _described(self, value: object, within: tuple[int, ...]) -> str:
        """What a value is, code included: plain values by content, others by how they would be made again."""
        if id(value) in within or len(within) > 50:
            return "itself"
        within = (*within, id(value))
        value = value.fn if isinstance(value, Step) else value
        if isfunction(value):
            return self._described_function(value)
        if isinstance(value, types.ModuleType):
            self._resolve("", value.__name__, ())
            return f"module {value.__name__}"
        if isinstance(value, type | types.BuiltinFunctionType) and not _bound_method(value):
            self._resolve("", str(value.__module__), tuple(value.__qualname__.split(".")))
            return f"{value.__module__}:{value.__qualname__}"
        try:
            return token_digest(value.isoformat() if isinstance(value, date) else value)
        except TypeError:
            return token_digest([type(value).__qualname__, *(self._described(part, within) for part in _taken_apart(value))])

    def _described_function(self, fn: types.FunctionType) -> str:
        place = _place_of(fn)
        if place.is_file() and self._follows(fn.__code__.co_filename):
            self._function(fn)
        elif fn.__closure__ or not place.is_file():
            self._made(fn.__qualname__, fn)
        return f"{fn.__module__}:{fn.__qualname__}:{_of_code(fn.__code__)}"

    # --- statements ---

    def _include(self, unit: _Unit, node: Any) -> None:
        nodes = self._covered.setdefault(unit.module, set())
        if node in nodes:
            return
        nodes.add(node)
        uses = unit.module.uses(node)
        local: dict[str, list[Imported]] = {}
        for one in uses.imports:
            local.setdefault(one.name, []).append(one)
            self._waiting.append(partial(self._reach_imported, unit, one))
        for dotted in uses.names:
            self._waiting.append(partial(self._name, unit, dotted, local))
        if uses.attributes & ATTRIBUTES:
            self._everything()

    def _name(self, unit: _Unit, dotted: Dotted, local: Mapping[str, list[Imported]]) -> None:
        """Follow a name used in a module to all that may bind it there."""
        name, module = dotted[0], unit.module
        imports = [*local.get(name, ()), *module.imports.get(name, ())]
        for one in imports:
            self._imported(unit, one, dotted[1:])
        for statement in module.bound.get(name, ()):
            self._include(unit, statement)
        if imports or name in module.bound:
            return
        for star in module.stars:
            self._resolve_if_held(unit, absolute(star, unit.package), dotted)
        if name in NAMES:
            self._everything()
        if name in _ITSELF:
            self._whole(unit)

    def _imported(self, unit: _Unit, one: Imported, rest: Dotted) -> None:
        target, names = _target(unit, one)
        if isinstance(one.node, ast.Import) and not one.alias.asname:
            target = one.name  # `import a.b` binds `a`
        if names != ("*",):
            self._resolve(self._sources.label(unit.module.path), target, (*names, *rest))

    def _reach_imported(self, unit: _Unit, one: Imported) -> None:
        target, names = _target(unit, one)
        self._reach_named(self._sources.label(unit.module.path), target)
        place = self._finder.find(target)
        if names and place and self._is_ours(place) and self._finder.find(f"{target}.{names[0]}"):
            self._reach_named("", f"{target}.{names[0]}")

    # --- modules ---

    def _resolve(self, user: str, target: str, names: Dotted) -> None:
        """`names` of the module `target`, as far down as they lead; no names means the module itself, as a value."""
        if not self._once("resolve", user, target, names):
            return
        place = self._finder.find(target)
        if place is None or not self._is_ours(place):
            self._outside(user, target, names, place)
            return
        self._reach_named(user, target)
        unit = self._unit(target, place)
        child = self._finder.find(f"{target}.{names[0]}") if names else None
        if child is not None and self._is_ours(child):
            self._waiting.append(partial(self._resolve, user, f"{target}.{names[0]}", names[1:]))
        if unit is None:
            self._other_file(place, names, target)
        elif not names:
            self._whole(unit)
        elif self._holds(unit, names[0], ()):
            self._waiting.append(partial(self._name, unit, names, {}))
        elif child is None and names[0] not in _OF_EVERY_MODULE:
            self._whole(unit)  # bound by something that only running it would show

    def _other_file(self, place: Place, names: Dotted, target: str) -> None:
        """A folder without `__init__.py` has no code of its own; a compiled module is its bytes."""
        if place.file is not None and (held := archive(place.file)):
            self._files.add(held)
            self._parts[self._sources.label(held)] = _sha256(held)
        elif not names:
            self._all_below(target, place)

    def _resolve_if_held(self, unit: _Unit, target: str, dotted: Dotted) -> None:
        """A name that may come from `from target import *`."""
        place = self._finder.find(target)
        if place is None or not self._is_ours(place):
            self._outside("", target, dotted, place)
            return
        other = self._unit(target, place)
        below = self._finder.find(f"{target}.{dotted[0]}") if other else None
        if other is not None and (below is not None or self._holds(other, dotted[0], ())):
            self._resolve(self._sources.label(unit.module.path), target, dotted)

    def _holds(self, unit: _Unit, name: str, within: tuple[str, ...]) -> bool:
        if name in unit.module.bound or name in unit.module.imports:
            return True
        targets = [absolute(star, unit.package) for star in unit.module.stars if unit.name not in within]
        places = [(target, self._finder.find(target)) for target in targets]
        others = [self._unit(target, place) for target, place in places if place and self._is_ours(place)]
        return any(self._holds(other, name, (*within, unit.name)) for other in others if other)

    def _reach_named(self, user: str, target: str) -> None:
        """To import a module is to run it and the packages it lies in."""
        parts = target.split(".")
        for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
            place = self._finder.find(name)
            if place is None:
                self._outside(user, name, (), None)
            elif self._is_ours(place) and (unit := self._unit(name, place)):
                self._reach(unit)
            elif self._is_ours(place) and place.file:
                self._other_file(place, (), name)

    def _reach(self, unit: _Unit) -> None:
        """What acts when the module is imported, and in those that it imports."""
        if not self._once("reach", unit.name, unit.module):
            return
        self._files.add(unit.module.path)
        for node in unit.module.active:
            self._waiting.append(partial(self._include, unit, node))
        for one in unit.module.imported:
            self._waiting.append(partial(self._reach_imported, unit, one))

    def _whole(self, unit: _Unit) -> None:
        """All the module holds, and all that holds in turn."""
        if not self._once("whole", unit.name, unit.module):
            return
        self._reach(unit)
        for statement in unit.module.body:
            self._include(unit, statement)
        label = self._sources.label(unit.module.path)
        for one in unit.module.imported:
            target, names = _target(unit, one)
            held = () if names == ("*",) else names
            self._waiting.append(partial(self._resolve, label, target, held))
        place = self._finder.find(unit.name)
        if unit.module.path.name == "__init__.py" and place:
            self._all_below(unit.name, place)

    def _all_below(self, package: str, place: Place) -> None:
        for folder in map(Path, place.folders):
            for path in self._sources.below(folder):
                parts = path.resolve().relative_to(folder.resolve()).with_suffix("").parts
                name = ".".join((package, *(part for part in parts if part != "__init__")))
                unit = _Unit(name, self._sources.module(path.resolve()))
                self._waiting.append(partial(self._whole, unit))

    def _everything(self) -> None:
        if self._once("everything"):
            for path in map(Path.resolve, self._sources.importable()):
                self._files.add(path)
                digest = self._sources.module(path).sha256 if path.suffix == ".py" else _sha256(path)
                self._parts[f"all {self._sources.label(path)}"] = digest

    def _outside(self, user: str, target: str, names: Dotted, place: Place | None) -> None:
        """What lies outside counts by name: another import is another step."""
        if user:
            self._parts[f"{user} uses {target}:{'.'.join(names[:1])}"] = None
        if leads_anywhere((*target.split("."), *names)) or (place is None and self._may_be_ours(target.partition(".")[0])):
            self._everything()

    def _may_be_ours(self, top: str) -> bool:
        """A module that is not found today may be found once the code has changed `sys.path`."""
        if not self._once("named", top) or self._home.is_relative_to(_WERK):
            return False
        return any(top in (path.stem, *path.parts) for path in self._relative())

    def _relative(self) -> Iterator[Path]:
        return (path.relative_to(self._sources.root) for path in self._sources.below(self._sources.root))

    def _is_ours(self, place: Place) -> bool:
        return any(map(self._follows, [place.found] if place.found else place.folders))

    def _unit(self, name: str, place: Place) -> _Unit | None:
        if place.file is None or place.file.suffix != ".py" or not place.file.is_file():
            return None
        return _Unit(name, self._sources.module(place.file))


def _target(unit: _Unit, one: Imported) -> tuple[str, Dotted]:
    """The module an import names, and the name in it; no name where the module itself is imported."""
    if isinstance(one.node, ast.Import):
        return one.alias.name, ()
    return absolute(one.node, unit.package), (one.alias.name,)


def _bound_method(value: object) -> bool:
    """A builtin's method of one object, as `[].append`."""
    return not isinstance(value, type) and not isinstance(getattr(value, "__self__", None), types.ModuleType)


def _taken_apart(value: object) -> list[object]:
    """The parts of a container, or what pickle would make the value again from; empty for what has neither."""
    if isinstance(value, dict):
        return [part for pair in value.items() for part in pair]
    if isinstance(value, list | tuple):
        return list(value)
    try:
        reduced = value.__reduce_ex__(4)
    except (TypeError, AttributeError, ValueError, NotImplementedError):
        return []  # a lock, a connection: no code, and nothing a result could be told by
    if isinstance(reduced, str):
        return [reduced]
    return [list(part) if isinstance(part, Iterator) else part for part in reduced]


def _of_code(code: types.CodeType) -> str:
    """A function's own instructions, without its lines and places."""
    consts = [_of_code(const) if isinstance(const, types.CodeType) else _of_const(const) for const in code.co_consts]
    return token_digest([code.co_code, list(code.co_names), list(code.co_freevars), consts])


def _of_const(const: object) -> str:
    return repr(sorted(map(repr, const))) if isinstance(const, frozenset) else repr(const)


@cache
def _werk_version() -> str:
    return importlib.metadata.version("werk")


@cache
def _real(file: str) -> Path:
    return Path(file).resolve()


def _place_of(fn: types.FunctionType) -> Path:
    return _real(fn.__code__.co_filename)


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _home_of(fn: Callable[..., object]) -> Path:
    if not isfunction(fn) or fn.__name__ == "<lambda>" or not Path(fn.__code__.co_filename).is_file():
        raise _no_source(fn)
    return _place_of(fn)


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
