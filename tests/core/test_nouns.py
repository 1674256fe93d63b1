"""What a person writes as a version or a time is read or refused in one sentence."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from werk.core.errors import InputError
from werk.core.nouns import ModelVersion, Snapshot, from_micros, to_micros


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_that_utc_cannot_hold_is_refused(text: str) -> None:
    with pytest.raises(InputError) as refused:
        to_micros(datetime.fromisoformat(text))
    assert (refused.value.code, refused.value.exit_code) == ("time-range", 2)
    assert text in refused.value.message


@pytest.mark.parametrize("text", ["0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59.999999+00:00", "2026-01-01T01:00:00+02:00"])
def test_every_other_time_comes_back(text: str) -> None:
    at = datetime.fromisoformat(text)
    assert from_micros(to_micros(at)) == at.astimezone(UTC)


@pytest.mark.parametrize("number", ["9" * 5000, "²", "١", "-1", "", "1.0"])
def test_what_is_no_number_of_a_version_is_refused(number: str) -> None:
    for kind, text in ((ModelVersion, f"base:{number}"), (Snapshot, f"raw.flights@{number}")):
        with pytest.raises(InputError) as refused:
            kind.parse(text)
        assert len(refused.value.message) < 200


def test_a_version_nobody_has_made_is_still_one() -> None:
    assert ModelVersion.parse("base:99999999999999999999999").version == 99999999999999999999999
    assert Snapshot.parse("raw.flights@0") == Snapshot("raw.flights", 0)
