"""Frames between steps: whatever the producer returned, in the form the consumer's annotation names.

A frame has one content, kept as polars holds it, and many faces, one file each in `faces/`. A face is loaded when a value or an
annotation asks for it, and says of each column what it cannot hold: a conversion is exact, or it fails.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

import numpy as np
import polars as pl

from werk.core.errors import InputError
from werk.workflow.faces import Face, check_shape
from werk.workflow.faces import numpy as fields
from werk.workflow.types import FRAMES, frame_kind, text_of

_LIBRARIES = {"pandas": "pandas", "pyarrow": "arrow", "numpy": "numpy", "duckdb": "duckdb"}


def to_polars(value: Any) -> pl.DataFrame:
    """The frame as polars holds it, nothing lost. `InputError` names the column that cannot be kept (`value-lossy`)."""
    kind = frame_kind(type(value))
    if kind in ("polars.DataFrame", "polars.LazyFrame"):
        frame: pl.DataFrame = value.lazy().collect()
        check_shape(frame.columns, frame.height)
        return frame
    return _face(_known(type(value), "rows")).to_polars(value)


def lazily(rows: Any) -> pl.LazyFrame:
    """Rows of any frame; those of polars are not read yet."""
    return rows.lazy() if isinstance(rows, pl.DataFrame | pl.LazyFrame) else to_polars(rows).lazy()


def from_polars(frame: pl.DataFrame, annotation: object) -> object:
    """The frame in the annotated form; polars when the annotation names none."""
    kind = frame_kind(annotation) or "polars.DataFrame"
    if kind == "polars.LazyFrame":
        return frame.lazy()
    return frame if kind == "polars.DataFrame" else _face(kind).from_polars(frame, annotation)


def array_as(array: np.ndarray[Any, Any], annotation: object) -> object:
    """An array as itself, or as the columns `column_0`, `column_1`, ... of an annotated frame."""
    kind = frame_kind(annotation) or "numpy.ndarray"
    if not kind.startswith("numpy."):
        return from_polars(pl.from_numpy(array), annotation)
    fields.refuse(array, annotation)
    return array


def as_frame(rows: object, kind: object) -> Any:
    """The rows of any frame as another one: `as_frame(tables.scan("raw.flights"), pandas.DataFrame)`.

    `rows` and `kind` are of polars (`DataFrame`, `LazyFrame`), pandas, Arrow (`Table`, `RecordBatch`, `RecordBatchReader`), numpy
    (2-D, or with fields) or DuckDB (`DuckDBPyRelation`), as a step's annotation names them. `InputError` when it is none of them
    (`frame-kind`), or names the column that would change (`value-lossy`).

    ```python
    import numpy as np
    import polars as pl
    from werk import as_frame

    rows = as_frame(pl.DataFrame({"km": [1, 2], "fast": [True, False]}), np.recarray)
    assert rows.km.tolist() == [1, 2]
    ```
    """
    _known(kind, "kind")
    if isinstance(rows, pl.LazyFrame) and frame_kind(kind) == "polars.LazyFrame":
        return rows
    return from_polars(to_polars(rows), kind)


def _known(given: object, what: str) -> str:
    kind = frame_kind(given)
    if kind is None:
        raise InputError(
            f"A {text_of(given)} given as '{what}' is no frame that werk knows.",
            code="frame-kind",
            hint=f"Give one of {', '.join(sorted(FRAMES))}.",
        )
    return kind


def _face(kind: str) -> Face:
    library = kind.partition(".")[0]
    try:
        return cast("Face", importlib.import_module(f"werk.workflow.faces.{_LIBRARIES[library]}"))
    except ModuleNotFoundError as missing:
        raise InputError(
            f"A step takes a {kind}, and {missing.name} is not installed here.",
            code="library-missing",
            hint="pip install 'werk[pandas]'; or annotate the step with pl.DataFrame or pyarrow.Table.",
        ) from missing
