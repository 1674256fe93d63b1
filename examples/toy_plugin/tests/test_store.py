"""Enrolling takes a fixture: every promise of the port is inherited."""

from pathlib import Path
from typing import cast

import pytest

from werk.core.plugins import build
from werk.core.ports.object_store import ObjectStore
from werk.testing.object_store import ObjectStoreSuite


class TestToy(ObjectStoreSuite):
    @pytest.fixture
    def store(self, tmp_path: Path) -> ObjectStore:
        return cast("ObjectStore", build("object_store", "toy", {"path": tmp_path / "objects.sqlite"}))
