"""`werk doctor` goes on with what it can, and each line that is not ok says what to do next."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from werk.app.commands.doctor import doctor
from werk.core.errors import InputError

HEAD = '[project]\nname = "rides"\nid = "prj_rides"\n'
MACHINE = {"libraries", "git", "disk of the keys", "rights of WERK_HOME"}
FOLDER = {"disk of the project", "rights of the project"}
Checks = dict[str, dict[str, str]]


class Place:
    """A folder that may become a project, and the keys' folder beside it."""

    def __init__(self, below: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.home = below / "rides", below / "home"
        self.root.mkdir()
        monkeypatch.chdir(self.root)
        monkeypatch.setenv("WERK_HOME", str(self.home))
        monkeypatch.delenv("WERK_PROFILE", raising=False)

    def checks(self, profile: str | None = None, *, code: int = 0) -> Checks:
        answer = doctor(None, profile)
        found: dict[str, Any] = json.loads(json.dumps(answer.record))
        assert (answer.exit_code, found["ok"]) == (code, code == 0), found["checks"]
        for one in found["checks"]:
            assert set(one) == {"check", "state", "says", "next"}
            assert (one["state"] == "ok") == (one["next"] == ""), one
            assert f"{one['says']} {one['next']}".rstrip() in (answer.text or ""), one
        return {one["check"]: one for one in found["checks"]}

    def write(self, text: str) -> None:
        (self.root / "werk.toml").write_text(text)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    return Place(tmp_path, monkeypatch)


def test_outside_a_project_the_machine_is_checked(place: Place) -> None:
    checks = place.checks()
    assert set(checks) == MACHINE | {"settings"}
    assert checks["settings"]["state"] == "not checked"
    assert not place.home.exists(), "looking made something"
    assert list(place.root.iterdir()) == []


def test_a_folder_that_was_named_and_is_no_project_is_a_wrong_input(place: Place) -> None:
    with pytest.raises(InputError) as wrong:
        doctor(place.root, None)
    assert (wrong.value.code, wrong.value.exit_code) == ("project-missing", 2)


@pytest.mark.parametrize(("text", "code"), [("", 0), ("[project\n", 1)], ids=["outside", "malformed"])
def test_the_command_ends_with_the_code_and_json_alone(place: Place, text: str, code: int) -> None:
    if text:
        place.write(text)
    done = subprocess.run([sys.executable, "-m", "werk.app.cli", "doctor", "--json"], capture_output=True, text=True)
    assert (done.returncode, json.loads(done.stdout)["ok"], done.stderr) == (code, code == 0, "")


@pytest.mark.parametrize(
    ("text", "profile", "says"),
    [
        ("[project\n", None, "is not TOML"),
        (HEAD + "[jurnal]\n", None, "Did you mean '[journal]'?"),
        (HEAD + '[journal]\nurl = {env = "NOT_SET_HERE"}\n', None, "NOT_SET_HERE"),
        (HEAD, "taem", "'taem'"),
        ("\x00", None, "is not TOML"),
    ],
    ids=["malformed", "section", "reference", "profile", "bytes"],
)
def test_settings_that_cannot_be_read_are_said_and_the_rest_goes_on(
    place: Place, text: str, profile: str | None, says: str
) -> None:
    place.write(text)
    checks = place.checks(profile, code=1)
    assert set(checks) == MACHINE | FOLDER | {"settings"}
    assert checks["settings"]["state"] == "broken"
    assert says in checks["settings"]["says"]


def test_a_sound_project_passes_and_names_the_versions(place: Place) -> None:
    place.write(HEAD)
    checks = place.checks()
    assert {"key store", "object store", "table store", "journal", "clock", "secrets"} | MACHINE | FOLDER < set(checks)
    assert {name for name, one in checks.items() if one["state"] != "ok"} == {"signed heads"}, "nothing was signed yet"
    assert set(doctor(None, None).record) > {"werk", "python", "polars", "deltalake", "numpy", "pyarrow"}


def test_a_store_that_fails_leaves_the_others_tried(place: Place) -> None:
    place.write(HEAD + '[object_store]\nuse = "file"\npath = "objects"\n')
    (place.root / "objects").write_text("no folder")
    checks = place.checks(code=1)
    assert checks["object store"]["state"] == "broken"
    assert checks["table store"]["state"] == "ok"


def test_folders_that_others_can_write_are_named_with_the_command(place: Place) -> None:
    place.write(HEAD)
    place.home.mkdir()
    place.home.chmod(0o757)
    place.root.chmod(0o757)
    checks = place.checks(code=1)
    assert (checks["rights of WERK_HOME"]["state"], checks["rights of the project"]["state"]) == ("broken", "warning")
    for check, folder in (("rights of WERK_HOME", place.home), ("rights of the project", place.root)):
        assert checks[check]["next"] == f"chmod o-w {folder}"
        subprocess.run(checks[check]["next"].split(), check=True)
    assert place.checks()["rights of WERK_HOME"]["state"] == "ok", "the next step mends it"


def test_a_home_that_is_a_file_is_broken(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    place.home.write_text("")
    monkeypatch.setenv("WERK_HOME", str(place.home / "below"))
    checks = place.checks(code=1)
    assert "is not a folder" in checks["rights of WERK_HOME"]["says"]


def test_without_git_the_other_checks_go_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    checks = place.checks(code=1)
    assert [name for name, one in checks.items() if one["state"] == "broken"] == ["git"]


def test_a_newest_fact_in_the_future_is_a_clock_set_back(place: Place) -> None:
    place.write(HEAD)
    place.checks()
    hour = 3600 * 1_000_000
    with closing(sqlite3.connect(place.root / ".werk" / "journal.db")) as db, db:
        for (trigger,) in db.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            db.execute(f"drop trigger {trigger}")
        db.execute("update facts set at = at + ?", (hour,))
    clock = place.checks(code=1)["clock"]
    assert clock["state"] == "broken"
    assert "in the future: this clock was set back" in clock["says"]
    assert "clock" in clock["next"]
