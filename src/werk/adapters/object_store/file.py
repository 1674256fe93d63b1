"""Objects as files below one folder, each written whole or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from werk.core.ports.object_store import ObjectInfo, check_keys, missing

# `~` is outside the key alphabet, so a file a killed writer left behind can never be taken for an object.
_UNFINISHED = "~"


class FileObjectStore:
    def __init__(self, path: str | Path) -> None:
        self._root = Path(path)

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        check_keys(objects)
        return [key for key, data in objects.items() if self._put(self._root / key, data, if_absent)]

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        check_keys(keys)
        return {key: self._get(key) for key in keys}

    def exists(self, keys: Sequence[str]) -> set[str]:
        check_keys(keys)
        return {key for key in keys if (self._root / key).is_file()}

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        files = (file for file in self._root.rglob("*") if file.is_file() and not file.name.startswith(_UNFINISHED))
        sizes = {file.relative_to(self._root).as_posix(): file.stat().st_size for file in files}
        return (ObjectInfo(key, sizes[key]) for key in sorted(sizes) if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        check_keys(keys)
        for key in keys:
            (self._root / key).unlink(missing_ok=True)

    def _get(self, key: str) -> bytes:
        try:
            return (self._root / key).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            raise missing(key) from None

    def _put(self, target: Path, data: bytes, if_absent: bool) -> bool:
        if if_absent and target.exists():
            return False
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_name(f"{_UNFINISHED}{secrets.token_hex(8)}")
        try:
            _write_durably(unfinished, data)
            placed = _place(unfinished, target, if_absent)
        finally:
            unfinished.unlink(missing_ok=True)
        _sync_folder(target.parent)
        return placed


def _write_durably(path: Path, data: bytes) -> None:
    with path.open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _place(unfinished: Path, target: Path, if_absent: bool) -> bool:
    if not if_absent:
        unfinished.replace(target)
        return True
    try:
        os.link(unfinished, target)
    except FileExistsError:
        return False
    return True


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
