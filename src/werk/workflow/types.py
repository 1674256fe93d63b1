"""Whether what one step returns is what the next one takes."""

from __future__ import annotations

import types
from typing import Any, Union, get_args, get_origin

# By module and name, so that no dataframe library is loaded to compare annotations.
FRAMES = frozenset(
    {
        "polars.DataFrame",
        "polars.LazyFrame",
        "pandas.DataFrame",
        "pyarrow.Table",
        "pyarrow.RecordBatch",
        "pyarrow.RecordBatchReader",
        "numpy.ndarray",
        "numpy.recarray",
        "duckdb.DuckDBPyRelation",
    }
)


def frame_kind(annotation: object) -> str | None:
    """`polars.LazyFrame`, `pandas.DataFrame`, ...: the frame class of a type or annotation, None for all else.

    Of a union it is that of the first member that is one: `pandas.DataFrame | None` is given as pandas.
    """
    if _is_union(annotation):
        return next((kind for part in get_args(annotation) if (kind := frame_kind(part))), None)
    owner: Any = get_origin(annotation) or annotation
    name = f"{str(getattr(owner, '__module__', '')).partition('.')[0]}.{getattr(owner, '__name__', '')}"
    return name if name in FRAMES else None


def is_frame(annotation: object) -> bool:
    return not _is_union(annotation) and frame_kind(annotation) is not None


def fits(given: object, wanted: object) -> bool:
    """True when a value of type `given` may be passed as `wanted`; unknown (`Any`) always may."""
    if given is Any or wanted is Any or wanted is object or given == wanted:
        return True
    if _is_union(given):
        return all(fits(part, wanted) for part in get_args(given))
    if _is_union(wanted):
        return any(fits(given, part) for part in get_args(wanted))
    if is_frame(given) and is_frame(wanted):
        return True
    return _plain_fits(given, wanted)


def text_of(annotation: object) -> str:
    """The annotation as its author would write it."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__qualname__ if annotation is not type(None) else "None"
    return str(annotation).replace("typing.", "")


def _plain_fits(given: object, wanted: object) -> bool:
    ours, theirs = get_origin(given) or given, get_origin(wanted) or wanted
    if not isinstance(ours, type) or not isinstance(theirs, type):
        return False
    if ours is int and theirs is float:  # PEP 484's numeric tower
        return True
    if not issubclass(ours, theirs):
        return False
    inner, outer = get_args(given), get_args(wanted)
    if not inner or not outer or len(inner) != len(outer):
        return not inner or not outer
    return all(fits(a, b) for a, b in zip(inner, outer, strict=True))


def _is_union(annotation: object) -> bool:
    return get_origin(annotation) in (Union, types.UnionType)
