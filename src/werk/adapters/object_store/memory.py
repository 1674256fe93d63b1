"""Objects in a dictionary, gone with the process."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence

from werk.core.ports.object_store import ObjectInfo, check_keys, missing


class MemoryObjectStore:
    def __init__(self) -> None:
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        check_keys(objects)
        with self._lock:
            written = [key for key in objects if not (if_absent and key in self._objects)]
            self._objects.update({key: bytes(objects[key]) for key in written})
        return written

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        check_keys(keys)
        try:
            return {key: self._objects[key] for key in keys}
        except KeyError as absent:
            raise missing(str(absent.args[0])) from None

    def exists(self, keys: Sequence[str]) -> set[str]:
        check_keys(keys)
        return {key for key in keys if key in self._objects}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        with self._lock:
            found = sorted((key, len(data)) for key, data in self._objects.items() if key.startswith(prefix))
        return (ObjectInfo(key, size) for key, size in found)

    def delete(self, keys: Sequence[str]) -> None:
        check_keys(keys)
        with self._lock:
            for key in keys:
                self._objects.pop(key, None)
