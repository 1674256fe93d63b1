"""What one step hands to the next, kept in the object store under the hash of its values."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast, get_args, get_type_hints

import numpy as np
import polars as pl

from werk.core.canonical import JSON, canonical_json, sha256_hex
from werk.core.errors import InputError, Tampered, WerkError, unknown
from werk.core.platform import Platform
from werk.workflow import params
from werk.workflow.faces import numpy as fields
from werk.workflow.frame_digest import array_digest, frame_digest
from werk.workflow.frames import array_as, from_polars, to_polars
from werk.workflow.types import frame_kind


@dataclass(frozen=True, slots=True)
class Codec:
    """How values of one kind travel between steps: `digest` is the identity of the value, not of its bytes."""

    kind: str
    owns: Callable[[object], bool]
    dump: Callable[[Platform, Any], bytes]
    load: Callable[[Platform, bytes], object]
    digest: Callable[[Platform, Any], str]


@dataclass(frozen=True, slots=True)
class Payload:
    """`sha256` is of the stored bytes, `digest` of the values they stand for."""

    kind: str
    key: str
    sha256: str
    digest: str
    size_bytes: int

    def to_json(self) -> dict[str, JSON]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: JSON) -> Payload:
        return cls(**cast("dict[str, Any]", data))


class Payloads:
    """Writes and reads payloads; the codecs are asked in order, before JSON."""

    def __init__(self, p: Platform, codecs: Sequence[Codec] = ()) -> None:
        self._p = p
        self._codecs = {codec.kind: codec for codec in codecs}

    def save(self, values: Sequence[object]) -> list[Payload]:
        """Keep the values; equal values are kept once. Raises `InputError` for what has no form but pickle."""
        encoded = [self._encode(value) for value in values]
        wanted = {_key(digest): data for _, digest, data in encoded}
        new = set(self._p.object_store.put(wanted, if_absent=True))
        kinds = {_key(digest): kind for kind, digest, _ in encoded}
        kept = {**wanted, **self._mended({key: data for key, data in wanted.items() if key not in new}, kinds)}
        return [_payload(kind, digest, kept[_key(digest)]) for kind, digest, _ in encoded]

    def load(self, payload: Payload, annotation: object = Any, produced_as: object = Any) -> object:
        """The value in the annotated form. Raises `Tampered` when the bytes are not those that were written."""
        data = self._p.object_store.get([payload.key])[payload.key]
        if sha256_hex(data) != payload.sha256:
            raise Tampered(
                f"The payload {payload.key} is not what was written.",
                code="payload-tampered",
                hint="Run the pipeline again with a fresh cache.",
            )
        if payload.kind == "json":
            return params.from_json(json.loads(data), [*classes_in(annotation), *classes_in(produced_as)])
        if payload.kind in ("frame", "array"):
            return _frame(payload.kind, data, annotation)
        return self._codec(payload.kind).load(self._p, data)

    def present(self, payloads: Iterable[Payload]) -> bool:
        """Whether all of them are still in the store."""
        keys = {payload.key for payload in payloads}
        return self._p.object_store.exists(sorted(keys)) == keys

    def _encode(self, value: object) -> tuple[str, str, bytes]:
        for codec in self._codecs.values():
            if codec.owns(value):
                # A codec's digest may carry a scheme in front; the key alphabet has no ':' or '/'.
                return codec.kind, sha256_hex(codec.digest(self._p, value)), codec.dump(self._p, value)
        if isinstance(value, np.ndarray) and not fields.has_fields(value):
            return ("array", array_digest(value), _npy(value))
        if isinstance(value, np.ndarray) or frame_kind(type(value)):
            frame = fields.to_polars(value) if isinstance(value, np.ndarray) else to_polars(value)
            return "frame", frame_digest(frame), _parquet(frame)
        data = canonical_json(params.to_json(value)).encode()
        return "json", sha256_hex(data), data

    def _mended(self, ours: Mapping[str, bytes], kinds: Mapping[str, str]) -> dict[str, bytes]:
        """Stored bytes of equal values: another sound encoding stays, damaged bytes are written anew."""
        stored = self._p.object_store.get(list(ours)) if ours else {}
        odd = {key: data for key, data in stored.items() if data != ours[key]}
        damaged = {key: ours[key] for key, data in odd.items() if self._digest(kinds[key], data) != key.rpartition("/")[2]}
        if damaged:
            self._p.object_store.put(damaged)
        return {**stored, **damaged}

    def _digest(self, kind: str, data: bytes) -> str | None:
        """The digest of the values that stored bytes stand for; None when they cannot be read."""
        try:
            if kind == "json":
                return sha256_hex(data)
            if kind in ("frame", "array"):
                value: Any = _frame(kind, data, Any)
                return array_digest(value) if kind == "array" else frame_digest(value)
            codec = self._codec(kind)
            return sha256_hex(codec.digest(self._p, codec.load(self._p, data)))
        except (WerkError, pl.exceptions.PolarsError, OSError, ValueError):
            return None

    def _codec(self, kind: str) -> Codec:
        if kind not in self._codecs:
            raise unknown("codec", kind, self._codecs, code="codec-unknown")
        return self._codecs[kind]


def classes_in(annotation: object) -> Iterator[type]:
    """The dataclasses an annotation names, those of their fields included."""
    yield from _classes(annotation, set())


def _classes(annotation: object, seen: set[object]) -> Iterator[type]:
    for part in get_args(annotation):
        yield from _classes(part, seen)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) and annotation not in seen:
        seen.add(annotation)
        yield annotation
        for hint in _hints(annotation).values():
            yield from _classes(hint, seen)


@cache
def _hints(cls: type) -> dict[str, object]:
    return get_type_hints(cls)


def _key(digest: str) -> str:
    return f"payloads/{digest[:2]}/{digest}"


def _payload(kind: str, digest: str, data: bytes) -> Payload:
    return Payload(kind, _key(digest), sha256_hex(data), digest, len(data))


def _parquet(frame: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, compression="zstd", compression_level=1)
    data = buffer.getvalue()
    kept = pl.read_parquet_schema(io.BytesIO(data))
    for name, kind in frame.schema.items():
        if kept[name] != kind:
            raise InputError(
                f"The column '{name}' of type {kind} would come back as {kept[name]}.", code="value-lossy", hint="Cast it first."
            )
    return data


def _npy(array: np.ndarray[Any, Any]) -> bytes:
    if isinstance(array, np.ma.MaskedArray):
        raise InputError(
            "The mask of a masked array would be lost between steps.", code="value-lossy", hint="Fill it, or return a frame."
        )
    if array.dtype.hasobject:
        raise InputError(
            "An array of Python objects cannot be kept between steps.",
            code="value-kind",
            hint="Return a frame or an array of numbers; pickle is not used.",
        )
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _frame(kind: str, data: bytes, annotation: object) -> object:
    if kind == "array":
        return array_as(np.load(io.BytesIO(data), allow_pickle=False), annotation)
    return from_polars(pl.read_parquet(io.BytesIO(data)), annotation)
