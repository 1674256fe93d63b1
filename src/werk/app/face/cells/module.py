"""The module that the cells become: its text, and its files in the project."""

from __future__ import annotations

import importlib.util
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path

from werk.app.code import CELLS
from werk.app.face.cells.gathering import Part
from werk.app.face.cells.sittings import Sitting

_LATER = "from __future__ import annotations"


def text_of(sitting: Sitting, parts: Mapping[str, Part]) -> str:
    """Imports first, then each part below what it needs, in an order that a new part leaves as it is: so code hashes stay."""
    about = re.sub(r"[^\w ./-]", "_", sitting.about)
    told = f'"""What the pipelines of {about} need of it. Edit the notebook: `start` writes this file anew."""'
    imports = sorted({line for part in parts.values() if part.imports for line in part.text.split("\n")})
    depths: dict[str, int] = {}
    for name in sorted(parts):
        _depth(name, parts, depths, ())
    rest = sorted((name for name, part in parts.items() if not part.imports), key=lambda name: (depths[name], name))
    later = [_LATER] if any(_LATER in cell for cell in sitting.cells) else []
    return "\n\n".join([told, *later, "\n".join(imports), *dict.fromkeys(parts[name].text.strip("\n") for name in rest)]) + "\n"


def keep(root: Path, sitting: Sitting, text: str) -> None:
    """Write the module, and beside it all cells as a notebook without outputs: those may hold rows that must be erasable."""
    folder = root / CELLS
    folder.mkdir(exist_ok=True)
    module = folder / f"{sitting.name}.py"
    # Python tells a file from its compiled form by its second and size: an edit of one figure may change neither.
    Path(importlib.util.cache_from_source(str(module))).unlink(missing_ok=True)
    _replace(module, text)
    _replace(module.with_suffix(".ipynb"), json.dumps(_notebook(sitting.typed), ensure_ascii=False, indent=1) + "\n")


def _notebook(typed: tuple[str, ...]) -> dict[str, object]:
    about: dict[str, object] = {"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": []}
    cells = [
        {**about, "id": f"cell-{at}", "source": cell.splitlines(keepends=True)} for at, cell in enumerate(typed) if cell.strip()
    ]
    return {"cells": cells, "metadata": {"language_info": {"name": "python"}}, "nbformat": 4, "nbformat_minor": 5}


def _depth(name: str, parts: Mapping[str, Part], known: dict[str, int], within: tuple[str, ...]) -> int:
    if name in within:
        return 0  # two functions that call each other
    if name not in known:
        needs = [needed for needed in parts[name].needs if needed in parts and not parts[needed].imports]
        known[name] = 1 + max((_depth(needed, parts, known, (*within, name)) for needed in sorted(needs)), default=0)
    return known[name]


def _replace(place: Path, text: str) -> None:
    unfinished = place.with_name(f".{place.name}.{os.getpid()}")
    unfinished.write_text(text, encoding="utf-8")
    unfinished.replace(place)
