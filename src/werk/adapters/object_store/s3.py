"""Objects in a bucket of the S3 API; conditional put makes `if_absent` safe between writers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import obstore
from obstore.exceptions import AlreadyExistsError
from obstore.store import S3Store

from werk.core.ports.object_store import ObjectInfo, check_keys, missing

if TYPE_CHECKING:
    from obstore.store import S3Config


class S3ObjectStore:
    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        endpoint_url: str = "",
        access_key_id: str = "",
        secret_access_key: str = "",
        region: str = "us-east-1",
        allow_http: bool = False,
    ) -> None:
        config: S3Config = {"region": region}
        if endpoint_url:
            config["endpoint"] = endpoint_url
        if access_key_id:
            config |= {"access_key_id": access_key_id, "secret_access_key": secret_access_key}
        self._store = S3Store(bucket, prefix=prefix or None, config=config, client_options={"allow_http": allow_http})

    def put(self, objects: Mapping[str, bytes], *, if_absent: bool = False) -> list[str]:
        check_keys(objects)
        return [key for key, data in objects.items() if self._put(key, data, if_absent)]

    def _put(self, key: str, data: bytes, if_absent: bool) -> bool:
        try:
            # Multipart uploads know no condition.
            obstore.put(self._store, key, data, mode="create" if if_absent else "overwrite", use_multipart=False)
        except AlreadyExistsError:
            return False
        return True

    def get(self, keys: Sequence[str]) -> dict[str, bytes]:
        check_keys(keys)
        return {key: self._get(key) for key in keys}

    def _get(self, key: str) -> bytes:
        try:
            return bytes(obstore.get(self._store, key).bytes())
        except FileNotFoundError:
            raise missing(key) from None

    def exists(self, keys: Sequence[str]) -> set[str]:
        check_keys(keys)
        return {key for key in keys if self._has(key)}

    def _has(self, key: str) -> bool:
        try:
            obstore.head(self._store, key)
        except FileNotFoundError:
            return False
        return True

    def list(self, prefix: str = "") -> Iterator[ObjectInfo]:
        # A listing of the API matches whole segments only, so the last part is matched here.
        folder = prefix.rpartition("/")[0]
        found = [meta for page in obstore.list(self._store, folder or None) for meta in page]
        infos = sorted((str(meta["path"]), int(meta["size"])) for meta in found)
        return (ObjectInfo(key, size) for key, size in infos if key.startswith(prefix))

    def delete(self, keys: Sequence[str]) -> None:
        check_keys(keys)
        for key in keys:
            if self._has(key):
                obstore.delete(self._store, key)
