"""One project's part of an object store that other projects may share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from werk.core.ports.object_store import ObjectInfo, ObjectStore


@dataclass(frozen=True, slots=True)
class Part:
    """The objects below `project`, under keys that do not say so: there is no key that reaches another project's."""

    whole: ObjectStore
    project: str

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        written = self.whole.put({self._key(key): data for key, data in objects.items()}, if_absent=if_absent)
        return [self._own(key) for key in written]

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        return {self._own(key): data for key, data in self.whole.get(self._keys(keys)).items()}

    def exists(self, keys: Sequence[str]) -> set[str]:
        return {self._own(key) for key in self.whole.exists(self._keys(keys))}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        return (ObjectInfo(self._own(info.key), info.size_bytes) for info in self.whole.list(self._key(prefix)))

    def delete(self, keys: Sequence[str]) -> None:
        self.whole.delete(self._keys(keys))

    def _key(self, key: str) -> str:
        return f"{self.project}/{key}"

    def _keys(self, keys: Iterable[str]) -> Sequence[str]:
        return [self._key(key) for key in keys]

    def _own(self, key: str) -> str:
        return key.removeprefix(f"{self.project}/")
