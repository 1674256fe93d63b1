"""The leak test of the flights template at many cutoffs: a few days drawn by seed, or every day of the year for the proof."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from flights.files import Files
from flights.known import changes, dated

import werk

DATA = Path(werk.__file__).parent / "templates" / "flights" / "data"
DAYS = int(os.environ.get("WERK_CUTOFFS", "3"))
SEED = int(os.environ.get("WERK_SEED", str(random.SystemRandom().randrange(2**32))))


def test_no_feature_knows_what_came_after_any_cutoff(record_property: Callable[[str, object], None]) -> None:
    """At daytime in New York, when flights are near; the last day of the year has no later one to change."""
    print(f"WERK_SEED={SEED}, {DAYS} cutoffs")
    chance = random.Random(SEED)
    days = sorted(chance.sample(range(1, 364), min(DAYS, 363)))
    cutoffs = [datetime(2013, 1, 1, tzinfo=UTC) + timedelta(days=day, minutes=chance.randrange(13 * 60, 24 * 60)) for day in days]
    found = changes(dated(Files(DATA)), cutoffs=cutoffs, seed=SEED)
    record_property("cutoffs", len(cutoffs))
    record_property("features that knew", len(found))
    assert found == {}, f"WERK_SEED={SEED}"
