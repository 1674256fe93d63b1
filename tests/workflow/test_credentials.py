"""Secrets that stand in files only: found by name and form, and ordinary settings beside them are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from werk.workflow.capture import mask
from werk.workflow.capture.code import capture_code
from werk.workflow.capture.credentials import file_secrets

ORDINARY = """\
DEBUG=true
PORT=8080
LOG_LEVEL=information
MODEL_NAME=flight-delay-2013
DATA_DIR=/srv/data/flights
SORT_KEY=scheduled_departure
TOKEN_LIMIT=100000
MAX_TOKENS=4096
API_KEY=changeme
AUTH_TOKEN=${OTHER}
EMPTY_PASSWORD=
USE_PASSWORD=true
"""


@pytest.fixture(autouse=True)
def _nothing_exported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.environ", {"PATH": os.environ["PATH"]})


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("OTHER_API_KEY=horse-battery-7", "horse-battery-7"),
        ("export OTHER_API_KEY = horse-battery-7  # of the other one", "horse-battery-7"),
        ('OTHER_API_KEY="horse battery # 7"', "horse battery # 7"),
        (r'OTHER_API_KEY="horse \"7\" battery"', 'horse "7" battery'),
        ("OTHER_API_KEY='horse battery 7'\r", "horse battery 7"),
        ("OTHER_API_KEY='horse battery 7", "horse battery 7"),
        ("api_key: horse-battery-7", "horse-battery-7"),
        ("DB_PASS=horse-battery-7", "horse-battery-7"),
        ("DB_PASSWORD=abc", "abc"),
        ("SIGNING_KEY=4f9d02c7", "4f9d02c7"),
        ("DATABASE_URL=postgresql://werk:tr0ub4dor@db/flights", "tr0ub4dor"),
        ('MESSAGE="is not closed\nOTHER_API_KEY=horse-battery-7', "horse-battery-7"),
        ("\ufeffOTHER_API_KEY=horse-battery-7", "horse-battery-7"),
    ],
)
def test_a_value_in_a_file_is_covered(tmp_path: Path, line: str, value: str) -> None:
    (tmp_path / ".env").write_text(f"{line}\n{ORDINARY}", encoding="utf-8", newline="")
    assert mask(f"said: {value}, no", values=file_secrets(tmp_path)) == "said: ***, no"


def test_ordinary_settings_cover_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(ORDINARY)
    (tmp_path / ".env.example").write_text("OTHER_API_KEY=horse-battery-7\n")
    assert file_secrets(tmp_path) == []


@pytest.mark.parametrize("name", [".env.local", ".envrc", "deploy/.env.prod", ".streamlit/secrets.toml", ".aws/credentials"])
def test_every_file_that_is_withheld_by_its_name_is_read(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_text('[a]\naws_secret_access_key = "horse-battery-7"\n')
    assert file_secrets(tmp_path) == ["horse-battery-7"]


def test_a_value_of_several_lines_is_covered_line_by_line(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text('SIGNING_SECRET="first-horse-of-two\nsecond-battery-of-two"\n')
    told = mask("got 'first-horse-of-two\\nsecond-battery-of-two'", values=file_secrets(tmp_path))
    assert "horse" not in told
    assert "battery" not in told


def test_what_cannot_be_read_or_is_no_setting_harms_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    (tmp_path / ".env.a").symlink_to("nowhere")
    (tmp_path / ".env.b").write_bytes(b"\xff\xfe=\x00\xff\n")
    (tmp_path / ".env.c").write_text("OTHER_API_KEY=horse-battery-7\n" + "#" * 1_000_001)
    (tmp_path / ".venv").mkdir()
    (tmp_path / ".venv" / ".env").write_text("OTHER_API_KEY=horse-battery-7\n")
    assert file_secrets(tmp_path) == []


def test_code_that_repeats_a_value_of_an_ignored_file_is_left_out(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("OTHER_API_KEY=horse-battery-7\n")
    (tmp_path / "client.py").write_text("ask(\n  'horse-battery-7')\n")
    found = capture_code(tmp_path, tmp_path / ".werk" / "code.git")
    assert "client.py (value of a secret variable, line 2)" in found.left_out
