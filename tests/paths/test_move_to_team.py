"""`werk move --to team`: from files to a real PostgreSQL and an S3 API in the same folder, and on from there on files again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import test_restore_elsewhere as elsewhere
from test_restore_elsewhere import Place

laptop = elsewhere.laptop
BACK = """
[profile.back.journal]
url = "sqlite:///{0}/journal.db"
[profile.back.table_store]
use = "delta"
path = "{0}/lake"
[profile.back.object_store]
use = "file"
path = "{0}/objects"
"""


def test_from_files_to_the_servers_and_on(laptop: Place, team: Any, tmp_path: Path) -> None:
    shutil.copytree(laptop.root.parent, tmp_path / "here")
    root = tmp_path / "here" / laptop.root.name
    settings = root / "werk.toml"
    settings.write_text(settings.read_text() + BACK.format(tmp_path / "back"))
    here, there, back = (Place(root, team.environment, profile) for profile in ("local", "team", "back"))
    head = here.asked("status")["head"]
    here.werk("move", "--to", "team")
    assert there.asked("status")["head"] == head
    elsewhere.assert_whole(there, here)
    assert there.asked("rebuild", "small:1")["outcome"] == "identical"
    assert refused(here, team, "run", "training") == 3
    assert there.asked("run", "batch_inference", "-p", "window=y", "-p", "model=small:1")["status"] == "finished"

    head = there.asked("status")["head"]
    there.werk("move", "--to", "back")
    assert back.asked("status")["head"] == head
    elsewhere.assert_whole(back, there)
    assert refused(there, team, "run", "training") == 3
    assert back.asked("rebuild", "small:1")["outcome"] == "identical"


def refused(place: Place, team: Any, *words: str) -> int:
    command = [sys.executable, "-m", "werk", *words, "--profile", place.profile]
    shell = {**os.environ, **team.environment, "WERK_HOME": str(place.root.parent / "home")}
    done = subprocess.run(command, cwd=place.root, env=shell, capture_output=True, text=True, timeout=120, check=False)
    assert "[project-moved]" in done.stderr
    return done.returncode
