"""Servers that tests start for themselves."""

from __future__ import annotations

import importlib
import itertools
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL of this session's own; it must start, a missing server is a failure and not a skip."""
    with warnings.catch_warnings():  # it asks for XDG_RUNTIME_DIR when imported, which servers and containers lack
        warnings.simplefilter("ignore")
        pgserver = importlib.import_module("pgserver")
    with tempfile.TemporaryDirectory(prefix="werk-pg-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o755)  # under root the server runs as a user of its own, who must reach its data
        server = pgserver.get_server(Path(folder) / "data", cleanup_mode="delete")
        try:
            yield server
        finally:
            server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: Any) -> str:
    """The URL of a fresh, empty database."""
    name = f"werk_{next(_NUMBERS)}"
    postgres_server.psql(f"CREATE DATABASE {name}")
    uri: str = postgres_server.get_uri(database=name)
    return uri
