from pathlib import Path

import pytest

from werk.adapters.object_store.file import FileObjectStore
from werk.adapters.object_store.memory import MemoryObjectStore
from werk.adapters.object_store.s3 import S3ObjectStore
from werk.app.apart import Part
from werk.testing.object_store import ObjectStoreSuite


class TestMemory(ObjectStoreSuite):
    @pytest.fixture
    def store(self) -> MemoryObjectStore:
        return MemoryObjectStore()


class TestFile(ObjectStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> FileObjectStore:
        return FileObjectStore(tmp_path / "objects")


class TestS3(ObjectStoreSuite):
    @pytest.fixture
    def store(self, s3_endpoint: str, s3_bucket: str) -> S3ObjectStore:
        keys = {"access_key_id": "test", "secret_access_key": "test"}
        return S3ObjectStore(s3_bucket, prefix="objects", endpoint_url=s3_endpoint, allow_http=True, **keys)


class TestPartOfOne(ObjectStoreSuite):
    """A project's part of a store in which another project has the same keys."""

    @pytest.fixture
    def store(self) -> Part:
        whole = MemoryObjectStore()
        Part(whole, "prj_other").put(dict.fromkeys(("a/b", "b/1", "k", "nowhere"), b"theirs"))
        return Part(whole, "prj_one")
