"""Where cells were typed: Jupyter and IPython, marimo, a script, or Python's own prompt."""

from __future__ import annotations

import hashlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from typing import Any, cast

from werk.core.errors import InputError


@dataclass(frozen=True, slots=True)
class Sitting:
    """`names` as they stand now; `cells` as Python runs them, `typed` as they were written, both in the order they ran."""

    name: str
    about: str
    names: Mapping[str, object]
    cells: tuple[str, ...]
    typed: tuple[str, ...]

    @property
    def module(self) -> str:
        """The name that its functions and classes have as their module."""
        return str(self.names.get("__name__", "__main__"))


def sitting_of(fn: Callable[..., object], root: Path) -> Sitting:
    """Where a function was typed. `InputError` when it stands in a function, or in a module that is no notebook."""
    names = cast("dict[str, object]", getattr(fn, "__globals__", {}))
    if "<locals>" in fn.__qualname__:
        raise InputError(
            f"The pipeline '{fn.__name__}' is made inside a function.",
            code="cells-closure",
            hint="Write it in a cell of its own.",
        )
    for found in (_marimo, _ipython, _script, _prompt):
        if (sat := found(names)) is not None:
            place, cells, typed = sat
            about, name = _named(place, root)
            return Sitting(name, about, names, tuple(cells), tuple(typed or cells))
    raise InputError(
        f"The pipeline '{fn.__name__}' is in the module {fn.__module__}, which is not pipelines.py.",
        code="cells-module",
        hint=f"Write `from {fn.__module__} import {fn.__name__}` into pipelines.py, and start it by its name.",
    )


def namespaces() -> Iterator[Mapping[str, object]]:
    """Where names may have been typed in this process."""
    shell, context = _shell(), _context()
    yield from (holder for holder in (shell and shell.user_ns, context and context.globals) if holder is not None)
    yield vars(sys.modules["__main__"])


_Sat = tuple[str, list[str], list[str]]


def _ipython(names: Mapping[str, object]) -> _Sat | None:
    shell = _shell()
    if shell is None or shell.user_ns is not names:
        return None
    # VS Code and Jupyter say which notebook it is; without either it has no name yet.
    place = names.get("__vsc_ipynb_file__") or os.environ.get("JPY_SESSION_NAME")
    history = shell.history_manager
    return (
        str(place or ("notebook" if "ipykernel" in sys.modules else "ipython")),
        history.input_hist_parsed,
        history.input_hist_raw,
    )


def _marimo(names: Mapping[str, object]) -> _Sat | None:
    context = _context()
    if context is None or context.globals is not names:
        return None
    cells = [str(cell.code) for cell in context.graph.cells.values()]
    return str(context.filename or "marimo"), cells, []


def _shell() -> Any:
    return sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None


def _context() -> Any:
    """What marimo runs a notebook in; it has no public name."""
    contexts: Any = sys.modules.get("marimo._runtime.context")
    try:
        return contexts and contexts.get_context()
    except contexts.ContextNotInitializedError:
        return None


def _script(names: Mapping[str, object]) -> _Sat | None:
    place = names.get("__file__")
    if names.get("__name__") != "__main__" or not isinstance(place, str) or not Path(place).is_file():
        return None
    return place, [Path(place).read_text(encoding="utf-8"), *_typed_lines()], []


def _prompt(names: Mapping[str, object]) -> _Sat | None:
    """Python keeps no text of what is typed at its prompt; the prompt's own history does. Each piece is compared before use."""
    return ("prompt", list(_typed_lines()), []) if names.get("__name__") == "__main__" else None


def _typed_lines() -> Iterator[str]:
    readline: Any = sys.modules.get("readline")
    if readline is None or not hasattr(sys, "ps1"):
        return
    piece = ""
    for at in range(1, readline.get_current_history_length() + 1):
        line = str(readline.get_history_item(at) or "")
        if piece and not (line[:1].isspace() or _goes_on(piece, line)):
            yield piece
            piece = ""
        piece += f"{line}\n"
    yield piece


def _goes_on(piece: str, line: str) -> bool:
    """Whether a line belongs to what stands above it: below a decorator, inside brackets, or an `else` of it."""
    last = piece.rstrip().split("\n")[-1]
    return last.startswith("@") or re.match(r"(else|elif|except|finally)\b|[)\]}]", line) is not None


def _named(place: str, root: Path) -> tuple[str, str]:
    """What the notebook is called, and its name as a module: with a few digits where it had to be changed for that."""
    path = Path(place)
    resolved = path.resolve() if path.suffix else path
    about = resolved.relative_to(root).as_posix() if resolved.is_relative_to(root) else (path.name or place)
    stem = about.removesuffix(path.suffix)
    name = re.sub(r"\W+", "_", stem).strip("_").lower() or "cells"
    exact = name == stem and name.isidentifier() and name.isascii() and not iskeyword(name)
    if exact and (not path.suffix or resolved.is_relative_to(root)):
        return about, name
    digits = hashlib.sha256(str(resolved if not resolved.is_relative_to(root) else about).encode()).hexdigest()[:6]
    ascii_name = name.encode("ascii", "ignore").decode()
    return about, f"{'' if ascii_name[:1].isalpha() else 'n'}{ascii_name}_{digits}"


def source_lines(code: Any) -> str:
    """The text of the cell or file that a function was compiled from, empty where nobody keeps it."""
    try:
        return "".join(inspect.findsource(code)[0])
    except (OSError, TypeError):
        return ""
