"""The flights template is a user's project: its package is found from its own folder, as it would be there."""

import sys
from pathlib import Path

import polars as pl
import pytest

import werk

TEMPLATE = Path(werk.__file__).parent / "templates" / "flights"
sys.path.insert(0, str(TEMPLATE))

from flights.features import engineer, flights  # noqa: E402  # found only from here on
from flights.files import Files  # noqa: E402
from flights.known import Held  # noqa: E402


@pytest.fixture(scope="session")
def tables() -> Held:
    files = Files(TEMPLATE / "data")
    return Held({name: files.scan(name).collect() for name in ("raw.flights", "raw.weather", "raw.planes")})


@pytest.fixture(scope="session")
def year(tables: Held) -> pl.DataFrame:
    """Every flight of 2013 with its features."""
    return engineer(flights(tables), tables)
