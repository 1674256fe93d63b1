"""A frame's identity: its column names, types, null masks and values, however they are laid out in memory."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from werk.core.canonical import token_digest
from werk.core.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray


def frame_digest(frame: pl.DataFrame) -> str:
    """SHA-256 over the values. Row order counts; chunks, encodings, and what lies under a null do not."""
    columns = [[name, str(frame.schema[name]), _series(frame[name])] for name in frame.columns]
    return token_digest(["werk-frame/1", frame.height, columns])


def array_digest(array: NDArray[np.generic]) -> str:
    """SHA-256 over little-endian type, shape and C-order values; every NaN counts as the same."""
    plain = np.ascontiguousarray(_one_nan(array))
    little = plain.astype(plain.dtype.newbyteorder("<"), copy=False)
    return token_digest(["werk-array/1", little.dtype.str, list(array.shape), _sha(little.tobytes())])


def _series(column: pl.Series) -> list[object]:
    mask = np.packbits(column.is_null().to_numpy())
    return [len(column), _sha(mask.tobytes()), _values(column)]


def _values(column: pl.Series) -> object:
    kind = column.dtype
    if isinstance(kind, pl.Struct):
        return [[field.name, _series(column.struct.field(field.name))] for field in kind.fields]
    if isinstance(kind, pl.Array):
        return _values(column.arr.to_list())
    if isinstance(kind, pl.List):
        present = column.drop_nulls()
        # An empty list would explode to a null.
        return [_fixed(present.list.len()), _series(present.filter(present.list.len() > 0).explode())]
    if isinstance(kind, pl.Null):
        return None
    if isinstance(kind, pl.Object):
        raise InputError(
            f"The column '{column.name}' holds Python objects.", code="column-kind", hint="Give it a type of its own."
        )
    return _flat(column.drop_nulls())


def _flat(column: pl.Series) -> list[str]:
    kind = column.dtype
    if kind in (pl.Categorical, pl.Enum, pl.Decimal, pl.Int128, pl.String):
        return _bytes(column.cast(pl.String).cast(pl.Binary))
    if kind == pl.Binary:
        return _bytes(column)
    return [_fixed(column.to_physical())]


def _bytes(column: pl.Series) -> list[str]:
    joined = hashlib.sha256(b"".join(column.to_list())).hexdigest()
    return [_fixed(column.bin.size()), joined]


def _fixed(column: pl.Series) -> str:
    values = _one_nan(np.ascontiguousarray(column.to_numpy()))
    return _sha(values.astype(values.dtype.newbyteorder("<"), copy=False).tobytes())


def _one_nan(values: NDArray[np.generic]) -> NDArray[np.generic]:
    if values.dtype.kind not in "fc" or not np.isnan(values).any():
        return values
    return np.where(np.isnan(values), values.dtype.type(np.nan), values)


def _sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
